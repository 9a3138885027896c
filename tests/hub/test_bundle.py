"""A batch at a relay: what is not remembered goes to the hub in one request."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final

import pytest

from service.ownership import Reason
from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, caller_lines, until
from tests.hub.conftest import TOKEN, Hub, OpenHub, OpenRelay
from tests.hub.scripted_hub import Asked, Said, decided, problem, scripted_hub, unknown


def users(*ids: int, **fields: Any) -> list[dict[str, Any]]:
    """Return items of a batch about these users."""
    return [{"id": f"of {user}", "method": "user", "game": 3, "user_id": user, **fields} for user in ids]


def results(answer: Any) -> list[tuple[int, str]]:
    """Return status and reason, or code, of each item."""
    found = []
    for result in answer.json()["results"]:
        body = result.get("decision") or result["problem"]
        found.append((result["status"], body.get("reason") or body["code"]))
    return found


async def test_a_batch_is_one_request(hub: Hub, relay: Asker) -> None:
    """Each item gets what it would have got alone; what is known is not asked about, equal items once."""
    await relay.user(seed.OWNER_ID)
    items = [
        *users(seed.OWNER_ID, seed.STRANGER_ID, seed.BUNDLE_BUYER_ID),
        {"id": "again", "method": "user", "game": 3, "user_id": seed.STRANGER_ID},
        {"id": "key", "method": "download_key", "game": 3, "download_key": seed.OWNER_KEY, "player_ref": "one"},
        {"id": "malformed", "method": "download_key", "game": 3, "download_key": "no key"},
        {"id": "wrong", "method": "user", "game": 3, "user_id": 0},
    ]
    answer = await relay.batch(*items)

    assert results(answer) == [
        (200, "download_key"),
        (200, "no_download_key"),
        (200, "bundle_purchase"),
        (200, "no_download_key"),
        (200, "download_key"),
        (200, "malformed_download_key"),
        (400, "out_of_range"),
    ]
    assert await relay.metric("source_requests_total", endpoint="hub", result="ok") == 2
    assert await hub.asker.metric("answers_total") == 4


async def test_one_item_goes_alone(open_relay: OpenRelay) -> None:
    """To the endpoint of its method: no right for batches is needed for it."""
    async with scripted_hub(lambda _: decided(Reason.OPERATOR_GRANT)) as hub:
        relay = await open_relay(hub.url)
        assert results(await relay.batch(*users(1))) == [(200, "operator_grant")]
        assert [asked.path for asked in hub.asked] == ["/verify/user"]


def in_batch(asked: Asked, *, leave_out: int = -1) -> Said:
    """Answer the items of a batch, or one question."""
    if asked.path != "/verify/batch":
        return decided(Reason.OPERATOR_GRANT)
    found = []
    for at, item in enumerate(asked.json["items"]):
        if at != leave_out:
            body = json.loads(decided(Reason.OPERATOR_GRANT).body)
            found.append({"id": item["id"], "status": 200, "decision": body})
    return Said(body=json.dumps({"results": found}).encode())


async def test_the_items_have_deadlines_of_their_own(open_relay: OpenRelay) -> None:
    """And the fields that came."""
    async with scripted_hub(in_batch) as hub:
        relay = await open_relay(hub.url)
        await relay.batch(*users(1, deadline_ms=1000), *users(2, max_age=9))

        assert hub.asked[0].json["items"] == [
            {"id": "0", "method": "user", "game": 3, "user_id": 1, "deadline_ms": 950},
            {"id": "1", "method": "user", "game": 3, "user_id": 2, "max_age": 9, "deadline_ms": 2950},
        ]


async def test_a_batch_that_is_too_large_goes_in_parts(open_relay: OpenRelay) -> None:
    """A gateway takes 16 KiB, and what is handed on is longer than what came."""
    keys = [f"{number:02}-{'k' * 60}" for number in range(100)]
    items = [{"id": key[:2], "method": "download_key", "game": 3, "download_key": key} for key in keys]

    def answers(asked: Asked) -> Said:
        found = [
            {
                "id": item["id"],
                "status": 200,
                "decision": json.loads(decided(Reason.OPERATOR_GRANT, method="download_key").body),
            }
            for item in asked.json["items"]
        ]
        return Said(body=json.dumps({"results": found}).encode())

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.batch(*items)

        assert {status for status, _ in results(answer)} == {200}
        assert len(hub.asked) == 2
        assert max(len(asked.body) for asked in hub.asked) < 16 * 1024


ALL_UNKNOWN: Final = [
    (problem(401, "not_authenticated"), "gateway_credential"),
    (problem(429, "too_many_questions", retry_after_seconds=5), "overloaded"),
    (unknown(Reason.OVERLOADED), "overloaded"),
    (Said(200, b"<html>"), "source_protocol"),
    (Said(200, b'{"results":[]}'), "source_protocol"),
    (Said(200, request_id="another"), "source_protocol"),
    (problem(502, "bad_gateway"), "source_unavailable"),
]


@pytest.mark.parametrize(("said", "reason"), ALL_UNKNOWN)
async def test_what_is_no_answer_to_a_batch_is_unknown_for_each(open_relay: OpenRelay, said: Said, reason: str) -> None:
    """As it would be for each alone."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        assert results(await relay.batch(*users(1, 2))) == [(503, reason)] * 2
        assert len(hub.asked) == 1


async def test_an_item_that_lacks_is_unknown(open_relay: OpenRelay) -> None:
    """The others are answered."""
    async with scripted_hub(lambda asked: in_batch(asked, leave_out=1)) as hub:
        relay = await open_relay(hub.url)
        found = results(await relay.batch(*users(1, 2, 3)))

    assert found == [(200, "operator_grant"), (503, "source_protocol"), (200, "operator_grant")]


async def test_an_item_over_the_hubs_limit_is_heeded(open_relay: OpenRelay) -> None:
    """The hub is left alone until then."""
    over = {"id": "1", "status": 429, "problem": json.loads(problem(429, "too_many_questions").body)}

    def answers(asked: Asked) -> Said:
        found = json.loads(in_batch(asked, leave_out=1).body)["results"]
        return Said(body=json.dumps({"results": [*found, over]}).encode())

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        assert results(await relay.batch(*users(1, 2))) == [(200, "operator_grant"), (503, "overloaded")]
        await relay.user(3)
        assert len(hub.asked) == 1


async def test_a_relay_without_the_right_for_batches(open_hub: OpenHub, open_relay: OpenRelay) -> None:
    """The items are asked one by one."""
    hub = await open_hub(X_MOON + caller_lines("relay", TOKEN, rights='["assert:user"]', rate="1000"))
    relay = await open_relay(hub.url)
    answer = await relay.batch(*users(seed.OWNER_ID, seed.STRANGER_ID))

    assert results(answer) == [(200, "download_key"), (200, "no_download_key")]


async def test_silence_one_by_one(open_relay: OpenRelay) -> None:
    """Each is unknown by itself."""

    def answers(asked: Asked) -> Said:
        if asked.path == "/verify/batch":
            return problem(403, "not_permitted")
        return Said(body=b"{}", request_id="another")

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        assert results(await relay.batch(*users(1, 2))) == [(503, "source_protocol")] * 2
        assert len(hub.asked) == 3


@pytest.mark.parametrize(
    "said", [Said(200, b'{"results":[]}'), problem(502, "bad_gateway"), problem(400, "bad_request")]
)
async def test_an_answer_that_comes_too_late(open_relay: OpenRelay, clock: FakeClock, said: Said) -> None:
    """Passes are not remembered, so no caller waits for it any more."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        items = [{"id": text, "method": "pass", "game": 3, "pass": f"{text}.b.c", "deadline_ms": 100} for text in "ab"]
        asking = asyncio.create_task(relay.batch(*items))
        await until(lambda: hub.asked)
        await clock.advance(timedelta(milliseconds=100))
        assert results(await asking) == [(503, "deadline_exceeded")] * 2
        await hub.send(said)
        hub.answers = in_batch
        assert (await relay.user(1)).json()["allowed"] is True


async def test_those_who_gave_up_miss_nothing(open_relay: OpenRelay) -> None:
    """A caller that hangs up in the middle of a batch leaves the answer to those who come."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        asking = asyncio.create_task(relay.batch(*users(1, 2)))
        await until(lambda: hub.asked)
        asking.cancel()
        await asyncio.wait([asking])
        await hub.send(in_batch(hub.asked[0]))
        hub.answers = in_batch
        assert (await relay.user(1)).json()["allowed"] is True
