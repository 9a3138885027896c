"""Troubles around processes in company, each for some seconds, and which of them may be noticed meanwhile."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

from redis.asyncio import Redis

from service.sandbox.faults import Fault
from tests.fault_proxy import Mode
from tests.together.company import Company, Member
from tests.together.judgement import Judge

Trouble: TypeAlias = Callable[[Company, Judge, float], Awaitable[None]]
"""Befalls the company for that many seconds. What is over is noted."""

_FULL: Final = Path("/dev/full")
_OTHER_SECRET: Final = "another secret than that of all the others, as after a slip"


@asynccontextmanager
async def _noted(judge: Judge, name: str, turn: asyncio.Lock, *places: str) -> AsyncIterator[None]:
    """Have one trouble after the other of those that would end each other, and note each."""
    async with turn:
        with judge.trouble(name, time.monotonic, *places):
            yield


async def store_fails(met: Company, judge: Judge, seconds: float) -> None:
    """The store answers 500 to everything."""
    await _spoil_store(met, judge, "store fails", seconds, Fault(status=500))


async def store_hangs(met: Company, judge: Judge, seconds: float) -> None:
    """The store answers after a minute."""
    await _spoil_store(met, judge, "store hangs", seconds, Fault(latency_ms=60_000))


async def store_lies(met: Company, judge: Judge, seconds: float) -> None:
    """The store, or something before it, sends a page with status 200."""
    await _spoil_store(met, judge, "store lies", seconds, Fault(html_challenge=True, status=200))


async def _spoil_store(met: Company, judge: Judge, name: str, seconds: float, fault: Fault) -> None:
    async with _noted(judge, name, met.turn_of_store, "store"):
        met.sandbox.faults.replace([fault])
        try:
            await asyncio.sleep(seconds)
        finally:
            met.sandbox.faults.replace(())
            met.sandbox.mend()


async def redis_dies(met: Company, judge: Judge, seconds: float) -> None:
    """Redis is killed, and comes back empty."""
    async with _noted(judge, "redis dies", met.turn_of_redis, "redis"):
        met.redis.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(met.redis.start)


async def redis_freezes(met: Company, judge: Judge, seconds: float) -> None:
    """Redis takes commands and answers none."""
    async with _noted(judge, "redis freezes", met.turn_of_redis, "redis"):
        met.redis.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            met.redis.resume()


async def redis_is_slow(met: Company, judge: Judge, seconds: float) -> None:
    """Each answer of Redis takes 300 ms longer."""
    async with _noted(judge, "redis is slow", met.turn_of_redis, "redis"):
        for line in met.lines.values():
            line.delay = 0.15
            line.be(Mode.SLOW)
        await asyncio.sleep(seconds)
        for line in met.lines.values():
            line.be(Mode.PASS)


async def redis_flaps(met: Company, judge: Judge, seconds: float) -> None:
    """Redis is there for a fifth of a second at a time, for each replica at another time."""
    async with _noted(judge, "redis flaps", met.turn_of_redis, "redis"):
        ends = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < ends:
            for number, line in enumerate(met.lines.values()):
                line.be(Mode.REFUSE if (turn + number) % 2 else Mode.PASS)
            turn += 1
            await asyncio.sleep(0.2)
        for line in met.lines.values():
            line.be(Mode.PASS)


async def redis_lies(met: Company, judge: Judge, seconds: float) -> None:
    """All values in Redis change places, again and again: each is genuine, and another's."""
    async with _noted(judge, "redis lies", met.turn_of_redis, "redis"):
        ends = time.monotonic() + seconds
        async with Redis(host="127.0.0.1", port=met.redis.port) as client:
            while time.monotonic() < ends:
                names = [name async for name in client.scan_iter(count=1000) if await client.type(name) == b"string"]
                values = [await client.get(name) for name in names]
                for name, value in zip(names, [*values[1:], *values[:1]], strict=True):
                    if value is not None:
                        await client.set(name, value, keepttl=True)
                await asyncio.sleep(0.2)
            await client.flushall()


async def replica_dies(met: Company, judge: Judge, seconds: float) -> None:
    """A replica is killed, which is a relay's hub, and started again."""
    member = met.members["replica-1"]
    async with _noted(judge, "replica dies", member.turn, member.name):
        await member.kill()
        await asyncio.sleep(seconds)
        await member.start()


async def replica_freezes(met: Company, judge: Judge, seconds: float) -> None:
    """A replica stops for a while, with all its connections, and goes on."""
    member = met.members["replica-2"]
    async with _noted(judge, "replica freezes", member.turn, member.name):
        member.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            member.signal(signal.SIGCONT)


async def replica_is_throttled(met: Company, judge: Judge, seconds: float) -> None:
    """A replica gets a third of the time, in pieces of 100 ms: it is noticed by waiting alone."""
    member = met.members["replica-1"]
    async with _noted(judge, "replica is throttled", member.turn):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(0.066)
            member.signal(signal.SIGCONT)
            await asyncio.sleep(0.033)


async def all_restart(met: Company, judge: Judge, _seconds: float) -> None:
    """All are stopped and started in turn, as in a rollout."""
    for member in met.members.values():
        async with _noted(judge, "all restart", member.turn, member.name):
            await member.stop()
            await member.start()


async def relay_dies(met: Company, judge: Judge, seconds: float) -> None:
    """A relay is killed, and started again."""
    member = met.members["relay-2"]
    async with _noted(judge, "relay dies", member.turn, member.name):
        await member.kill()
        await asyncio.sleep(seconds / 2)
        await member.start()


async def descriptors_are_used_up(met: Company, judge: Judge, seconds: float) -> None:
    """A replica may open no file and no connection more."""
    member = met.members["replica-2"]
    async with _noted(judge, "descriptors are used up", member.turn, member.name):
        member.allow_descriptors(0)
        try:
            await asyncio.sleep(seconds)
        finally:
            member.allow_descriptors(None)


async def disk_is_full(met: Company, judge: Judge, seconds: float) -> None:
    """A replica whose log cannot be written, from its start on: only its operator notices."""
    await _run_otherwise(met, judge, "disk is full", met.members["replica-3"], seconds, log=_FULL)


async def secrets_differ(met: Company, judge: Judge, seconds: float) -> None:
    """A replica has another secret: nothing of the others helps it, and it harms none."""
    member = met.members["replica-3"]
    await _run_otherwise(met, judge, "secrets differ", member, seconds, SECRET=_OTHER_SECRET)


async def _run_otherwise(
    met: Company,
    judge: Judge,
    name: str,
    member: Member,
    seconds: float,
    *,
    log: Path | None = None,
    **environment: str,
) -> None:
    # With another secret, or just started, it has heard of no invalidation from before: as without Redis.
    with judge.trouble(name, time.monotonic, "redis"):
        async with member.turn:
            for settings, place in ((environment, log), ({}, None)):
                with judge.trouble(f"{name}: restart", time.monotonic, member.name):
                    await member.stop()
                    await member.start(log=place, **settings)
                await asyncio.sleep(seconds if settings or place else 0)


TROUBLES: Final[tuple[Trouble, ...]] = (
    store_fails,
    redis_dies,
    replica_dies,
    store_hangs,
    redis_freezes,
    all_restart,
    store_lies,
    redis_is_slow,
    replica_freezes,
    redis_flaps,
    replica_is_throttled,
    descriptors_are_used_up,
    redis_lies,
    relay_dies,
    disk_is_full,
    secrets_differ,
)
