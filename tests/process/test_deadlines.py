"""Every answer comes within its deadline, however slow the store, Redis or the queue is."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from msgspec.structs import replace

from service.clock import SystemClock
from service.ownership import Method
from service.sandbox import seed
from service.sandbox.faults import Drip
from service.sandbox.state import Sandbox
from service.secret import RedisUrl
from tests.clock import FakeClock
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    befall,
    opened,
    pointing_at,
    sandbox_alone,
    settings_from,
    store_calls,
    until,
)

GAME: Final = f"[itch]\naccess_tokens = true\n{X_MOON}"
MILLISECOND: Final = timedelta(milliseconds=1)
DEADLINE_MS: Final = 300
HANGS_MS: Final = 60_000
EVERY_METHOD: Final = [method for method in Method if method is not Method.PASS]
"""But passes: with one it is a question about a user, or one that needs no store."""

ENDLESS: Final[dict[str, dict[str, Any]]] = {
    "slow": {"latency_ms": HANGS_MS},
    "dripping": {"drip": Drip(chunk_bytes=1, interval_ms=100)},
    "slow, then dripping": {"latency_ms": 200, "drip": Drip(chunk_bytes=1, interval_ms=1000)},
    "slow, then throttling": {"latency_ms": HANGS_MS, "status": 429, "retry_after": "1"},
}

AT_ONCE: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "throttling": ({"status": 429}, "source_rate_limited"),
    "throttling by 503": ({"status": 503, "retry_after": "7"}, "source_rate_limited"),
    "broken": ({"status": 500}, "source_unavailable"),
    "a web page": ({"html_challenge": True}, "source_unavailable"),
    "truncated": ({"truncated": True}, "source_unavailable"),
    "redirecting": ({"redirect": "https://elsewhere.example/"}, "source_protocol"),
    "no JSON": ({"body": "nonsense"}, "source_protocol"),
}


class NeverOver(FakeClock):
    """Broken: a clock by which no time is ever over."""

    def timeout(self, duration: timedelta) -> Any:  # noqa: ARG002 - that is what is broken
        """Wait for ever."""
        return nullcontext()

    async def sleep(self, duration: timedelta) -> None:  # noqa: ARG002 - the sandbox's time-outs are made of it
        """Sleep for ever."""
        await asyncio.Event().wait()


def credential(method: Method, sandbox: Sandbox) -> str | int:
    """Return the credential of a player who owns the game."""
    match method:
        case Method.DOWNLOAD_KEY:
            return seed.OWNER_KEY
        case Method.JWT:
            return sandbox.mint_jwt(seed.OWNER_ID).jwt
        case Method.EMAIL:
            return seed.BUYER_EMAIL
        case Method.USER:
            return seed.OWNER_ID
        case Method.ACCESS_TOKEN:
            return sandbox.world.mint_access_token(seed.OWNER_ID, application_of=None)
        case Method.PASS:
            raise AssertionError("it is none of these methods")


async def answer_by_the_deadline(gateway: Asker, clock: FakeClock, method: Method) -> httpx.Response | None:
    """Ask; return the answer if it came exactly at the deadline, else None."""
    asked = credential(method, gateway.sandbox)
    asking = asyncio.create_task(gateway.ask(method, asked, deadline_ms=DEADLINE_MS))
    await until(lambda: store_calls(gateway.sandbox) or asking.done())
    await clock.advance((DEADLINE_MS - 10) * MILLISECOND)
    early = asking.done()
    await clock.advance(20 * MILLISECOND)
    if early or not asking.done():
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return None
    return asking.result()


@pytest.mark.parametrize("method", EVERY_METHOD)
@pytest.mark.parametrize("fault", ENDLESS.values(), ids=ENDLESS.keys())
async def test_store_that_does_not_end_is_not_waited_for(
    tmp_path: Path, clock: FakeClock, log: LogLines, fault: dict[str, Any], method: Method
) -> None:
    """A question waits for a store that is too slow until its deadline, and no longer."""
    async with opened(settings_from(tmp_path, GAME), clock=clock, log=log) as gateway:
        befall(gateway.sandbox, **fault)

        answer = await answer_by_the_deadline(gateway, clock, method)

    assert answer is not None
    assert (answer.status_code, answer.json()["reason"]) == (503, "deadline_exceeded")
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_time_outs_it_would_wait(tmp_path: Path, log: LogLines) -> None:
    """A control: the test above can fail."""
    clock = NeverOver()
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        befall(gateway.sandbox, latency_ms=HANGS_MS)

        assert await answer_by_the_deadline(gateway, clock, Method.DOWNLOAD_KEY) is None


@pytest.mark.parametrize("method", EVERY_METHOD)
@pytest.mark.parametrize("name", AT_ONCE)
async def test_store_that_fails_is_not_waited_for(
    tmp_path: Path, clock: FakeClock, log: LogLines, name: str, method: Method
) -> None:
    """A store that fails at once lets the gateway answer at once: its clock stands still here."""
    fault, reason = AT_ONCE[name]
    async with opened(settings_from(tmp_path, GAME), clock=clock, log=log) as gateway:
        befall(gateway.sandbox, **fault)

        answer = await gateway.ask(method, credential(method, gateway.sandbox), deadline_ms=DEADLINE_MS)

    assert (answer.status_code, answer.json()["reason"]) == (503, reason)


@pytest.mark.parametrize("fault", ENDLESS.values(), ids=ENDLESS.keys())
async def test_proven_owner_is_let_in_at_the_deadline(
    tmp_path: Path, clock: FakeClock, log: LogLines, fault: dict[str, Any]
) -> None:
    """Grace begins when the caller's time is up, not when the store's is."""
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        await gateway.key(seed.OWNER_KEY)
        clock.jump(timedelta(hours=2))
        gateway.sandbox.journal.clear()
        befall(gateway.sandbox, **fault)

        answer = await answer_by_the_deadline(gateway, clock, Method.DOWNLOAD_KEY)

    assert answer is not None
    assert (answer.status_code, answer.json()["outcome"], answer.json()["stale"]) == (200, "owned", True)


async def test_batch_takes_no_longer_than_its_slowest_item(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A hundred questions wait side by side."""
    items = [
        {"id": str(number), "method": "user", "game": 3, "user_id": 90_000 + number, "deadline_ms": DEADLINE_MS}
        for number in range(100)
    ]
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        befall(gateway.sandbox, latency_ms=HANGS_MS)
        asking = asyncio.create_task(gateway.batch(*items))
        await until(lambda: store_calls(gateway.sandbox))
        await clock.advance((DEADLINE_MS + 10) * MILLISECOND)

        assert asking.done()
        results = (await asking).json()["results"]

    assert {result["problem"]["reason"] for result in results} == {"deadline_exceeded"}


async def test_question_that_cannot_have_its_turn_in_time_is_told_at_once(
    tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """A question whose turn comes too late gets `Retry-After` at once."""
    settings = settings_from(tmp_path, "[itch]\nrate = 1\nburst = 1\n" + X_MOON, frugal=True)
    async with opened(settings, clock=clock, log=log) as gateway:
        answer = await gateway.key(seed.OWNER_KEY, deadline_ms=DEADLINE_MS)

    assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, "overloaded", "1")


@asynccontextmanager
async def behind_proxy(tmp_path: Path, log: LogLines, mode: Mode) -> AsyncIterator[Asker]:
    """Open a gateway whose way to the store has this fault."""
    async with sandbox_alone(SystemClock()) as (_, base_url), FaultProxy(urlsplit(base_url).port or 0) as proxy:
        settings = settings_from(tmp_path, pointing_at(f"http://127.0.0.1:{proxy.port}") + X_MOON, sandbox=False)
        async with opened(settings, clock=FakeClock(), log=log, real_clock=SystemClock()) as gateway:
            proxy.be(mode)
            proxy.delay = 0.2
            yield gateway


@pytest.mark.parametrize(
    ("mode", "reasons"),
    [
        (Mode.SWALLOW, {"deadline_exceeded"}),
        (Mode.DRIP, {"deadline_exceeded"}),
        (Mode.REFUSE, {"source_unavailable"}),
        (Mode.SLOW, {"deadline_exceeded"}),
    ],
)
async def test_network_that_fails_is_not_waited_for(
    tmp_path: Path, log: LogLines, mode: Mode, reasons: set[str]
) -> None:
    """Any fault of the network ends with the caller's deadline, though the look-up itself may take five seconds."""
    async with behind_proxy(tmp_path, log, mode) as gateway:
        started = time.monotonic()
        answer = await gateway.key(seed.OWNER_KEY, deadline_ms=DEADLINE_MS)
        took = time.monotonic() - started

    assert (answer.status_code, answer.json()["reason"] in reasons) == (503, True)
    assert took < 2.5


@pytest.mark.parametrize("mode", [Mode.SWALLOW, Mode.DRIP, Mode.REFUSE, Mode.SLOW])
@pytest.mark.parametrize("method", [Method.DOWNLOAD_KEY, Method.JWT])
async def test_redis_that_fails_is_not_waited_for(
    tmp_path: Path, log: LogLines, redis_url: str, mode: Mode, method: Method
) -> None:
    """The store answers while Redis fails, so the answer is the same, and in time."""
    async with FaultProxy(urlsplit(redis_url).port or 0) as proxy:
        proxy.be(mode)
        settings = settings_from(tmp_path, f'secret = "{SECRET}"\n' + X_MOON)
        settings = replace(settings, redis=replace(settings.redis, url=RedisUrl(f"redis://127.0.0.1:{proxy.port}")))
        async with opened(settings, clock=FakeClock(), log=log, real_clock=SystemClock()) as gateway:
            started = time.monotonic()
            asked = credential(method, gateway.sandbox)
            answer = await gateway.ask(method, asked, deadline_ms=1000)
            took = time.monotonic() - started

    assert (answer.status_code, answer.json()["outcome"]) == (200, "owned")
    assert took < 2.5
