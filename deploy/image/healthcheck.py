"""Asks the gateway in the same container whether it is alive: the image's HEALTHCHECK, without curl or a shell.

It finds the gateway as the gateway finds its own address, in the environment and the TOML file. Ends in 0 when
`/livez` answers 200, else in 1 with one line that says why. While the gateway drains it is alive, and not to be killed.
"""  # noqa: INP001 - a script that the image carries beside the package

import http.client
import os
import socket
import sys
from pathlib import Path
from typing import Final

from service.errors import SettingsError
from service.settings import Settings, load_settings

_PATIENCE_SECONDS: Final = 3
_OWN_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(str(self._path))


def _connection(settings: Settings) -> http.client.HTTPConnection:
    operations = settings.operations
    if operations.port is None and settings.unix_socket is not None:
        return _UnixConnection(settings.unix_socket)
    host, *_ = settings.host if operations.port is None else operations.host or settings.host
    port = settings.port if operations.port is None else operations.port
    return http.client.HTTPConnection(_OWN_ADDRESS.get(host, host), port, timeout=_PATIENCE_SECONDS)


def main() -> str | None:
    """Return why the gateway is not alive, None when it is."""
    try:
        # The source is the gateway's own business, and a flag of `serve` may name it.
        connection = _connection(load_settings(os.environ, require_source=False, require_callers=False))
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except SettingsError as error:
        return str(error)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({type(error).__name__})"
    return None if status == http.client.OK else f"/livez answers {status}"


if __name__ == "__main__":
    sys.exit(main())
