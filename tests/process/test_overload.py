"""Requests over the limit are turned away at once; health checks and metrics never are."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from msgspec.structs import replace

from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, befall, read_metric, settings_from, store_calls, until
from tests.process.ports import OnPort, on_port

CAPACITY: Final = 8
STORE_TAKES: Final = timedelta(seconds=1)


@pytest.fixture
async def busy(tmp_path: Path, log: LogLines) -> AsyncIterator[OnPort]:
    """A gateway that can take on eight requests; its store takes a second."""
    settings = replace(settings_from(tmp_path, X_MOON), max_requests=CAPACITY)
    async with on_port(settings, clock=FakeClock(), log=log) as gateway:
        befall(gateway.gateway.sandbox, latency_ms=STORE_TAKES // timedelta(milliseconds=1))
        yield gateway


async def fill(gateway: OnPort, count: int) -> list[asyncio.Task[httpx.Response]]:
    """Ask so many questions that need the store."""
    asking = [gateway.asking(seed.OWNER_KEY) for _ in range(count)]
    await until(lambda: store_calls(gateway.gateway.sandbox))
    await until(lambda: gateway.gateway.gateway.http.in_flight >= min(count, CAPACITY))
    return asking


async def relieve(gateway: OnPort, asking: list[asyncio.Task[httpx.Response]]) -> list[httpx.Response]:
    """Let the store answer, and return all responses."""
    await gateway.clock.advance(STORE_TAKES)
    return await asyncio.gather(*asking)


async def shed_at_three_times_capacity(gateway: OnPort) -> list[httpx.Response]:
    """Return the responses that come before the store has answered anything."""
    asking = await fill(gateway, CAPACITY)
    try:
        late = [gateway.asking(seed.OWNER_KEY) for _ in range(2 * CAPACITY)]
        asking += late
        done, _ = await asyncio.wait(late, timeout=1)
        return [task.result() for task in done]
    finally:
        await relieve(gateway, asking)


async def test_what_comes_on_top_is_turned_away_at_once(busy: OnPort) -> None:
    """Requests over the limit get `overloaded` at once, neither a yes nor a no, while earlier ones still wait."""
    turned_away = await shed_at_three_times_capacity(busy)

    assert len(turned_away) == 2 * CAPACITY
    for response in turned_away:
        assert response.status_code == 503
        body = response.json()
        assert (body["allowed"], body["outcome"], body["reason"]) == (False, "unknown", "overloaded")
        assert body["advice"] == "try_again"
        assert (response.headers["retry-after"], body["retry_after_seconds"]) == ("1", 1)
        assert (response.headers["cache-control"], response.headers["content-type"]) == (
            "no-store",
            "application/problem+json",
        )


async def test_without_a_bound_everything_is_taken_on(tmp_path: Path, log: LogLines) -> None:
    """A control: the test above can fail."""
    async with on_port(settings_from(tmp_path, X_MOON), clock=FakeClock(), log=log) as gateway:
        befall(gateway.gateway.sandbox, latency_ms=STORE_TAKES // timedelta(milliseconds=1))

        assert await shed_at_three_times_capacity(gateway) == []


async def test_what_was_taken_on_is_answered(busy: OnPort) -> None:
    """Requests within the limit are answered, however many others are turned away."""
    asking = await fill(busy, CAPACITY)
    await busy.ask(seed.OWNER_KEY)

    answers = await relieve(busy, asking)

    assert [answer.json()["outcome"] for answer in answers] == ["owned"] * CAPACITY


async def test_it_recovers(busy: OnPort) -> None:
    """New requests are taken as soon as there is room again."""
    asking = await fill(busy, CAPACITY)
    before = await busy.ask(seed.OWNER_KEY)
    await relieve(busy, asking)

    after = await busy.ask(seed.OWNER_KEY)

    assert (before.status_code, after.status_code) == (503, 200)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/version"])
async def test_operations_are_never_turned_away(busy: OnPort, path: str) -> None:
    """A busy gateway must not be killed for being busy."""
    asking = await fill(busy, CAPACITY)
    answers = await asyncio.gather(*(busy.http.get(path) for _ in range(2 * CAPACITY)))
    await relieve(busy, asking)

    assert {answer.status_code for answer in answers} == {200}


async def test_what_is_turned_away_is_counted(busy: OnPort) -> None:
    """Every request turned away is counted under a cause of its own."""
    asking = await fill(busy, CAPACITY)
    for _ in range(3):
        await busy.ask(seed.OWNER_KEY)
    metrics = (await busy.http.get("/metrics")).text
    await relieve(busy, asking)

    assert read_metric(metrics, "refused_total", cause="overloaded") == 3
    assert read_metric(metrics, "requests_in_flight") == CAPACITY + 1


async def test_callers_find_their_request_id_on_what_is_turned_away(busy: OnPort) -> None:
    """A request turned away gets its request id back, or a new one, as every response does."""
    asking = await fill(busy, CAPACITY)
    named = await busy.http.post("/verify/jwt", headers={"x-request-id": "request-1"})
    unnamed = await busy.http.post("/verify/jwt")
    await relieve(busy, asking)

    assert (named.headers["x-request-id"], named.json()["request_id"]) == ("request-1", "request-1")
    assert unnamed.headers["x-request-id"] == unnamed.json()["request_id"]


async def test_draining_gateway_closes_connections_that_it_turns_away(busy: OnPort) -> None:
    """A draining gateway closes the connection, so that its caller goes elsewhere."""
    asking = await fill(busy, CAPACITY)
    busy.gateway.gateway.http.draining = True
    turned_away = await busy.ask(seed.OWNER_KEY)
    await relieve(busy, asking)

    assert (turned_away.status_code, turned_away.headers["connection"]) == (503, "close")


async def test_body_of_what_is_turned_away_is_not_taken_for_a_request(busy: OnPort) -> None:
    """The body is skipped, and the connection serves the next question."""
    asking = await fill(busy, CAPACITY)
    wire = await busy.caller(seed.OWNER_KEY)
    status, _ = await wire.answer()
    await relieve(busy, asking)
    await wire.send(b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n")

    assert (status, await wire.answer()) == (503, (200, b'{"status":"alive"}'))
