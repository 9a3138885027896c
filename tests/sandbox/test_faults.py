"""Faults: the requests that meet one, and their answers."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from service.sandbox import seed
from service.sandbox.faults import Drip, Fault
from service.sandbox.state import Sandbox
from service.sandbox.store_answers import SANDBOX_HEADER
from service.sandbox.store_endpoints import StoreEndpoint
from tests.clock import FakeClock
from tests.gateways import until


async def test_throttling_without_a_hint(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A 429 may lack `Retry-After`, and its page is no JSON."""
    sandbox.faults.replace([Fault(status=429)])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("hint", ["7", "Fri, 20 Nov 2026 14:05:00 GMT", "soon", ""])
async def test_throttling_with_a_hint(seller: httpx.AsyncClient, sandbox: Sandbox, hint: str) -> None:
    """Any `Retry-After` is sent unchanged."""
    sandbox.faults.replace([Fault(status=429, retry_after=hint)])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, hint)


async def test_a_server_error_is_json(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """itch.io's own 500 has an error string."""
    sandbox.faults.replace([Fault(status=500)])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.json()) == (500, {"errors": ["There was a server error"]})


@pytest.mark.parametrize(("status", "expected_status"), [(None, 403), (503, 503), (200, 200)])
async def test_a_challenge_page(
    seller: httpx.AsyncClient, sandbox: Sandbox, status: int | None, expected_status: int
) -> None:
    """The challenge is an HTML page, with the fault's status."""
    sandbox.faults.replace([Fault(html_challenge=True, status=status)])

    answer = await seller.get("/profile")

    assert answer.status_code == expected_status
    assert "Just a moment..." in answer.text


@pytest.mark.parametrize(("status", "expected_status"), [(None, 302), (308, 308)])
async def test_a_redirect(
    seller: httpx.AsyncClient, sandbox: Sandbox, status: int | None, expected_status: int
) -> None:
    """A redirect has the fault's `Location`."""
    sandbox.faults.replace([Fault(redirect="https://elsewhere.example/x", status=status)])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.headers["location"]) == (expected_status, "https://elsewhere.example/x")


async def test_any_body(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A fault's text is sent as JSON unless `content_type` says otherwise."""
    sandbox.faults.replace([Fault(body='{"errors":{}}')])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.content) == (200, b'{"errors":{}}')
    assert answer.headers["content-type"] == "application/json"


async def test_any_bytes(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A fault's bytes need not be text, and may have any status and type."""
    sandbox.faults.replace([Fault(body_base64=b"\xff\x00", status=418, content_type="text/plain")])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.content) == (418, b"\xff\x00")
    assert answer.headers["content-type"] == "text/plain"


async def test_an_empty_body(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """An empty body is a body."""
    sandbox.faults.replace([Fault(body="")])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_hint_on_a_good_answer(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """`retry_after` alone leaves the answer what it was."""
    sandbox.faults.replace([Fault(retry_after="7")])

    answer = await seller.get("/profile")

    assert (answer.status_code, answer.headers["retry-after"]) == (200, "7")
    assert answer.json()["user"]["id"] == seed.SELLER_ID


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(html_challenge=True), Fault(redirect="/"), Fault(body="x")])
async def test_even_a_fault_says_that_it_is_the_sandbox(
    seller: httpx.AsyncClient, sandbox: Sandbox, fault: Fault
) -> None:
    """No answer can be taken for the real store's."""
    sandbox.faults.replace([fault])

    assert (await seller.get("/profile")).headers[SANDBOX_HEADER] == "ownership-gateway"


async def test_a_fault_ends_after_so_many_requests(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Requests after the last of `times` are answered well."""
    sandbox.faults.replace([Fault(status=503, times=2)])

    statuses = [(await seller.get("/profile")).status_code for _ in range(4)]

    assert statuses == [503, 503, 200, 200]
    assert [state.befallen for state in sandbox.faults.state()] == [2]


async def test_the_store_can_say_no_to_all(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """As it says no to who owns nothing, in both dialects; a wrong key and another game are refused as ever."""
    paths = [
        f"/games/3/download_keys?user_id={seed.OWNER_ID}",
        f"/games/3/download_keys?download_key={seed.OWNER_KEY}",
        f"/games/3/purchases?user_id={seed.OWNER_ID}",
        f"/api/1/key/game/3/download_keys?user_id={seed.OWNER_ID}",
    ]
    before = [(await seller.get(path)).json() for path in paths]
    sandbox.faults.replace([Fault(deny=True)])

    denied = [(await seller.get(path)).json() for path in paths]

    assert denied == [
        {"errors": ["no download key found"]},
        {"errors": ["invalid download key"]},
        {"purchases": {}},
        {"errors": ["no download key found"]},
    ]
    assert all(one != other for one, other in zip(before[:2], denied[:2], strict=True))
    assert (await seller.get("/profile")).status_code == 200
    assert (await seller.get("/games/9/purchases?user_id=1")).json() == {"errors": ["invalid game_id"]}


async def test_a_fault_can_keep_to_one_endpoint(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A fault of one endpoint befalls both dialects' addresses of it, and no others."""
    sandbox.faults.replace([Fault(status=503, endpoint=StoreEndpoint.PROFILE)])

    statuses = [
        (await seller.get(path)).status_code
        for path in ("/profile", "/api/1/key/me", "/profile/games", "/credentials/info", "/nowhere")
    ]

    assert statuses == [503, 503, 200, 200, 404]


async def test_the_first_fault_that_fits_is_met(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A list of faults is a script: each request meets the first that is not used up."""
    sandbox.faults.replace([Fault(status=503, times=1), Fault(status=429, times=1)])

    statuses = [(await seller.get("/profile")).status_code for _ in range(3)]

    assert statuses == [503, 429, 200]


def test_a_share_of_the_requests_is_the_same_in_every_run(sandbox: Sandbox) -> None:
    """The same seed chooses the same requests."""
    fault = Fault(status=503, rate=0.3, seed=7)

    def run() -> list[bool]:
        sandbox.faults.replace([fault])
        return [sandbox.faults.spend(None) is not None for _ in range(200)]

    first = run()

    assert run() == first
    assert 30 < sum(first) < 90


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "does nothing"),
        ({"times": 3}, "does nothing"),
        ({"body": "x", "html_challenge": True}, "name one of"),
        ({"body": "x", "body_base64": ""}, "name one of"),
        ({"redirect": "/", "status": 200}, "from 300 to 399"),
        ({"status": 503, "content_type": "text/plain"}, "goes with body"),
        ({"status": 200}, "below 400"),
        ({"status": 99}, ">= 200"),
        ({"status": 429, "retry_after": "a\r\nb"}, "matching regex"),
        ({"status": 429, "retry_after": "a\n"}, "matching regex"),
        ({"status": 429, "delay": 3}, "unknown field"),
        ({"status": 429, "rate": 0}, "> 0"),
        ({"status": 429, "endpoint": "me"}, "Invalid enum value"),
        ({"drip": {"chunk_bytes": 0}}, ">= 1"),
    ],
)
def test_faults_that_cannot_be_meant(fields: dict[str, Any], message: str) -> None:
    """Contradictions are refused when a fault is set, not when a request meets it."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(fields, Fault)


def test_a_drip_has_a_pace_of_its_own() -> None:
    """A drip sends a byte every tenth of a second by default."""
    fault = msgspec.convert({"drip": {}}, Fault)

    assert fault.drip == Drip(chunk_bytes=1, interval_ms=100)


async def test_a_slow_store_that_stands_alone_is_really_slow(seller: httpx.AsyncClient, clock: FakeClock) -> None:
    """A gateway with a clock of its own has to wait for it."""
    await seller.put("/sandbox/faults", json={"name": "slow"})
    asking = asyncio.create_task(seller.get("/profile"))
    await until(lambda: clock.sleepers)

    await clock.advance(timedelta(minutes=1))

    assert (await asking).status_code == 200
