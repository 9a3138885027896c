"""Serves an open gateway: listens, drains, stops."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Generator
from typing import Final

import uvicorn

from service.app import Gateway, open_gateway
from service.http_protocol import Bounds, bounded_protocol
from service.listening import Listeners, listen
from service.observability.logs import Logging
from service.prompt_protocol import prompt_protocol
from service.settings import Settings

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
        listeners = listen(settings, listening)
        async with open_gateway(settings, log=log) as gateway:
            gateway.asgi.operations_port = listeners.operations_port
            server = _Server(_config(gateway, settings, bounds=bounds))
            _stop_at_signals(server, gateway, listeners, log, drain_seconds=settings.drain_seconds)
            _spare_the_collector()
            log.logger.info("started", listening=listeners.base_url, operations_port=gateway.asgi.operations_port)
            started(gateway, listeners.base_url)
            await server.serve(sockets=[*listeners.questions, *listeners.operations])
    log.logger.info("stopped")


def _spare_the_collector() -> None:
    """Let Python look for cycles rarely, and never among what was built to start.

    What a question leaves behind is freed without it; each of its full runs held up all callers for 40 to 50 ms. Nor
    is it run once before: that takes 28 ms of the start, and of 75 000 objects it found 10 to free.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _config(gateway: Gateway, settings: Settings, *, bounds: Bounds) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.asgi,
        http=prompt_protocol(
            bounded_protocol(
                max_requests=settings.max_requests, shed=gateway.asgi.shed, refuse=gateway.asgi.refuse, bounds=bounds
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
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )


def _stop_at_signals(
    server: uvicorn.Server, gateway: Gateway, listeners: Listeners, log: Logging, *, drain_seconds: float
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if listeners.path is not None:
            listeners.path.remove()
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
