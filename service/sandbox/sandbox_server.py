"""Serves the sandbox, on loopback unless told otherwise, inside the event loop that is running already."""

import asyncio
import logging
import socket
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_logger: Final = logging.getLogger("service.sandbox.server")
_ASKED_FOR: Final = "ASGI callable returned without completing response."
_FINISH_SECONDS: Final = 1
"""How long answers that have lost their connection may take to notice."""


def _was_not_asked_for(record: logging.LogRecord) -> bool:
    # A truncated answer is a fault that somebody ordered, so it is none of the server's to complain about.
    return record.msg != _ASKED_FOR


_logger.addFilter(_was_not_asked_for)


class _Protocol(HttpToolsProtocol):
    """Uvicorn's own, with a logger of its own: quieting uvicorn's would quieten the gateway's server too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*args, **kwargs)
        self.logger = _logger
        self.access_log = False


class SandboxServer:
    """`async with SandboxServer(app) as server`: serves at `server.base_url` meanwhile.

    Entering raises `OSError` where it cannot listen. It takes no signals and runs no lifespan. On the way out it hangs
    up on whoever is still being answered, however slowly a fault makes that.
    """

    def __init__(self, app: Litestar, *, host: str = "127.0.0.1", port: int = 0) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            date_header=False,
            server_header=False,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._host = host
        self._port = port
        self._sockets: list[socket.socket] = []

    @property
    def base_url(self) -> str:
        """Where the sandbox is."""
        host, port = self._sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._sockets = [socket.create_server((self._host, self._port), family=family)]
        # Uvicorn's `serve` would take over the process's signals; these two are all that it does besides.
        await self._server.startup(sockets=self._sockets)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Uvicorn's `shutdown` would wait a tenth of a second for whoever still reads: here that is nobody.
        for server in self._server.servers:
            server.close()
        for listener in self._sockets:
            listener.close()
        state: ServerState = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_FINISH_SECONDS)
        for server in self._server.servers:
            await server.wait_closed()
