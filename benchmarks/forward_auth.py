"""Forward-auth: the CPU time of a proxy's question, beside the same one by `/verify`.

One process, no sockets, as in `calls`. The players are known; every request differs from all others by its id, and both
ways are asked round for round.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.calls import Ask, until_remembered
from benchmarks.load import TOKEN
from benchmarks.passes import open_with_passes
from benchmarks.processes import BenchmarkError
from service.sandbox.jwts import mint
from service.sandbox.seed import GAME_ID, OWNER_ID, OWNER_KEY
from service.settings.model import PolicySettings
from service.settings.values import PolicyCredential

TARGET: Final = 1.2
_QUESTIONS: Final = 500
_COOKIE: Final = "ownership_pass"
_POLICY: Final = PolicySettings(
    name="place", game=str(GAME_ID), caller="benchmark", credentials=frozenset(PolicyCredential), cookie=_COOKIE
)


class Compared(Struct, frozen=True):
    """Least CPU time of one known player's question by `/verify` and by a proxy, of all rounds."""

    credential: str
    verify_microseconds: float
    proxy_microseconds: float

    @property
    def ratio(self) -> float:
        """The second to the first."""
        return self.proxy_microseconds / self.verify_microseconds


def measure(*, rounds: int) -> tuple[Compared, ...]:
    """Ask by both ways about a known player, with each credential that a policy can take."""
    return asyncio.run(_measure(rounds))


def table(compared: tuple[Compared, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'a known player, by':>20} {'/verify':>9} {'a proxy':>9} {'ratio':>6}   CPU µs; at most {TARGET}"]
    lines += [
        f"{one.credential:>20} {one.verify_microseconds:>9.1f} {one.proxy_microseconds:>9.1f} {one.ratio:>6.2f}"
        for one in compared
    ]
    return "\n".join(lines)


async def _measure(rounds: int) -> tuple[Compared, ...]:
    async with open_with_passes(_POLICY) as (_, ask, signer):
        await until_remembered(ask)
        jwt = mint(user_id=OWNER_ID, issued_at=datetime.now(UTC), lifetime=timedelta(hours=1)).jwt
        shown = signer.sign(1)
        return (
            await _compare(ask, rounds, "download_key", OWNER_KEY, f"X-Download-Key: {OWNER_KEY}"),
            await _compare(ask, rounds, "jwt", jwt, f"Authorization: Bearer {jwt}"),
            await _compare(ask, rounds, "pass", shown, f"Cookie: {_COOKIE}={shown}"),
        )


async def _compare(ask: Ask, rounds: int, credential: str, text: str, field: str) -> Compared:
    path = f"/verify/{credential.replace('_', '-')}"
    body = msgspec.json.encode({"game": GAME_ID, credential: text}).decode("ascii")

    def by_verify(number: int) -> str:
        return (
            f"POST {path} HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {TOKEN}\r\n{_id(number)}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )

    def by_proxy(number: int) -> str:
        return (
            f"GET /forward-auth/{_POLICY.name} HTTP/1.1\r\nHost: benchmark\r\nX-Ownership-Caller: {TOKEN}\r\n"
            f"{_id(number)}{field}\r\n\r\n"
        )

    least = [float("inf"), float("inf")]
    for spent in range(rounds + 1):  # the first is for what is looked up, imported or made when it is first needed
        for place, way in enumerate((by_verify, by_proxy)):
            seconds = await _time(ask, way, first=spent * _QUESTIONS)
            if spent:
                least[place] = min(least[place], seconds / _QUESTIONS * 1_000_000)
    return Compared(credential, *least)


async def _time(ask: Ask, way: Callable[[int], str], *, first: int) -> float:
    requests = [way(number).encode("ascii") for number in range(first, first + _QUESTIONS)]
    before = time.thread_time()
    answers = [await ask(request) for request in requests]
    seconds = time.thread_time() - before
    for answer in answers:
        if not answer.startswith(b"HTTP/1.1 200 ") or b"not_owned" in answer:
            raise BenchmarkError(f"not let in: {answer[:300]!r}")
    return seconds


def _id(number: int) -> str:
    return f"X-Request-ID: 6f1c8a52-0b7e-4d39-9c41-{number:012x}\r\n"
