"""The installed gateway and nginx, as processes of their own."""

import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.deploy.processes import environment

_TIMEOUT_SECONDS: Final = 30
_START_SECONDS: Final = 90
"""For a start on a machine that is busy with other things."""
_LASTING_PORTS: Final = range(20_000, 32_000)
_COMMAND: Final = Path(sys.executable).with_name("ownership-gateway")


def needed(command: str) -> str:
    """Return where a command is; `make check-integrations` has installed it."""
    found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found is not None, f"{command} is not installed: run `make check-integrations` as root on Debian"
    return found


def lasting_port() -> int:
    """Return a free port that no client is given meanwhile: one that is left for a moment can be taken again."""
    for port in random.sample(_LASTING_PORTS, len(_LASTING_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("there is no free port")


class Gateway:
    """`ownership-gateway serve --sandbox` on one port of loopback; its log goes to a file."""

    def __init__(self, port: int, log: Path, settings: Mapping[str, str]) -> None:
        self.port = port
        self._log = log
        self._environment = environment({**settings, "PORT": str(port)})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The base URL of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_COMMAND, "serve", "--sandbox"], env=self._environment, stdout=log, stderr=log
            )
        until_status(self.port, "/readyz")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, and return at once."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Send it SIGTERM, and return when it has drained and ended."""
        self.signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        """Return when it has ended, which it must without an error."""
        assert self._process is not None
        code = self._process.wait(_TIMEOUT_SECONDS)
        assert code == 0, f"the gateway ended with {code}: {self._log.read_text()[-2000:]}"

    def kill(self) -> None:
        """End it, if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_TIMEOUT_SECONDS)


def nginx_command(directory: Path, inside: str) -> list[str]:
    """Write the main file of an nginx with this inside of `http { }`, and return the command that runs it."""
    user = "user root;" if os.geteuid() == 0 else ""
    folders = " ".join(
        f"{name}_temp_path {directory};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = directory / "main.conf"
    file.write_text(
        f"{user} daemon off; pid nginx.pid; worker_processes 1; error_log {directory}/error.log;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ {folders}\n{inside}\n}}\n"
    )
    return [needed("nginx"), "-p", str(directory), "-c", str(file), "-e", str(directory / "error.log")]


@contextmanager
def nginx(directory: Path, port: int, configuration: str) -> Iterator[None]:
    """Run nginx with this inside of `http { }` until the block ends; it answers by the time that the block begins."""
    command = nginx_command(directory, f"access_log off;\n{configuration}")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until_status(port, "/livez")
            yield
        finally:
            process.terminate()


def until_status(port: int, path: str) -> None:
    """Return once a GET there is answered 200."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", path, headers={"Connection": "close"})
            with connection.getresponse() as response:
                if response.status == http.client.OK:
                    return
        time.sleep(0.05)
    raise AssertionError(f"port {port} did not answer {path} with 200 within {_START_SECONDS} s")
