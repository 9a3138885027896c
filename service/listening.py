"""The sockets that the gateway listens on: one port of one or more addresses, or a path in the file system."""

import errno
import resource
import socket
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Struct

from service.errors import SettingsError
from service.settings import Settings

BACKLOG: Final = 2048
"""Connections that may wait to be accepted, on each socket."""

_LOOPBACKS: Final = ("127.0.0.1", "::1")
"""The addresses of `localhost`. No resolver is asked for them (RFC 6761 §6.3): without callers the gateway relies on
`localhost` being loopback."""

_ANY_IPV6: Final = "::"

_OWN_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", _ANY_IPV6: "::1"}  # noqa: S104 - nothing is bound here
"""The address to ask from this machine, where any address is listened on."""

_NOT_OF_THIS_MACHINE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

_TRIES: Final = 10
"""Free ports of the first address that are tried on the others: another process may have the same port there."""

_MOST_CONNECTIONS: Final = 10_000

_Addresses: TypeAlias = list[tuple[socket.AddressFamily, tuple[Any, ...]]]
"""Addresses as `bind` takes them: two items for IPv4, four for IPv6."""


class SocketPath:
    """The path of a Unix socket that this process listens on.

    It is removed once, and only while it leads to that socket: later there may be the next gateway's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: tuple[int, int] | None = _inode(path)

    def remove(self) -> None:
        """Remove the path, the first time. Where that fails, the next gateway replaces it."""
        inode, self._inode = self._inode, None
        with suppress(OSError):
            if inode is not None and _inode(self._path) == inode:
                self._path.unlink()


class Listeners(Struct, frozen=True, kw_only=True):
    """Open sockets, those for questions and those for `/livez`, `/readyz`, `/metrics` and `/version` alone."""

    questions: tuple[socket.socket, ...]
    operations: tuple[socket.socket, ...]
    """Sockets of one port. Empty if the operations are served on the listener for questions."""
    path: SocketPath | None
    """The path of the questions' Unix socket, to be removed before that socket is closed: a gateway that starts takes a
    path without a listener for abandoned, and replaces it."""

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


def listen(settings: Settings, listening: ExitStack) -> Listeners:
    """Listen until `listening` is closed. Raises `SettingsError` where that is not possible."""
    path = None
    questions: tuple[socket.socket, ...]
    if settings.unix_socket is not None:
        listener, path = _listen_on_path(settings.unix_socket, listening)
        questions = (listener,)
    else:
        questions = _listen_on_port(settings.host, settings.port, listening)
    operations: tuple[socket.socket, ...] = ()
    if settings.operations.port is not None:
        hosts = settings.operations.host or settings.host
        operations = _listen_on_port(hosts, settings.operations.port, listening)
    return Listeners(questions=questions, operations=operations, path=path)


def connection_limit(settings: Settings) -> int:
    """Return how many connections may be open at once: the setting, else what the process's descriptors allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return settings.max_connections or default_connection_limit(descriptors)


def default_connection_limit(descriptors: int) -> int:
    """Return four fifths of the descriptors, 10 000 at most; the others are for Redis, itch.io and files."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(descriptors * 4 // 5, _MOST_CONNECTIONS)


# Ports.


def _listen_on_port(hosts: Sequence[str], port: int, listening: ExitStack) -> tuple[socket.socket, ...]:
    """Listen on one port of all hosts; 0 stands for any port that is free on all of them."""
    addresses: dict[str, _Addresses] = {}
    for host in dict.fromkeys(hosts):
        # `localhost` beside 127.0.0.1 is the same address again.
        others = [one for found in addresses.values() for one in found]
        addresses[host] = [one for one in _addresses_of(host, port) if one not in others]
    for _ in range(_TRIES if port == 0 else 0):
        with suppress(SettingsError):
            return _listen_on_all(addresses, port, listening)
    return _listen_on_all(addresses, port, listening)


def _addresses_of(host: str, port: int) -> _Addresses:
    names = _LOOPBACKS if host.lower() == "localhost" else (host,)
    try:
        found = [one for name in names for one in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    return [(family, address) for family, _, _, _, address in found]


def _listen_on_all(addresses: dict[str, _Addresses], port: int, listening: ExitStack) -> tuple[socket.socket, ...]:
    # Together with an IPv4 address, `::` is IPv6 alone: the same port cannot be listened on twice.
    families = {family for found in addresses.values() for family, _ in found}
    dual_stack = socket.AF_INET not in families and socket.has_dualstack_ipv6()
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for host, found in addresses.items():
            try:
                sockets += _listen_on_host(found, port, opened, dual_stack=dual_stack)
            except OSError as error:
                raise _cannot_listen(host, port, error) from None
            port = sockets[0].getsockname()[1]
        listening.enter_context(opened.pop_all())
    return tuple(sockets)


def _listen_on_host(addresses: _Addresses, port: int, opened: ExitStack, *, dual_stack: bool) -> list[socket.socket]:
    """Listen on those addresses of a host that this machine has: `localhost` has no IPv6 in many containers.

    Raises `OSError` if it has none of them.
    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for family, (address, _, *scope) in addresses:
        dual = dual_stack and address == _ANY_IPV6
        try:
            listener = socket.create_server(
                (address, port, *scope), family=family, backlog=BACKLOG, dualstack_ipv6=dual
            )
        except OSError as error:
            if error.errno not in _NOT_OF_THIS_MACHINE:
                raise
            absent = error
        else:
            sockets.append(opened.enter_context(listener))
            port = listener.getsockname()[1]
    if absent is not None and not sockets:
        raise absent
    return sockets


def _cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    # Python's own words go on in brackets, with the address again.
    why = str(error.strerror or error).partition(" (while ")[0]
    return SettingsError([f"cannot listen on {host} port {port}: {why}"])


# Paths.


def _listen_on_path(path: Path, listening: ExitStack) -> tuple[socket.socket, SocketPath]:
    """Listen on a Unix socket for the owner and its group; one that a dead process left behind is replaced."""
    listener = listening.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        if _is_abandoned(path):
            path.unlink()
        listener.bind(str(path))
        bound = SocketPath(path)
        listening.callback(bound.remove)
        path.chmod(0o660)
        listener.listen(BACKLOG)
    except OSError as error:
        raise SettingsError([f"cannot listen on the Unix socket {path}: {error.strerror or error}"]) from None
    return listener, bound


def _is_abandoned(path: Path) -> bool:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A living process with a full backlog would be waited for.
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass
    return False


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
