"""A third of all callers hang up at some moment: the others are answered as usual, and nothing stays behind."""

import asyncio
import gc
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.clock import SystemClock
from service.http.application import Application
from service.http.connection import Request
from service.http.reply import Reply
from service.redis.connect import connect
from service.secret import RedisUrl
from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, X_MOON, Asker, LogLines, opened, pointing_at, settings_from, until
from tests.http.serving import Served, Wire, listening, post
from tests.redis_server import RedisServer
from tests.reliability.numbered_store import GAME, key_of, numbered_store, owns
from tests.reliability.wrapping import InFront
from tests.sizes import CUT_REQUESTS

WORKERS: Final = 40
EQUAL: Final = 6
"""How many ask about the same player at the same time, of whom nobody has asked before."""

FIRST: Final = 1
FEW: Final = 200
"""Requests that show what is broken."""

SAME: Final = 6
"""Equal footprints in a row, each a twentieth of a second after the last, after which nothing is under way."""

SETTLE_SECONDS: Final = 30.0
CUT: Final = 0.3
SLOWEST_SECONDS: Final = 0.01
"""How long the store may take, and how long a caller who hangs up may wait."""

App = Callable[[Application], Application]


class Bench(Struct, frozen=True):
    """A gateway on a port, with its store, its Redis and its log."""

    gateway: Asker
    server: Served
    redis: Redis
    """The gateway's own client."""
    operator: Redis


@asynccontextmanager
async def bench(directory: Path, server: RedisServer, log: LogLines, app: App) -> AsyncIterator[Bench]:
    """Open a gateway in real time, with a store and a Redis that are slow."""
    async with (
        numbered_store(slowest_seconds=SLOWEST_SECONDS, chance=random.Random(1)) as store,
        FaultProxy(server.port) as proxy,
    ):
        proxy.delay = 0.001
        proxy.be(Mode.SLOW)
        client = connect(RedisUrl(f"redis://127.0.0.1:{proxy.port}"))
        assert isinstance(client, Redis)
        toml = f'secret = "{SECRET}"\n{pointing_at(store)}{X_MOON}'
        settings = settings_from(directory, toml, sandbox=False)
        clock = SystemClock()
        async with (
            client,
            Redis.from_url(server.url) as operator,
            opened(settings, clock=FakeClock(), real_clock=clock, log=log, level="warning", redis=client) as gateway,
        ):
            http = gateway.gateway.http
            http.application = app(http.application)
            async with listening(http) as seen:
                yield Bench(gateway, seen, client, operator)


class Callers:
    """Asks, on connections that are kept unless their caller hangs up."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self._chance = random.Random(7)
        self._first = self._next = FIRST
        self.cut = 0

    async def ask(self, count: int, *, cut: float = CUT) -> None:
        """Ask so many questions, as many at a time as there are workers."""
        numbers = iter(range(count))
        self._first = self._next
        self._next += count // EQUAL + 1
        ended = await asyncio.gather(*(self._work(numbers, cut) for _ in range(WORKERS)), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _work(self, numbers: Iterator[int], cut: float) -> None:
        wire = await Wire.to(self._server.port)
        try:
            for number in numbers:
                newest = self._first + number // EQUAL
                player = newest if number % 3 else self._chance.randint(FIRST, newest)
                await wire.send(self._question(player, number))
                if self._chance.random() < cut:
                    await asyncio.sleep(self._chance.random() * SLOWEST_SECONDS)
                    wire.cut()
                    wire = await Wire.to(self._server.port)
                    self.cut += 1
                else:
                    await self._check(wire, player)
        finally:
            wire.cut()

    def _question(self, player: int, number: int) -> bytes:
        fields: dict[str, object] = {"game": GAME, "deadline_ms": 10_000, "max_age": 3600 if number % 3 else 0}
        if player % 2:
            path, fields["user_id"] = "/verify/user", player
        else:
            path, fields["download_key"] = "/verify/download-key", key_of(player)
        return post(path, msgspec.json.encode(fields), "Content-Type: application/json")

    async def _check(self, wire: Wire, player: int) -> None:
        try:
            status, content = await wire.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise AssertionError("somebody who did not hang up was hung up on") from None
        assert status == 200, content
        body = msgspec.json.decode(content)
        evidence = body["evidence"] and body["evidence"]["id"]
        assert (body["allowed"], evidence) == ((True, player) if owns(player) else (False, None)), "not theirs"


async def footprint(at: Bench) -> tuple[int, int, int, int, int]:
    """Return what the callers have left behind: tasks, descriptors, requests, connections of Redis, and leases."""
    await until(lambda: not at.server.connections)
    pool = at.redis.connection_pool
    leases = [key async for key in at.operator.scan_iter("og:v2:l:*")]
    await pool.disconnect(inuse_connections=False)
    await asyncio.sleep(0.05)  # the proxy's ends of those connections
    return (
        len(asyncio.all_tasks()),
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - without a Path for each
        at.gateway.gateway.http.in_flight,
        len(pool._in_use_connections),
        len(leases),
    )


async def settled(at: Bench, *, at_most: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return the footprint once it has stayed the same, no lease is left, and it is no more than `at_most`.

    Requests under way have time to end, and so have the tries of a Redis that a busy machine made late.
    """
    gc.collect()
    give_up_at = time.monotonic() + SETTLE_SECONDS
    left = [await footprint(at)]
    while time.monotonic() < give_up_at and (
        left[-SAME:] != [left[-1]] * SAME or left[-1][-1] or not is_within(left[-1], at_most)
    ):
        left.append(await footprint(at))
    return left[-1]


def is_within(left: tuple[int, ...], at_most: tuple[int, ...] | None) -> bool:
    """Whether no more is left than that."""
    return at_most is None or all(now <= was for now, was in zip(left, at_most, strict=True))


def whole(application: Application) -> Application:
    """Let the application be as it is."""
    return application


class OneForAll(InFront):
    """Broken: equal questions share the answer of the first, which is asked for in the first caller's own task."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._first: dict[bytes, asyncio.Future[Reply]] = {}

    async def reply(self, request: Request) -> Reply:
        """Join the first, or be it."""
        if request.body in self._first:
            return await self._first[request.body]
        first = self._first[request.body] = asyncio.get_running_loop().create_future()
        try:
            reply = await super().reply(request)
            first.set_result(reply)
        finally:
            first.cancel()
            del self._first[request.body]
        return reply


class MixedUp(InFront):
    """Broken: the answer that a caller did not wait for is given to the next."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._left: list[asyncio.Task[Reply]] = []

    async def reply(self, request: Request) -> Reply:
        """Answer with what is left, if anything is."""
        answering = asyncio.ensure_future(super().reply(request))
        if self._left:
            answering, left = self._left.pop(), answering
            self._left.append(left)
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:
            self._left.append(answering)
            raise


class Attached(InFront):
    """Broken: a caller that hangs up is waited for."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._waiting: list[asyncio.Task[bool]] = []

    async def reply(self, request: Request) -> Reply:
        """Answer; if nothing wants it, wait."""
        try:
            return await super().reply(request)
        except asyncio.CancelledError:
            self._waiting.append(asyncio.ensure_future(asyncio.Event().wait()))
            raise


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """End what a broken gateway leaves behind."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@variants(whole, one_for_all=OneForAll, mixed_up=MixedUp, attached=Attached)
@pytest.mark.usefixtures("no_task_left")
async def test_whoever_stays_is_answered_and_nothing_is_left_of_who_does_not(
    variant: Variant[App], tmp_path: Path, own_redis: RedisServer
) -> None:
    """Every answer is about its question; then tasks, descriptors, connections and leases are as before."""
    log = LogLines()
    count = FEW if variant.broken else CUT_REQUESTS
    async with bench(tmp_path, own_redis, log, variant.make) as at:
        callers = Callers(at.server)
        await callers.ask(2 * WORKERS, cut=0.0)
        before = await settled(at)
        with promised(variant):
            await callers.ask(count)
            after = await settled(at, at_most=None if variant.broken else before)
            assert is_within(after, before), (before, after)
            await callers.ask(2 * WORKERS, cut=0.0)
            assert callers.cut > count * CUT * 0.7
            assert not log.lines("bug")
