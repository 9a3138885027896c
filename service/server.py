"""Serves an open gateway: listens, drains, stops."""

import asyncio
import contextlib
import gc
import signal
import socket
import stat
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import uvicorn

from service.app import Gateway, open_gateway
from service.errors import SettingsError
from service.http_protocol import Bounds, bounded_protocol
from service.observability.logs import Logging
from service.prompt_protocol import prompt_protocol
from service.settings import Settings

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than proxies keep idle connections (60 s is usual): closed at that end, never in the middle of a request."""

_BOUNDS: Final = Bounds()

_GC_THRESHOLDS: Final = (20_000, 50, 100)

_FINISH_SECONDS: Final = 10
"""How long requests under way may take to finish; the longest deadline a caller can name."""


class _Server(uvicorn.Server):
    """Uvicorn, with signals left to us: it would stop accepting at SIGTERM, and end with the signal's exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    settings: Settings, *, log: Logging, started: Callable[[Gateway, str], None], bounds: Bounds = _BOUNDS
) -> None:
    """Serve until SIGTERM or SIGINT. `started` is called with the gateway and its base URL once it answers.

    At SIGTERM readiness fails at once, everything is still answered for `drain_seconds`, because load balancers notice
    late, and then what is under way is finished. SIGINT, or a second signal, skips the wait.
    Raises `SettingsError` when it cannot listen where it should.
    """
    with contextlib.ExitStack() as listening:
        sockets = _listen(settings, listening)
        async with open_gateway(settings, log=log) as gateway:
            if len(sockets) > 1:
                gateway.asgi.operations_port = sockets[-1].getsockname()[1]
            server = _Server(_config(gateway, max_requests=settings.max_requests, bounds=bounds))
            _stop_at_signals(server, gateway, log, drain_seconds=settings.drain_seconds)
            base_url = _base_url(sockets[0])
            _spare_the_collector()
            log.logger.info("started", listening=base_url, operations_port=gateway.asgi.operations_port)
            started(gateway, base_url)
            await server.serve(sockets=sockets)
    log.logger.info("stopped")


def _spare_the_collector() -> None:
    """Let Python look for cycles rarely, and never among what was built to start.

    What a question leaves behind is freed without it; each of its full runs held up all callers for 40 to 50 ms. Nor
    is it run once before: that takes 28 ms of the start, and of 75 000 objects it found 10 to free.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _config(gateway: Gateway, *, max_requests: int, bounds: Bounds) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.asgi,
        http=prompt_protocol(
            bounded_protocol(
                max_requests=max_requests, shed=gateway.asgi.shed, refuse=gateway.asgi.refuse, bounds=bounds
            ),
            beginning=b"POST /verify/",
            answer_at_once=gateway.asgi.answer_at_once,
            answer_soon=gateway.asgi.answer_soon,
            is_beginning=gateway.asgi.is_beginning,
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # No decision, limit or log line may depend on a header that anybody can send.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )


def _stop_at_signals(server: uvicorn.Server, gateway: Gateway, log: Logging, *, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    def drain() -> None:
        if gateway.asgi.draining:
            stop()
            return
        gateway.asgi.draining = True
        gateway.readiness.draining()
        log.logger.info("draining", seconds=drain_seconds)
        loop.call_later(drain_seconds, stop)

    loop.add_signal_handler(signal.SIGTERM, drain)
    loop.add_signal_handler(signal.SIGINT, stop)


def _listen(settings: Settings, listening: contextlib.ExitStack) -> list[socket.socket]:
    """Return the socket for questions and, where it is set, the one for operations."""
    sockets = []
    if settings.unix_socket is not None:
        sockets.append(_listen_on_path(settings.unix_socket, listening))
    else:
        sockets.append(_listen_on_port(settings.host, settings.port, listening))
    operations = settings.operations
    if operations.port is not None:
        sockets.append(_listen_on_port(operations.host or settings.host, operations.port, listening))
    return sockets


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


def _base_url(listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    # Whoever reads this sits on this machine; "any address" is no address to ask.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
