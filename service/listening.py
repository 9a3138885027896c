"""The sockets that the gateway listens on: a port, or a path in the file system."""

import contextlib
import resource
import socket
import stat
from pathlib import Path
from typing import Final

from msgspec import Struct

from service.errors import SettingsError
from service.settings import Settings

_BACKLOG: Final = 2048

_OWN_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here
"""The address to ask from this machine, where any address is listened on."""

_MOST_CONNECTIONS: Final = 10_000


class Listeners(Struct, frozen=True, kw_only=True):
    """Open sockets, those for questions and those for `/livez`, `/readyz`, `/metrics` and `/version` alone."""

    questions: tuple[socket.socket, ...]
    operations: tuple[socket.socket, ...]
    """Empty where the operations are served beside the questions."""

    @property
    def base_url(self) -> str:
        """A URL to ask from this machine: `http://`, or `unix:` and a path."""
        first = self.questions[0]
        if first.family == socket.AF_UNIX:
            return f"unix:{first.getsockname()}"
        host, port = first.getsockname()[:2]
        host = _OWN_ADDRESS.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def operations_port(self) -> int | None:
        """The port that alone serves the operations, if there is one."""
        return self.operations[0].getsockname()[1] if self.operations else None


def listen(settings: Settings, listening: contextlib.ExitStack) -> Listeners:
    """Listen until `listening` is closed. Raises `SettingsError` when that is not possible."""
    if settings.unix_socket is not None:
        questions = _listen_on_path(settings.unix_socket, listening)
    else:
        questions = _listen_on_port(settings.host, settings.port, listening)
    operations = settings.operations
    if operations.port is None:
        return Listeners(questions=(questions,), operations=())
    operational = _listen_on_port(operations.host or settings.host, operations.port, listening)
    return Listeners(questions=(questions,), operations=(operational,))


def connection_limit(settings: Settings) -> int:
    """Return how many connections may be open at once: the setting, else what the process's descriptors allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return settings.max_connections or default_connection_limit(descriptors)


def default_connection_limit(descriptors: int) -> int:
    """Return four fifths of the descriptors, 10 000 at most; the others are for Redis, itch.io and files."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(descriptors * 4 // 5, _MOST_CONNECTIONS)


def _listen_on_port(host: str, port: int, listening: contextlib.ExitStack) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python's own words go on in brackets, with the address again.
        why = str(error.strerror or error).partition(" (while ")[0]
        raise SettingsError([f"cannot listen on {host} port {port}: {why}"]) from None
    return listening.enter_context(listener)


def _listen_on_path(path: Path, listening: contextlib.ExitStack) -> socket.socket:
    """Listen on a Unix socket for the owner and its group; one that a dead process left behind is replaced."""
    listener = listening.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        if _is_abandoned(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise SettingsError([f"cannot listen on the Unix socket {path}: {error.strerror or error}"]) from None
    listening.callback(path.unlink, missing_ok=True)
    return listener


def _is_abandoned(path: Path) -> bool:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        return False
