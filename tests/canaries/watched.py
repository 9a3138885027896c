"""Canaries in tests: gateways that have some, what these show and ask, and time that passes for Redis too."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from service.redis.connect import RedisClient
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import SECRET, Asker, LogLines, opened, settings_from
from tests.reliability.store import BASE_URL, Statements, StoreLine

OWNER: Final = ("x-moon", "owner")
STRANGER: Final = ("x-moon", "stranger")

SECOND: Final = timedelta(seconds=1)
TEN_SECONDS: Final = timedelta(seconds=10)
FIVE_MINUTES: Final = timedelta(minutes=5)

_ITCH: Final = f'[itch]\napi_key = "{seed.SELLER_KEY}"\nbase_url = "{BASE_URL}"\ntimeout = 30\n'
"""Look-ups take no time here; while Redis gives out a turn, time may pass quickly."""

_AGE: Final = """
local fields = redis.call('HGETALL', KEYS[1])
for position = 1, #fields, 2 do
  local a_time = fields[position] == 'asked_at' or string.find(fields[position], '^[at]:')
  if a_time and string.find(fields[position + 1], '^%d+$') then
    redis.call('HSET', KEYS[1], fields[position], string.format('%.0f', fields[position + 1] - ARGV[1]))
  end
end
"""
"""Moves all times of the turns into the past, in one step: replicas may write meanwhile."""

_TIMEOUT_SECONDS: Final = 30.0
_TURNS: Final = 200


def canary_lines(owner: int = seed.OWNER_ID, stranger: int = seed.STRANGER_ID, *, game: int = seed.GAME_ID) -> str:
    """Return the configuration of a game and its canaries; with the defaults the sandbox answers as expected."""
    slug = "x-moon" if game == seed.GAME_ID else f"game-{game}"
    return f"""
[games.{slug}]
id = {game}
canary_owner_user_id = {owner}
canary_stranger_user_id = {stranger}
"""


@asynccontextmanager
async def watching(
    directory: Path,
    toml: str,
    *,
    sandbox: Sandbox,
    clock: FakeClock,
    log: LogLines,
    redis: RedisClient | None = None,
    itch: str = "",
) -> AsyncIterator[Asker]:
    """Open a gateway in front of this sandbox; `itch` is its store budget, without end by default."""
    line = StoreLine(sandbox, clock=clock, statements=Statements())
    settings = settings_from(directory, f'secret = "{SECRET}"\n{_ITCH}{itch}{toml}', sandbox=False, frugal=bool(itch))
    async with opened(settings, clock=clock, log=log, transport=line, redis=redis) as asker:
        yield asker


async def shown(asker: Asker, name: str = "canary_ok") -> dict[tuple[str, str], float]:
    """Return one of the two gauges, by game and expectation."""
    text = (await asker.http.get("/metrics")).text
    return {
        (sample.labels["game"], sample.labels["expect"]): sample.value
        for family in text_string_to_metric_families(text)
        if family.name == f"ownership_gateway_{name}"
        for sample in family.samples
    }


def asked(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """Return the look-ups about users among the last 200 requests, by path and user; each begins with one for keys."""
    users = ((seen.path, dict(seen.query).get("user_id")) for seen in sandbox.journal.report().last)
    return Counter((path, user) for path, user in users if user is not None and path.endswith("/download_keys"))


async def age(redis: Redis, duration: timedelta) -> None:
    """Let time pass for the turns in Redis."""
    for key in await redis.keys("og:v2:c:*"):
        await redis.eval(_AGE, 1, key, str(duration // timedelta(milliseconds=1)))


async def pass_time(
    clock: FakeClock, duration: timedelta, *, step: timedelta = TEN_SECONDS, redis: Redis | None = None
) -> None:
    """Let time pass in steps, for Redis first, and leave the gateways as long as they need to ask after each."""
    for _ in range(duration // step):
        if redis is not None:
            await age(redis, step)
        await clock.advance(step)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if redis is not None:
            await asyncio.sleep(0.01)


async def pass_until(
    happened: Callable[[], object], clock: FakeClock, *, step: timedelta = TEN_SECONDS, redis: Redis | None = None
) -> None:
    """Let time pass in steps until it has happened; fail if it never does."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        while not happened():
            await pass_time(clock, step, step=step, redis=redis)
