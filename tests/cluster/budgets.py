"""Store budgets for tests: one of a process, or those of several replicas, and time that passes for Redis too."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from redis.asyncio import Redis

from service.errors import NoAnswer
from service.limits.cluster_budget import ClusterBudget
from service.limits.store_budget import ProcessBudget
from service.redis.connect import RedisClient
from tests.clock import FakeClock
from tests.limits.buckets import FOREGROUND, Reported, make, seconds

KEY: Final = "og:v2:b:test"

_TIMEOUT_SECONDS: Final = 10.0

AnyBudget: TypeAlias = ProcessBudget | ClusterBudget


class Bench(Protocol):
    """A budget under test, and the time in which it lives."""

    clock: FakeClock
    reported: Reported

    @property
    def budget(self) -> AnyBudget:
        """The budget."""

    async def pass_time(self, number: float) -> None:
        """Let so many seconds pass."""

    async def settle(self) -> None:
        """Do nothing: a single process has no notes under way."""


class ProcessBench:
    """One token bucket."""

    def __init__(self, *, rate: float, burst: int, timeout: float, jitter: float = 1.0) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.budget = make(self.clock, self.reported, rate=rate, burst=burst, timeout=timeout, jitter=jitter)

    async def pass_time(self, number: float) -> None:
        """Move the clock."""
        await self.clock.advance(seconds(number))

    async def settle(self) -> None:
        """Do nothing: a single process has no other to tell."""


class ClusterBench:
    """Replicas with one Redis; each may spend an equal part of rate and burst without it.

    Redis has a clock of its own: time passes there because its timestamps are moved into the past. With
    `keys` the replicas have one each, and so share nothing: broken on purpose.
    """

    def __init__(
        self,
        client: RedisClient,
        operator: Redis,
        *,
        rate: float,
        burst: int,
        timeout: float,
        jitter: float = 1.0,
        replicas: int = 1,
        keys: Sequence[str] = (),
    ) -> None:
        self.clock = FakeClock()
        self.operator = operator
        self.keys = keys or [KEY] * replicas
        self.all_reported = [Reported() for _ in self.keys]
        self.owns = [
            make(
                self.clock,
                reported,
                rate=rate / len(self.keys),
                burst=max(1, burst // len(self.keys)),
                timeout=timeout,
                jitter=jitter,
            )
            for reported in self.all_reported
        ]
        self.budgets = [
            ClusterBudget(
                own=own,
                client=client,
                key=key,
                rate=rate,
                burst=burst,
                timeout=seconds(timeout),
                clock=self.clock,
                jitter=lambda: jitter,
            )
            for own, key in zip(self.owns, self.keys, strict=True)
        ]
        self.budget = self.budgets[0]
        self.reported = self.all_reported[0]

    async def pass_time(self, number: float) -> None:
        """Move the clocks of all replicas and of Redis."""
        await self.pass_in_redis(number)
        await self.clock.advance(seconds(number))

    async def pass_in_redis(self, number: float) -> None:
        """Move the clock of Redis alone."""
        for key in sorted(set(self.keys)):
            for field in ("counted_at", "paused_until"):
                instant = await self.operator.hget(key, field)
                if instant is not None:
                    await self.operator.hset(key, field, str(float(instant) - round(number * 1000)))

    async def settle(self) -> None:
        """Wait until all notes of the replicas have reached Redis."""
        for budget in self.budgets:
            await budget.close()

    async def known(self, field: str, key: str = KEY) -> float:
        """Return what Redis has of the budget."""
        value = await self.operator.hget(key, field)
        assert value is not None
        return float(value)


async def drain(budget: AnyBudget, *, most: int = 10_000) -> int:
    """Ask until there is no token left without waiting; return the number of tokens."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        for number in range(most):
            try:
                await budget.acquire(FOREGROUND)
            except NoAnswer:
                return number
    return most
