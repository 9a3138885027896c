"""The answers to callers, to the last field and header."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.api.answers import TITLES
from service.ownership import Outcome, Reason
from service.sandbox import seed
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, pointing_at, sandbox_alone, store_calls, until_learned

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")

NOBODY_ASKED: dict[str, object] = {
    "player": None,
    "evidence": None,
    "observed_at": None,
    "fresh_until": None,
    "usable_until": None,
    "stale": False,
    "cache": "none",
    "caveats": ["sandbox"],
    "advice": None,
}

AMOS = {"id": 1994, "username": "amos", "display_name": "Amos"}


def but_for_ids(response: httpx.Response) -> dict[str, Any]:
    """Return the body without the parts that differ in every answer: the ids, and the end of a staggered freshness."""
    body: dict[str, Any] = response.json()
    for name in ("decision_id", "fresh_until"):
        body.pop(name)
    return body


async def test_owned_answer_has_exactly_these_fields(gateway: Asker) -> None:
    """The whole body of an `owned`."""
    response = await gateway.key(seed.OWNER_KEY)

    assert but_for_ids(response) == {
        "allowed": True,
        "outcome": "owned",
        "reason": "download_key",
        "game_id": 3,
        "method": "download_key",
        "player": AMOS,
        "evidence": {"kind": "download_key", "id": 124, "acquired_at": "2014-02-28T00:25:09Z"},
        "observed_at": "2026-11-20T14:03:11Z",
        "usable_until": "2026-11-21T14:03:11Z",
        "stale": False,
        "cache": "none",
        "caveats": ["sandbox"],
        "advice": None,
    }


async def test_owned_answer_is_fresh_for_an_hour_give_or_take(gateway: Asker) -> None:
    """Freshness is staggered by ten per cent, so that not everything expires at once."""
    fresh_until = (await gateway.key(seed.OWNER_KEY)).json()["fresh_until"]

    assert "2026-11-20T14:57:11Z" <= fresh_until <= "2026-11-20T15:09:11Z"


async def test_not_owned_answer_has_exactly_these_fields(gateway: Asker) -> None:
    """The whole body of a `not_owned`."""
    body = (await gateway.key(seed.REVOKED_KEY)).json()

    body.pop("decision_id")
    assert body == {
        "allowed": False,
        "outcome": "not_owned",
        "reason": "invalid_download_key",
        "game_id": 3,
        "method": "download_key",
        "player": None,
        "evidence": None,
        "observed_at": "2026-11-20T14:03:11Z",
        "fresh_until": "2026-11-20T14:03:56Z",
        "usable_until": "2026-11-20T14:03:56Z",
        "stale": False,
        "cache": "none",
        "caveats": ["sandbox"],
        "advice": "copy_key_again",
    }


async def test_rejected_answer_has_exactly_these_fields(gateway: Asker) -> None:
    """The whole body of a `rejected`: the store was not asked, so there is no observation."""
    body = (await gateway.key("no key at all")).json()

    body.pop("decision_id")
    assert body == {
        "allowed": False,
        "outcome": "rejected",
        "reason": "malformed_download_key",
        "game_id": 3,
        "method": "download_key",
        **NOBODY_ASKED,
        "advice": "copy_key_again",
    }


async def test_granted_answer_has_exactly_these_fields(gateway: Asker) -> None:
    """The whole body of a `granted` by the operator's own word about a user id."""
    body = (await gateway.user(seed.SELLER_ID)).json()

    body.pop("decision_id")
    assert body == {
        "allowed": True,
        "outcome": "granted",
        "reason": "seller_account",
        "game_id": 3,
        "method": "user",
        **NOBODY_ASKED,
        "player": {"id": seed.SELLER_ID, "username": None, "display_name": None},
    }


async def test_banned_answer_has_exactly_these_fields(open_with: Open) -> None:
    """The whole body of a `banned`."""
    gateway = await open_with(X_MOON + "ban_user_ids = [1994]\n")

    body = (await gateway.user(seed.OWNER_ID)).json()

    body.pop("decision_id")
    assert body == {
        "allowed": False,
        "outcome": "banned",
        "reason": "operator_ban",
        "game_id": 3,
        "method": "user",
        **NOBODY_ASKED,
        "player": {"id": 1994, "username": None, "display_name": None},
    }


async def test_an_address_can_be_banned_for_good(open_with: Open) -> None:
    """The configuration bans it, however it is written."""
    gateway = await open_with(X_MOON + f'ban_emails = ["{seed.BUYER_EMAIL}"]\n')

    asked = [await gateway.email(address) for address in (seed.BUYER_EMAIL, seed.BUYER_EMAIL.upper(), seed.OWNER_EMAIL)]

    assert [answer.json()["reason"] for answer in asked][:2] == ["operator_ban"] * 2
    assert asked[2].json()["outcome"] != "banned"


async def test_word_about_a_jwt_shows_when_its_player_was_found_out(open_with: Open) -> None:
    """A ban by JWT rests on the store's answer about whose JWT it is."""
    gateway = await open_with(X_MOON + "ban_user_ids = [1994]\n")
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt

    body = (await gateway.jwt(jwt)).json()

    assert (body["reason"], body["player"], body["observed_at"]) == ("operator_ban", AMOS, "2026-11-20T14:03:11Z")


@pytest.mark.parametrize(
    ("toml", "user_id", "reason"),
    [
        ("grant_user_ids = [2007]", seed.STRANGER_ID, "operator_grant"),
        ("grant_user_ids = [2007]", seed.OWNER_ID, "download_key"),
        ("ban_user_ids = [29789]", seed.SELLER_ID, "operator_ban"),
        ('accept = ["web_purchase"]', seed.WEB_BUYER_ID, "web_purchase"),
        ('accept = ["purchase"]', seed.OWNER_ID, "no_download_key"),
    ],
)
async def test_operators_word_decides(open_with: Open, toml: str, user_id: int, reason: str) -> None:
    """Grants, bans, the seller's own account, and what counts as owning, per game."""
    gateway = await open_with(f"{X_MOON}{toml}\n")

    assert (await gateway.user(user_id)).json()["reason"] == reason


@pytest.mark.parametrize("user_id", [seed.OWNER_ID, seed.STRANGER_ID, seed.SELLER_ID])
async def test_word_of_the_operator_costs_the_store_nothing(open_with: Open, user_id: int) -> None:
    """A ban and a grant are known without a request to the store."""
    gateway = await open_with(X_MOON + "grant_user_ids = [2007]\nban_user_ids = [1994]\n")

    await gateway.user(user_id)

    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(("toml", "reason"), [("", "no_download_key"), ("grant_press = true\n", "press")])
async def test_press_is_let_in_where_the_operator_says_so(open_with: Open, toml: str, reason: str) -> None:
    """Press accounts hold no key; only their JWT shows what they are."""
    gateway = await open_with(X_MOON + toml)

    response = await gateway.jwt(gateway.sandbox.mint_jwt(seed.PRESS_ID).jwt)

    assert response.json()["reason"] == reason


async def test_email_answer_names_nobody(gateway: Asker) -> None:
    """The gateway is no oracle from an address to an account."""
    body = (await gateway.email(seed.UNCLAIMED_KEY_EMAIL)).json()

    assert (body["allowed"], body["player"]) == (True, None)


async def test_key_that_nobody_claimed_names_nobody(gateway: Asker) -> None:
    """A key without an owner proves ownership and says nothing of a player."""
    body = (await gateway.key(seed.UNCLAIMED_KEY)).json()

    assert (body["allowed"], body["player"]) == (True, None)


async def test_without_configured_games_every_number_may_be_asked_about(open_with: Open) -> None:
    """The key alone decides what can be seen."""
    gateway = await open_with("")

    assert (await gateway.key(seed.OTHER_GAME_KEY, game=seed.OTHER_GAME_ID)).json()["allowed"] is True


async def test_every_answer_has_an_id_of_its_own(gateway: Asker) -> None:
    """Support must be able to name one decision, also among answers to the same question."""
    answers = [await gateway.key(seed.OWNER_KEY) for _ in range(50)]

    ids = {answer.json()["decision_id"] for answer in answers}
    assert len(ids) == 50
    assert all(ULID.fullmatch(one) for one in ids)


async def test_fresh_answer_says_that_the_store_was_asked(gateway: Asker) -> None:
    """`Age` and `Cache-Status` of an answer straight from the store."""
    headers = (await gateway.key(seed.OWNER_KEY)).headers

    assert (headers["age"], headers["cache-status"]) == ("0", "ownership-gateway; fwd=miss; stored")


async def test_remembered_answer_says_how_old_it_is(gateway: Asker, clock: FakeClock) -> None:
    """`Age` and `Cache-Status` of an answer from memory."""
    first = await gateway.key(seed.REVOKED_KEY)
    clock.jump(timedelta(seconds=7))

    headers = (await gateway.key(seed.REVOKED_KEY)).headers

    assert first.json()["cache"] == "none"
    assert (headers["age"], headers["cache-status"]) == ("7", "ownership-gateway; hit; ttl=38; detail=memory")


async def test_answer_that_nobody_was_asked_for_has_no_age(gateway: Asker) -> None:
    """An answer without an observation has no age."""
    headers = (await gateway.key("no key at all")).headers

    assert "age" not in headers
    assert headers["cache-status"] == "ownership-gateway"


async def test_no_answer_may_be_stored_on_the_way(gateway: Asker) -> None:
    """Proxies must not repeat answers; whether the same holds for all else is tested with the edge."""
    assert (await gateway.key(seed.OWNER_KEY)).headers["cache-control"] == "no-store"


async def test_answer_is_json(gateway: Asker) -> None:
    """The content type of an answer is JSON."""
    assert (await gateway.key(seed.OWNER_KEY)).headers["content-type"] == "application/json"


@pytest.mark.parametrize("shape", ["not json", "by shape", "operator", "unknown", "owned"])
async def test_sandbox_elsewhere_is_named_in_every_answer(open_with: Open, clock: FakeClock, shape: str) -> None:
    """A gateway that is pointed at a sandbox by its address marks every answer as the sandbox's."""
    async with sandbox_alone(clock) as (_, base_url):
        gateway = await open_with(pointing_at(base_url) + X_MOON + "grant_user_ids = [2007]\n", sandbox=False)
        await until_learned(gateway.gateway)

        response = {
            "not json": await gateway.key("\0"),
            "by shape": await gateway.jwt(""),
            "operator": await gateway.user(seed.STRANGER_ID),
            "unknown": await gateway.key(seed.MEDIUM_KEY, only_if_cached=True),
            "owned": await gateway.key(seed.OWNER_KEY),
        }[shape]

    assert response.json()["caveats"] == ["sandbox"]


async def test_one_line_tells_of_each_question(gateway: Asker, log: LogLines) -> None:
    """The log line of a question, to the last field."""
    response = await gateway.http.post(
        "/verify/download-key",
        json={"game": 3, "download_key": seed.OWNER_KEY},
        headers={
            "x-request-id": "match-7/round-2",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    )

    line = await log.line("verified")
    subject, account = line.pop("subject"), line.pop("account")
    assert line == {
        "timestamp": "2026-11-20T14:03:11.123Z",
        "level": "info",
        "event": "verified",
        "sandbox": True,
        "decision_id": response.json()["decision_id"],
        "request_id": "match-7/round-2",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "caller": "local",
        "game": "x-moon",
        "method": "download_key",
        "outcome": "owned",
        "reason": "download_key",
        "cache": "none",
        "age_seconds": 0.0,
        "duration_ms": 0.0,
    }
    assert re.fullmatch(r"[0-9a-f]{16}", subject)
    assert re.fullmatch(r"[0-9a-f]{16}", account)
    assert account != subject


async def test_answers_are_counted(gateway: Asker) -> None:
    """One count for each answer, under closed labels."""
    await gateway.key(seed.OWNER_KEY)
    await gateway.key(seed.OWNER_KEY)

    labels = {"game": "x-moon", "method": "download_key", "outcome": "owned", "reason": "download_key"}
    assert await gateway.metric("decisions_total", **labels, cache="none") == 1
    assert await gateway.metric("decisions_total", **labels, cache="memory") == 1
    assert await gateway.metric("decision_seconds_count", method="download_key", cache="memory") == 1


def test_every_reason_for_no_answer_has_a_title() -> None:
    """An answer without one would be a bug instead of a 503."""
    assert set(TITLES) == {reason for reason in Reason if reason.outcome is Outcome.UNKNOWN}
