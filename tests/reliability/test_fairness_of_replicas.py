"""No caller pays for another at any of several replicas, which share the store budget in a real Redis.

Time is virtual, and passes for Redis too. It has a clock of its own beside it, by which a test lasts seconds: so all
that takes a second elsewhere takes a minute here.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from service.redis.connect import MAX_CONNECTIONS
from service.verification.interfaces import Lane, Priority
from tests.cluster.budgets import ClusterBench
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until
from tests.reliability.test_fairness import BURST, FLOOD, RATE, REAL, Parts, RenamedQueue, Town, one_line

SECOND: Final = timedelta(minutes=1)
STEP: Final = SECOND / 10
STEPS: Final = 200
BOTH, OTHER, FLOODED = range(3)
"""The replicas: the flood comes to two of them, the players of the other caller to the first and to one of its own."""


class Watched(Redis):
    """A client that knows how many of its commands are under way."""

    under_way = 0

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Count it while it is."""
        self.under_way += 1
        try:
            return await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]  # nor is redis-py's
        finally:
            self.under_way -= 1


class Greedy(RenamedQueue):
    """A queue in which each request asks for a turn as soon as it comes, in the order of coming."""

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:  # noqa: ARG002 - all are alike
        """Ask Redis at once."""
        self.admit(lane, within=SECOND * 3)
        await self._budget.acquire(Priority.FOREGROUND)

    def end_turn(self, lane: Lane) -> None:
        """Hold nothing."""


class Replicas:
    """Three gateways without their HTTP, with one store budget."""

    def __init__(self, client: Watched, operator: Redis, parts: Parts) -> None:
        self._client = client
        self._bench = ClusterBench(
            client, operator, rate=RATE / SECOND.total_seconds(), burst=BURST, timeout=240, replicas=3
        )
        self.towns = [
            Town(parts, clock=self._bench.clock, budget=budget, second=SECOND) for budget in self._bench.budgets
        ]

    async def live_through(self, *, flood: bool) -> tuple[Counter[str], Counter[str]]:
        """Return the answers to a caller's new players, two in a second, at the first replica and at the second.

        With a `flood`, fifty a second of another caller come to the first and to the third.
        """
        players: list[list[asyncio.Task[str]]] = [[], [], []]
        others = []
        for step in range(STEPS):
            if step % 5 == 0:
                index = step // 5 % 2
                players[index].append(self.towns[index].asking(step))
            if flood:
                for index in (BOTH, FLOODED):
                    first = 10_000 * (index + 1) + 5 * step
                    others += [self.towns[index].asking(first + number, caller=FLOOD) for number in range(5)]
            await self._step()
        for _ in range(31):
            await self._step()
        await asyncio.gather(*others)
        answers = [Counter([await task for task in tasks]) for tasks in players]
        return answers[BOTH], answers[OTHER]

    async def close(self) -> None:
        """Leave nothing under way."""
        for town in self.towns:
            await town.close()
        await self._bench.settle()

    async def _step(self) -> None:
        await self._until_idle()
        await self._bench.pass_time(STEP.total_seconds())
        await self._until_idle()

    async def _until_idle(self) -> None:
        """Return once all that can be done without time passing is done."""
        await self._bench.clock.advance(timedelta())
        while self._client.under_way:
            await until(lambda: not self._client.under_way)
            await self._bench.clock.advance(timedelta())


Open = Callable[[Parts], Awaitable[Replicas]]


@pytest.fixture
async def open_replicas(redis_url: str, empty_redis: Redis) -> AsyncIterator[Open]:
    """Open replicas in front of an empty Redis."""
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=MAX_CONNECTIONS, timeout=10, socket_timeout=10)
    opened: list[Replicas] = []
    async with Watched.from_pool(pool) as client:
        assert isinstance(client, Watched)

        async def make(parts: Parts) -> Replicas:
            await empty_redis.flushall()
            opened.append(Replicas(client, empty_redis, parts))
            return opened[-1]

        yield make
        for replicas in opened:
            await replicas.close()


@variants(REAL, one_queue_in_the_order_of_asking=Parts(lane=one_line), a_turn_for_each_who_asks=Parts(queue=Greedy))
async def test_a_flood_at_some_replicas_costs_no_player_at_any(variant: Variant[Parts], open_replicas: Open) -> None:
    """Of the other caller's players as many are in as without the flood, give or take one, at each replica."""
    quiet = await (await open_replicas(variant.make)).live_through(flood=False)
    beside = await (await open_replicas(variant.make)).live_through(flood=True)

    with promised(variant):
        for with_flood, without in zip(beside, quiet, strict=True):
            assert with_flood["download_key"] >= without["download_key"] - 1
