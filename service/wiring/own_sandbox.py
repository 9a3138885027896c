"""A sandbox of the gateway's own: its server, its control endpoints in front of the API, and a gateway that resets.

A reset closes all of the gateway but its connections, and opens it again in front of a new world. So nothing of one
test is left for the next one, and no part of the gateway needs to know how it is emptied.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Final, TypeAlias

from service.api.identifiers import request_id_from
from service.api.problems import common_headers, status_reply
from service.http.application import Answering, Application, Listener
from service.http.asgi import path_of
from service.http.connection import Bounds, HttpRefusal, Request
from service.http.protocol import HttpServer
from service.http.reply import Reply
from service.itch.dialect import Dialect
from service.itch.seller_key import KeySlot
from service.redis.background_tasks import BackgroundTasks
from service.sandbox.control import LARGEST_BODY, PREFIX, control
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY, WORLD
from service.sandbox.state import Sandbox
from service.sandbox.store_answers import SANDBOX_HEADER, SANDBOX_HEADER_VALUE
from service.sandbox.world_content import Game, WorldContent
from service.secret import SellerKey
from service.settings import Settings
from service.verification.interfaces import Clock
from service.wiring.gateway import Gateway
from service.wiring.http import build_http
from service.wiring.upstream import StoreAddress

_PATH: Final = {Dialect.CURRENT: "", Dialect.SERVER_SIDE: "/api/1"}
_LEARNING_SECONDS: Final = 1.0
"""The longest that a reset waits until the gateway has asked whose key it has; at a configured pace that may take."""

Build: TypeAlias = Callable[[AsyncExitStack, "OwnSandbox", HttpServer], Awaitable[Gateway]]
"""Opens a gateway in front of the sandbox as it is now, behind those connections, to be closed by that stack."""


class OwnSandbox:
    """The sandbox of a gateway, which is served while the gateway is open."""

    def __init__(self, sandbox: Sandbox, server: SandboxServer, dialect: Dialect) -> None:
        self.sandbox = sandbox
        self._server = server
        self._dialect = dialect

    def address(self) -> StoreAddress:
        """Return the address of the sandbox's store, with the number of its world and the seller's key untried."""
        slot = KeySlot("sandbox", SellerKey(SELLER_KEY), file=None)
        base_url = self._server.base_url + _PATH[self._dialect]
        return StoreAddress(self._dialect, base_url, [slot], self.sandbox.world_number)

    def game_called(self, slug: str) -> int | None:
        """Return the id of the seller's game with that slug in the store."""
        game = self.sandbox.world.game_called(slug)
        return None if game is None else game.id

    def add_games(self, settings: Settings) -> None:
        """Add each configured game that the store does not know, as the seller's."""
        world = self.sandbox.world
        for game in settings.games:
            world.games.setdefault(game.id, Game(game.id, game.slug, game.slug, world.seller.id))

    def as_moved(self, redis_time: Callable[[datetime], datetime]) -> Callable[[datetime], datetime]:
        """Return a clock of Redis that is as far ahead as that of the sandbox: else it would take the time back."""
        clock = self.sandbox.clock
        return lambda instant: clock.moved(redis_time(instant))


async def open_own_sandbox(
    stack: AsyncExitStack, settings: Settings, clock: Clock, world: WorldContent | None = None
) -> OwnSandbox:
    """Serve a sandbox until the stack is closed: on a loopback port, where the gateway asks it as it asks itch.io.

    It begins with that `world`, or its usual one, and with every configured game.
    """
    sandbox = Sandbox(clock=clock, content=WORLD if world is None else world)
    server = await stack.enter_async_context(SandboxServer(sandbox))
    own = OwnSandbox(sandbox, server, Dialect(settings.itch.dialect.value))
    own.add_games(settings)
    return own


class ControlEndpoints:
    """Implements `Application`: the sandbox's control endpoints, and for all other requests the application behind.

    While there is none behind, as during a reset, these requests wait. Control endpoints are never shed: else a crowd
    that waits for a slow store could not be helped. With a `console` they are on the listener for operations too, where
    the console is.
    """

    def __init__(self, sandbox: Sandbox, *, console: bool) -> None:
        self._sandbox = sandbox
        self._console = console
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self._behind: Application
        self.tasks: set[asyncio.Task[Reply]] = set()
        """Requests under way that are not with the application behind."""

    def open(self, application: Application) -> None:
        """Have this application behind from now on."""
        self._behind = application
        self._opened.set()

    def close(self) -> None:
        """Have none behind, until the next is opened."""
        self._opened.clear()

    def answer(self, request: Request, listener: Listener) -> Answering:
        """Return the reply to a request, or the task that will have it."""
        if self._is_control(request, listener):
            return self._start(self._control(request))
        if self._opened.is_set():
            return self._behind.answer(request, listener)
        return self._start(self._answer_later(request, listener))

    def shed(self, request: Request, listener: Listener) -> Answering:
        """Refuse a request that comes on top of what can be taken on, unless it is a control endpoint's."""
        if self._is_control(request, listener) or not self._opened.is_set():
            return self.answer(request, listener)
        return self._behind.shed(request, listener)

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Answer bytes that are no request."""
        return self._behind.refuse(refusal)

    def crashed(self, bug: BaseException) -> Reply:
        """Answer a request whose answering raised."""
        return self._behind.crashed(bug)

    def _start(self, answering: Coroutine[None, None, Reply]) -> asyncio.Task[Reply]:
        task = self._loop.create_task(answering)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _answer_later(self, request: Request, listener: Listener) -> Reply:
        await self._opened.wait()
        self.tasks.difference_update({asyncio.current_task()})
        answering = self._behind.answer(request, listener)
        return answering if isinstance(answering, Reply) else await answering

    async def _control(self, request: Request) -> Reply:
        method = "GET" if request.method == b"HEAD" else request.method.decode("ascii")
        site = request.headers.get(b"sec-fetch-site", b"").decode("latin-1")
        answer = await control(self._sandbox, method, path_of(request.target), request.body, site=site)
        request_id = request_id_from(request.headers.get(b"x-request-id"), at=self._sandbox.now())
        if answer is None:
            return status_reply(404, request_id=request_id)
        headers = {SANDBOX_HEADER.lower(): SANDBOX_HEADER_VALUE} | {
            name.lower(): value for name, value in answer.headers
        }
        return Reply(answer.status, answer.body, answer.content_type, headers | common_headers(request_id))

    def _is_control(self, request: Request, listener: Listener) -> bool:
        here = self._console or listener is not Listener.OPERATIONS
        return here and f"{path_of(request.target)}/".startswith(f"{PREFIX}/")


class ResettableGateway:
    """Implements `GatewayInFront`: a gateway that a control endpoint may reset, on the same connections."""

    def __init__(self, own: OwnSandbox, settings: Settings, build: Build, *, bounds: Bounds | None) -> None:
        self._own = own
        self._build = build
        self._control = ControlEndpoints(own.sandbox, console=settings.serves_console)
        self._http = build_http(settings, self._control, now=own.sandbox.now, bounds=bounds, largest_body=LARGEST_BODY)
        self._parts = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._resets = BackgroundTasks()
        self._open: Gateway | None = None

    async def open(self) -> Gateway:
        """Return the gateway, open; it is the same object after each reset."""
        gateway = await self._build(self._parts, self._own, self._http)
        if self._open is None:
            self._open = gateway
            self._own.sandbox.gateway = self
        else:
            self._open.become(gateway)
        self._control.open(gateway.application)
        return self._open

    async def close(self) -> None:
        """Close it."""
        await self._resets.close()
        await self._parts.aclose()

    def forget_failures(self) -> None:
        """Have the store asked at once about what it gave no usable answer to."""
        if self._open is None:
            raise AssertionError("a sandbox was mended before its gateway was open")
        self._open.forget_failures()

    async def reset(self) -> None:
        """Begin again in front of a new world. It goes on if the request that asked for it is cancelled."""
        await asyncio.shield(self._resets.start(self._reset()))

    async def _reset(self) -> None:
        async with self._turn:
            self._control.close()
            questions = self._http.tasks - self._control.tasks
            for question in questions:
                question.cancel()  # its connection is closed
            await asyncio.gather(*questions, return_exceptions=True)
            await self._parts.aclose()
            self._own.sandbox.begin_again()
            gateway = await self.open()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEARNING_SECONDS):
                    await gateway.learned.wait()
            self._own.sandbox.journal.clear()


async def open_resettable(
    stack: AsyncExitStack,
    settings: Settings,
    build: Build,
    *,
    clock: Clock,
    bounds: Bounds | None,
    world: WorldContent | None,
) -> Gateway:
    """Open a gateway with a sandbox of its own, until the stack is closed."""
    own = await open_own_sandbox(stack, settings, clock, world)
    resettable = ResettableGateway(own, settings, build, bounds=bounds)
    stack.push_async_callback(resettable.close)
    return await resettable.open()
