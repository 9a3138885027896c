"""The store says nothing usable: 503, a problem and a decision in one, and never a yes or a no."""

import asyncio
from datetime import timedelta

from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import SellerKeyState
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, asked_store, befall, store_calls, until

NEW_KEY = seed.MEDIUM_KEY


async def test_body_is_a_problem_and_a_decision(gateway: Asker) -> None:
    """The whole body of a 503, which is a problem and a decision in one."""
    befall(gateway.sandbox, status=429, retry_after="7")

    response = await gateway.http.post(
        "/verify/download-key", json={"game": 3, "download_key": NEW_KEY}, headers={"x-request-id": "request-1"}
    )

    body = response.json()
    assert len(body.pop("decision_id")) == 26
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert body == {
        "type": "/docs#source_rate_limited",
        "title": "itch.io is throttling us",
        "status": 503,
        "code": "source_rate_limited",
        "request_id": "request-1",
        "retry_after_seconds": 7,
        "allowed": False,
        "outcome": "unknown",
        "reason": "source_rate_limited",
        "game_id": 3,
        "method": "download_key",
        "player": None,
        "evidence": None,
        "caveats": ["sandbox"],
        "advice": "try_again",
    }


async def test_header_says_when_to_come_back(gateway: Asker) -> None:
    """`Retry-After` has the same seconds as the body."""
    befall(gateway.sandbox, status=429, retry_after="7")

    headers = (await gateway.key(NEW_KEY)).headers

    assert (headers["retry-after"], headers["cache-control"]) == ("7", "no-store")


async def test_once_the_store_is_well_the_question_is_answered(gateway: Asker, clock: FakeClock) -> None:
    """A failure is remembered for seconds, not for good."""
    befall(gateway.sandbox, status=500)
    assert (await gateway.key(NEW_KEY)).status_code == 503
    gateway.sandbox.faults.replace(())
    clock.jump(timedelta(seconds=6))

    assert (await gateway.key(NEW_KEY)).json()["outcome"] == "owned"


async def test_game_of_somebody_else_is_not_accessible(open_with: Open) -> None:
    """A game that our key cannot see says nothing about the player."""
    gateway = await open_with("")

    assert (await gateway.key(NEW_KEY, game=seed.FOREIGN_GAME_ID)).json()["reason"] == "game_not_accessible"


async def test_revoked_seller_key_takes_nothing_away(gateway: Asker) -> None:
    """A dead key of ours is an alarm for us, not a no for players."""
    gateway.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)

    response = await gateway.key(NEW_KEY)

    assert (response.status_code, response.json()["reason"]) == (503, "gateway_credential")
    assert await gateway.metric("source_credential_ok") == 0


async def test_nothing_cached_is_no_answer(gateway: Asker) -> None:
    """`only_if_cached` never asks the store."""
    response = await gateway.key(NEW_KEY, only_if_cached=True)

    assert (response.status_code, response.json()["reason"]) == (503, "not_cached")
    assert store_calls(gateway.sandbox) == 0


async def test_caller_gets_no_answer_in_its_own_time(gateway: Asker, clock: FakeClock) -> None:
    """The answer comes within `deadline_ms`, however long the store takes."""
    befall(gateway.sandbox, latency_ms=2_000)
    asking = asyncio.create_task(gateway.key(NEW_KEY, deadline_ms=50))
    await until(lambda: store_calls(gateway.sandbox))

    await clock.advance(timedelta(milliseconds=50))

    response = await asking
    assert (response.status_code, response.json()["reason"]) == (503, "deadline_exceeded")


async def test_answer_that_came_too_late_is_there_for_the_next_question(gateway: Asker, clock: FakeClock) -> None:
    """A deadline ends the waiting, not the look-up."""
    befall(gateway.sandbox, latency_ms=500)
    asking = asyncio.create_task(gateway.key(NEW_KEY, deadline_ms=50))
    await until(lambda: store_calls(gateway.sandbox))
    await clock.advance(timedelta(milliseconds=50))
    assert (await asking).status_code == 503
    again = asyncio.create_task(gateway.key(NEW_KEY))
    await until(lambda: gateway.gateway.http.in_flight == 1)

    await clock.advance(timedelta(milliseconds=450))

    assert (await again).json()["outcome"] == "owned"
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 1


async def test_default_deadline_is_that_of_the_settings(open_with: Open, clock: FakeClock) -> None:
    """A caller that names no deadline waits as long as the operator said."""
    gateway = await open_with("deadline_ms = 200\n" + X_MOON)
    befall(gateway.sandbox, latency_ms=2_000)
    asking = asyncio.create_task(gateway.key(NEW_KEY))
    await until(lambda: store_calls(gateway.sandbox))

    await clock.advance(timedelta(milliseconds=200))

    assert (await asking).json()["reason"] == "deadline_exceeded"


async def test_spent_store_budget_is_no_answer(open_with: Open) -> None:
    """More than the store may be asked in the caller's time: `overloaded`, at once."""
    gateway = await open_with("[itch]\nrate = 0.01\nburst = 1\n" + X_MOON, frugal=True)

    response = await gateway.key(NEW_KEY)

    assert (response.status_code, response.json()["reason"]) == (503, "overloaded")
    assert store_calls(gateway.sandbox) == 0
