"""The time until a ban on one gateway holds on the others: five processes and one Redis, which is killed in between.

Each ban is told to another gateway than the one before. It holds when the last of the others has said so, which each of
them is asked again and again meanwhile: what a figure has too much is the time between two such questions.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Final

import httpx
from msgspec import Struct

from benchmarks.identities import GAME
from benchmarks.laboratory import Laboratory
from benchmarks.load import TOKEN
from benchmarks.processes import CORES, BenchmarkError
from service.ownership import Outcome

GATEWAYS: Final = 5
MOST_SECONDS: Final = 2.0
_FIRST_ID: Final = 30_000_000
_SECONDS_OF_A_BAN: Final = 3600
_PARTS: Final = 3
"""Redis is killed and emptied between them."""
_PAUSE_SECONDS: Final = 0.005
_LONGEST_SECONDS: Final = 30.0


class Bans(Struct, frozen=True):
    """The seconds from the ban's request until all others held it; and from Redis' return, for bans told before it."""

    seconds: tuple[float, ...]
    seconds_after_redis: tuple[float, ...]


def measure_bans(*, rounds: int, tell: Callable[[str], None]) -> Bans:
    """Ban so many players, one after the other."""
    with Laboratory() as laboratory:
        urls = [laboratory.gateway(cores=CORES).base_url for _ in range(GATEWAYS)]
        return asyncio.run(_measure(laboratory, urls, rounds, tell))


def table(bans: Bans) -> str:
    """Return the figures as lines of text."""
    longest = max(bans.seconds)
    return "\n".join(
        [
            f"a ban on one of {GATEWAYS} gateways holds on the others after, in {len(bans.seconds)} rounds:",
            f"median {median(bans.seconds):.2f} s, longest {longest:.2f} s, at most {MOST_SECONDS:.0f}: "
            + ("met" if longest <= MOST_SECONDS else "MISSED"),
            "a ban told while Redis was away holds on the others after Redis is back, and empty:",
            ", ".join(f"{seconds:.2f} s" for seconds in bans.seconds_after_redis),
        ]
    )


async def _measure(laboratory: Laboratory, urls: Sequence[str], rounds: int, tell: Callable[[str], None]) -> Bans:
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        gateways = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, headers=headers, timeout=_LONGEST_SECONDS, trust_env=False)
            )
            for url in urls
        ]
        seconds: list[float] = []
        after_redis: list[float] = []
        for number in range(rounds):
            if number and number % -(-rounds // _PARTS) == 0:
                tell("Redis is killed, and comes back empty")
                after_redis.append(await _through_an_outage(laboratory, gateways, _FIRST_ID - number))
            teller = gateways[number % GATEWAYS]
            user_id = _FIRST_ID + number
            await _all_say(gateways, user_id, Outcome.NOT_OWNED)
            began = time.monotonic()
            if not await _ban(teller, user_id):
                raise BenchmarkError("a ban was told while Redis did not answer")
            await _all_say(gateways, user_id, Outcome.BANNED)
            seconds.append(time.monotonic() - began)
            tell(f"round {number + 1} of {rounds}: {seconds[-1]:.2f} s")
        return Bans(tuple(seconds), tuple(after_redis))


async def _through_an_outage(laboratory: Laboratory, gateways: Sequence[httpx.AsyncClient], user_id: int) -> float:
    """Kill Redis, ban a player, start it again, and return how long it took then until all held the ban."""
    await _all_say(gateways, user_id, Outcome.NOT_OWNED)
    laboratory.redis_server.kill()
    if await _ban(gateways[0], user_id):
        raise BenchmarkError("a ban reached others without Redis")
    laboratory.redis_server.start()
    began = time.monotonic()
    await _all_say(gateways, user_id, Outcome.BANNED)
    return time.monotonic() - began


async def _ban(gateway: httpx.AsyncClient, user_id: int) -> bool:
    """Ban a player, and return whether Redis has it for the others."""
    body = {"game": GAME.label, "user_id": user_id, "word": "ban", "seconds": _SECONDS_OF_A_BAN}
    response = await gateway.post("/admin/overrides", json=body)
    if response.status_code != httpx.codes.OK:
        raise BenchmarkError(f"no ban: {response.text}")
    return bool(response.json()["replicas"] == "all")


async def _all_say(gateways: Sequence[httpx.AsyncClient], user_id: int, outcome: Outcome) -> None:
    await asyncio.gather(*(_says(gateway, user_id, outcome) for gateway in gateways))


async def _says(gateway: httpx.AsyncClient, user_id: int, outcome: Outcome) -> None:
    give_up_at = time.monotonic() + _LONGEST_SECONDS
    while True:
        response = await gateway.post("/verify/user", json={"game": GAME.label, "user_id": user_id})
        if response.json().get("outcome") == outcome:
            return
        if time.monotonic() > give_up_at:
            raise BenchmarkError(f"a gateway never said {outcome}: {response.text}")
        await asyncio.sleep(_PAUSE_SECONDS)
