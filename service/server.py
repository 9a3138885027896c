"""The process: listens, drains, stops."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from service.accept_queue import empty_accept_queues
from service.app import Gateway, open_gateway
from service.http.application import Listener
from service.http.connection import Bounds
from service.http.protocol import HttpServer
from service.listening import BACKLOG, Listeners, listen
from service.observability.logs import Logging
from service.settings import Settings, SettingsReader

if TYPE_CHECKING:  # only for the type checker: a gateway without a sandbox imports nothing of it
    from service.sandbox.world_content import WorldContent

_GC_THRESHOLDS: Final = (20_000, 50, 100)

_FINISH_SECONDS: Final = 10
"""The time that requests under way have to finish: the longest deadline that a caller can name."""


async def serve(
    settings: Settings,
    *,
    log: Logging,
    started: Callable[[Gateway, str], None],
    reader: SettingsReader | None = None,
    bounds: Bounds | None = None,
    world: "WorldContent | None" = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `started` is called with the gateway and its base URL once it answers.

    At SIGHUP the configuration file is read again, by the `reader` of the settings.

    At SIGTERM readiness fails at once, everything is still answered for `drain_seconds`, because load balancers notice
    late, and then what is under way is finished. SIGINT, or a second signal, skips the wait.
    Raises `SettingsError` when it cannot listen where it should.
    """
    with ExitStack() as listening:
        listeners = listen(settings, listening)
        async with open_gateway(settings, log=log, reader=reader, bounds=bounds, world=world) as gateway:
            stopping = asyncio.Event()
            _heed_signals(stopping, gateway, log, drain_seconds=settings.drain_seconds)
            spare_the_collector()
            servers = await _accept(listeners, gateway.http)
            log.logger.info("started", listening=listeners.base_url, operations_port=listeners.operations_port)
            started(gateway, listeners.base_url)
            await stopping.wait()
            gateway.http.draining = True
            if listeners.path is not None:
                listeners.path.remove()
            await empty_accept_queues([*listeners.questions, *listeners.operations])
            for server in servers:
                server.close()
            await gateway.http.stop(within_seconds=_FINISH_SECONDS)
    log.logger.info("stopped")


def spare_the_collector() -> None:
    """Let Python look for cycles rarely, and never among what was built to start.

    What a question leaves behind is freed without it; each of its full runs held up all callers for 40 to 50 ms. Nor
    is it run once before: that takes 28 ms of the start, and of 75 000 objects it found 10 to free.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _accept(listeners: Listeners, http: HttpServer) -> list[asyncio.Server]:
    kind = Listener.QUESTIONS if listeners.operations else Listener.EVERYTHING
    return [
        *[await _accept_from(one, partial(http.protocol, kind)) for one in listeners.questions],
        *[await _accept_from(one, partial(http.protocol, Listener.OPERATIONS)) for one in listeners.operations],
    ]


async def _accept_from(listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if listener.family == socket.AF_UNIX:
        return await loop.create_unix_server(protocol, sock=listener, backlog=BACKLOG)
    return await loop.create_server(protocol, sock=listener, backlog=BACKLOG)


def _heed_signals(stopping: asyncio.Event, gateway: Gateway, log: Logging, *, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()

    def drain() -> None:
        if gateway.http.draining:
            stopping.set()
            return
        gateway.http.draining = True
        gateway.readiness.draining()
        log.logger.info("draining", seconds=drain_seconds)
        loop.call_later(drain_seconds, stopping.set)

    loop.add_signal_handler(signal.SIGTERM, drain)
    loop.add_signal_handler(signal.SIGINT, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: gateway.reload())  # noqa: PLW0108 - another one after a reset of the sandbox
