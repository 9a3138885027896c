"""A real Redis for the tests, which they may fill, freeze and kill."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.cache.certificates import write_certificate

_INSTALL: Final = Path(__file__).parent / "install_redis.sh"
_START_SECONDS: Final = 10.0
_GREETINGS: Final = (b"+PONG", b"-NOAUTH", b"-LOADING", b"-DENIED")


@cache
def redis_binary() -> str:
    """Return a Redis or Valkey server, installing one where that is possible."""
    script = subprocess.run([_INSTALL], capture_output=True, text=True, check=False)
    if script.returncode:
        raise RuntimeError(script.stderr)
    return script.stdout.splitlines()[-1]


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """One server process on loopback and on a Unix socket, without persistence.

    `arguments` are its command line (`"--requirepass", "…"`); `{directory}` in them is its working directory.
    `configuration` is a file it reads first, and may write to, as a Sentinel does.
    `plain` is False for a server that speaks only TLS on its port: it is then found by its Unix socket.
    """

    def __init__(
        self,
        *,
        arguments: Sequence[str] = (),
        configuration: Path | None = None,
        port: int | None = None,
        plain: bool = True,
    ) -> None:
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket_path = self.directory / "redis.sock"
        self._arguments = [argument.format(directory=self.directory) for argument in arguments]
        self._configuration = [str(configuration)] if configuration is not None else []
        self._listen = ["--port", str(self.port)] if plain else ["--port", "0", "--tls-port", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL, without any password."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on the same port as ever, and return when it answers."""
        command = [
            redis_binary(), *self._configuration, *self._listen,
            "--bind", "127.0.0.1", "--unixsocket", str(self.socket_path),
            "--dir", str(self.directory), "--save", "", "--appendonly", "no",
            *self._arguments,
        ]  # fmt: skip
        log = self.directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.kill()
                raise RuntimeError(f"Redis did not start: {log.read_text()}")
            time.sleep(0.005)

    def stop(self) -> None:
        """End it and forget all it wrote."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back, empty."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket_path.unlink(missing_ok=True)

    def pause(self) -> None:
        """Freeze it: connections stay open, and no command is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("Redis is not running")
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.socket_path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(_GREETINGS)
        return False


def tls_server(directory: Path) -> RedisServer:
    """Return a server that speaks only TLS, with a `certificate.pem` for 127.0.0.1 in the directory."""
    write_certificate(directory, address="127.0.0.1")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    arguments = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    return RedisServer(arguments=arguments, plain=False)
