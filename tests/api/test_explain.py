"""`/admin/explain`: who may, what is known and how old it is, what is never shown, and what it costs."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from service.api.paths import EXPLAIN_PATH, INVALIDATE_PATH, OVERRIDES_PATH
from service.ownership import Method
from service.rights import RIGHTS_FOR
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, befall, caller_lines, store_calls, until
from tests.reliability.town import founded, hold

SUPPORT: Final = "ogw_support"
LOBBY: Final = "ogw_lobby"
OTHER: Final = "ogw_support-of-the-other-game"
SLOW: Final = "ogw_slow-support"
ASKING: Final = "ogw_support-that-may-ask"
CALLERS: Final = (
    "[itch]\naccess_tokens = true\n"
    + X_MOON
    + "[games.sun-garden]\nid = 4\n"
    + caller_lines("support", SUPPORT, rights='["support"]')
    + caller_lines("lobby", LOBBY)
    + caller_lines("other", OTHER, rights='["support"]', games='["sun-garden"]')
    + caller_lines("slow", SLOW, rights='["support"]', rate="0.5")
    + caller_lines("asking", ASKING, rights='["support", "verify", "assert:user", "assert:email"]')
)
METHODS: Final = [method for method in Method if method is not Method.PASS]
"""A pass is found by the support code of its refusal."""
NO_KEY: Final = "thisIsNoKeyOfTheSandbox"


async def explain(gateway: Asker, token: str | None = None, **body: Any) -> httpx.Response:
    """Ask why."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await gateway.http.post(EXPLAIN_PATH, json=body, headers=headers)


async def explained(gateway: Asker, token: str | None = None, **body: Any) -> dict[str, Any]:
    """Ask why, and return the answer."""
    response = await explain(gateway, token, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_support_code_leads_to_its_story(gateway: Asker, clock: FakeClock, log: LogLines) -> None:
    """The decision as it was, in words, what is remembered, and the other refusals of the player."""
    refused = (await gateway.user(seed.STRANGER_ID)).json()
    await clock.advance(timedelta(seconds=30))

    found = await explained(gateway, decision_id=refused["decision_id"])

    assert found["sentences"][:2] == [
        "Not let in: itch.io knows neither a key nor a purchase that counts for this game.",
        "itch.io was asked 30 seconds ago.",
    ]
    decision = found["decision"]
    same = refused.keys() - {"player"}
    assert {key: decision[key] for key in same} == {key: refused[key] for key in same}
    assert (decision["game"], decision["caller"], decision["count"]) == ("x-moon", "local", 1)
    assert decision["player"] == {"id": seed.STRANGER_ID, "username": None, "display_name": None}
    assert [(one["tier"], one["says"], one["age_seconds"], one["counts"]) for one in found["remembered"]] == [
        ("memory", "no", 30, True)
    ]
    assert [one["decision_id"] for one in found["refusals"]] == [refused["decision_id"]]
    assert (found["components"]["source"], found["causes"], found["operator"]) == ("ok", {}, None)
    line = await log.line("explained")
    assert (line["decision_id"], line["reason"], line["asked"]) == (refused["decision_id"], "no_download_key", False)


async def test_the_code_is_taken_as_it_is_pasted(gateway: Asker) -> None:
    """With quotes and in lower case."""
    decision_id = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]

    assert (await explained(gateway, decision_id=f' "{decision_id.lower()}".\n'))["decision"][
        "decision_id"
    ] == decision_id


async def test_each_id_of_a_minute_leads_there(gateway: Asker) -> None:
    """A player who has tried three times shows the last; the refusal is one, with a count."""
    ids = [(await gateway.user(seed.STRANGER_ID)).json()["decision_id"] for _ in range(3)]

    for decision_id in ids:
        found = await explained(gateway, decision_id=decision_id)
        assert (found["decision"]["decision_id"], found["decision"]["count"]) == (decision_id, 3)
        assert len(found["refusals"]) == 1


@pytest.mark.parametrize("body", [{"decision_id": "01M7Y5NCZWHYPPN1HH559FP964"}, {"decision_id": "\x00<img onerror>"}])
async def test_an_unknown_decision_is_not_found(gateway: Asker, body: dict[str, str]) -> None:
    """A 404 that repeats nothing of the id."""
    response = await explain(gateway, **body)

    assert (response.status_code, response.json()["code"]) == (404, "unknown_decision")
    assert body["decision_id"] not in response.text
    assert await gateway.metric("refused_total", cause="unknown_decision") == 1


@pytest.mark.parametrize("ask", ["owner", "malformed"])
async def test_what_was_no_refusal_is_not_remembered(gateway: Asker, ask: str) -> None:
    """Nor is text that is no credential."""
    answer = await (gateway.user(seed.OWNER_ID) if ask == "owner" else gateway.key("no key"))

    assert (await explain(gateway, decision_id=answer.json()["decision_id"])).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "no_subject"),
        ({"game": 3}, "", "no_subject"),
        ({"user_id": 7}, "/game", "missing_field"),
        ({"game": 3, "user_id": 7, "email": "a@example.com"}, "/user_id", "too_many_subjects"),
        ({"decision_id": "x", "game": 3}, "/decision_id", "too_many_subjects"),
        ({"decision_id": "x", "ask": True}, "/decision_id", "too_many_subjects"),
        ({"decision_id": "x", "jwt": "y"}, "/decision_id", "too_many_subjects"),
        ({"decision_id": "x" * 129}, "/decision_id", "out_of_range"),
        ({"decision_id": 7}, "/decision_id", "wrong_type"),
        ({"game": 3, "email": "no address"}, "/email", "malformed_email"),
        ({"game": 3, "user_id": 0}, "/user_id", "out_of_range"),
        ({"game": 3, "user_id": "7"}, "/user_id", "wrong_type"),
        ({"game": 3, "user_id": 7, "ask": "yes"}, "/ask", "wrong_type"),
        ({"game": 3, "key": "x"}, "", "unknown_field"),
    ],
)
async def test_a_mistake_is_named(gateway: Asker, body: dict[str, Any], pointer: str, code: str) -> None:
    """With its place."""
    response = await explain(gateway, **body)

    assert response.status_code == 400
    assert response.json()["errors"] == [{"pointer": pointer, "code": code}]


async def test_it_needs_its_right(open_with: Open) -> None:
    """`support`, and the game; each explanation counts towards the rate."""
    gateway = await open_with(CALLERS)
    decision_id = (await gateway.user(seed.STRANGER_ID, token=LOBBY)).json()["decision_id"]

    assert (await explain(gateway, LOBBY, decision_id=decision_id)).status_code == 403
    assert (await explain(gateway, OTHER, decision_id=decision_id)).status_code == 403
    assert (await explain(gateway, OTHER, game="x-moon", user_id=7)).status_code == 403
    assert (await explain(gateway, "ogw_nobody", decision_id=decision_id)).status_code == 401
    assert (await explain(gateway, SUPPORT, game="no-game", user_id=7)).status_code == 404
    assert (await explained(gateway, SUPPORT, decision_id=decision_id))["decision"]["caller"] == "lobby"
    assert [(await explain(gateway, SLOW, decision_id=decision_id)).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("method", METHODS)
async def test_asking_the_store_needs_the_right_of_the_method(open_with: Open, method: Method) -> None:
    """Looking does not."""
    gateway = await open_with(CALLERS)
    body = credential_of(method, gateway)

    refused = await explain(gateway, SUPPORT, game=3, ask=True, **body)
    looked = await explained(gateway, SUPPORT, game=3, **body)

    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert RIGHTS_FOR[method][0] in refused.json()["detail"]
    assert looked["requests"] == []
    assert store_calls(gateway.sandbox) == 0
    asked = await explained(gateway, ASKING, game=3, ask=True, **body)
    assert asked["decision"]["outcome"] == "owned"
    assert store_calls(gateway.sandbox) == len(asked["requests"]) > 0


def credential_of(method: Method, gateway: Asker) -> dict[str, Any]:
    """Return the field of an owner's credential."""
    credentials: dict[Method, dict[str, Any]] = {
        Method.DOWNLOAD_KEY: {"download_key": seed.OWNER_KEY},
        Method.JWT: {"jwt": gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt},
        Method.EMAIL: {"email": seed.BUYER_EMAIL},
        Method.USER: {"user_id": seed.OWNER_ID},
        Method.ACCESS_TOKEN: {
            "access_token": gateway.sandbox.world.mint_access_token(seed.OWNER_ID, application_of=None)
        },
    }
    return credentials[method]


@pytest.mark.parametrize("method", METHODS)
async def test_looking_asks_nobody(open_with: Open, method: Method) -> None:
    """Neither about what is known, however old, nor about what is not; and it counts as no decision."""
    gateway = await open_with(f"[itch]\naccess_tokens = true\n{X_MOON}")
    body = credential_of(method, gateway)
    unknown = await explained(gateway, game=3, **body)
    await gateway.ask(method, *body.values())
    known = await explained(gateway, game=3, **body)
    await gateway.clock.advance(timedelta(hours=2))
    befall(gateway.sandbox, status=500)
    gateway.sandbox.journal.clear()

    old = await explained(gateway, game=3, **body)
    await gateway.clock.advance(timedelta(minutes=1))

    assert (unknown["decision"]["reason"], unknown["remembered"]) == ("not_cached", [])
    assert known["decision"]["outcome"] == "owned"
    assert known["decision"]["decision_id"] is None
    assert {one["says"] for one in known["remembered"]} == {"yes"}
    assert old["remembered"][-1]["age_seconds"] == 7200
    assert store_calls(gateway.sandbox) == 0
    assert await gateway.metric("answers_total") == 1


async def test_a_look_at_an_old_answer_is_no_outage(gateway: Asker) -> None:
    """It shows the last that is known, and that itch.io can be asked; the player has nothing to do."""
    await gateway.user(seed.OWNER_ID)
    await gateway.clock.advance(timedelta(hours=2))

    found = await explained(gateway, game=3, user_id=seed.OWNER_ID)

    assert found["sentences"][0] == "Nothing is known: itch.io has not been asked about this lately."
    assert "Ask itch.io now to find out." in found["sentences"]
    assert (found["decision"]["reason"], found["next_step"]) == ("not_cached", None)
    assert [one["says"] for one in found["remembered"]] == ["yes"]


async def test_a_refusal_is_the_verdict_of_a_look_that_finds_nothing_newer(gateway: Asker) -> None:
    """With when it was, and what the player can do; once the store has answered, its answer is the verdict."""
    befall(gateway.sandbox, status=500)
    refused = (await gateway.user(seed.OWNER_ID)).json()["decision_id"]
    gateway.sandbox.faults.replace([])
    await gateway.clock.advance(timedelta(seconds=76))

    found = await explained(gateway, game=3, user_id=seed.OWNER_ID)
    await explained(gateway, game=3, user_id=seed.OWNER_ID, ask=True)
    await gateway.clock.advance(timedelta(hours=2))
    later = await explained(gateway, game=3, user_id=seed.OWNER_ID)

    assert (found["verdict"], found["let_in"]) == ("Not decided", None)
    assert found["next_step"] == "The player should try again in a few minutes."
    assert found["details"][:2] == [
        "That was 1 minute ago, and nothing newer is known.",
        "The cause: it answers with an error of its own.",
    ]
    assert found["details"][-1] == "Ask itch.io now to find out."
    assert (found["decision"]["decision_id"], found["decision"]["at"]) == (refused, "2026-11-20T14:03:11Z")
    assert (later["verdict"], later["decision"]["decision_id"]) == ("Nothing is known", None)
    assert [one["decision_id"] for one in later["refusals"]] == [refused]


async def test_a_refused_key_is_no_verdict_on_its_account(open_with: Open, clock: FakeClock) -> None:
    """A refused JWT of it is: it asks the same as the id."""
    gateway = await open_with(X_MOON + 'accept = ["purchase"]\n')
    by_key = (await gateway.key(seed.OWNER_KEY)).json()["decision_id"]
    before = await explained(gateway, game=3, user_id=seed.OWNER_ID)
    by_jwt = (await gateway.jwt(gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt)).json()["decision_id"]
    await clock.advance(timedelta(minutes=2))

    after = await explained(gateway, game=3, user_id=seed.OWNER_ID)

    assert (before["verdict"], before["decision"]["decision_id"]) == ("Nothing is known", None)
    assert [one["decision_id"] for one in before["refusals"]] == [by_key]
    assert (after["verdict"], after["decision"]["decision_id"]) == ("Not let in", by_jwt)


async def test_the_right_that_asking_lacks_is_named(open_with: Open) -> None:
    """In a field and, where nothing is known, in a sentence."""
    gateway = await open_with(CALLERS)
    refused = (await gateway.user(seed.STRANGER_ID, token=LOBBY)).json()["decision_id"]

    by_id = await explained(gateway, SUPPORT, decision_id=refused)
    by_address = await explained(gateway, SUPPORT, game=3, email=seed.BUYER_EMAIL)
    may_ask = await explained(gateway, ASKING, game=3, email=seed.BUYER_EMAIL)

    assert by_id["missing_rights"] == ["assert:user"]
    assert by_address["missing_rights"] == ["verify", "assert:email"]
    assert by_address["details"][-1] == (
        "itch.io must be asked to find out, which needs `verify` and `assert:email` in the rights of your token, too."
    )
    assert (may_ask["missing_rights"], may_ask["details"][-1]) == ([], "Ask itch.io now to find out.")


async def test_a_question_that_could_not_be_answered_keeps_its_words(gateway: Asker) -> None:
    """A caller that forbade asking has left a player without an answer, who may try again."""
    refused = (await gateway.user(seed.OWNER_ID, only_if_cached=True)).json()

    found = await explained(gateway, decision_id=refused["decision_id"])

    assert refused["reason"] == "not_cached"
    assert found["sentences"][0].startswith("Not decided: nothing recent enough is known")
    assert found["next_step"] == "The player should try again in a few minutes."


async def test_the_store_is_asked_request_by_request(gateway: Asker) -> None:
    """With the proofs that each showed: by kind and id, by e-mail by kind alone, lest they name the account."""
    asked = [
        (
            [(one["endpoint"], one["result"], one["proofs"]) for one in found["requests"]],
            found["decision"]["evidence"],
            found["remembered"][-1]["proofs"],
            found["details"][-1],
        )
        for found in [
            await explained(gateway, game=3, ask=True, **body)
            for body in ({"user_id": seed.BUYER_ID}, {"email": seed.BUYER_EMAIL})
        ]
    ]

    purchase = {"kind": "purchase", "id": 11561, "acquired_at": "2014-02-28T00:25:09Z"}
    kind = {"kind": "purchase", "id": None, "acquired_at": None}
    for (requests, evidence, remembered, told), shown, number in zip(
        asked, (purchase, kind), (" 11561", ""), strict=True
    ):
        assert requests == [("download_keys", "no", []), ("purchases", "ok", [shown])]
        assert (evidence, remembered) == (shown, [shown])
        assert told == f"itch.io was asked now about purchases: it answered with purchase{number}."


async def test_one_who_hangs_up_leaves_a_line(gateway: Asker, log: LogLines) -> None:
    """The store was asked: the log has it, though the caller did not stay for the answer."""
    befall(gateway.sandbox, latency_ms=600_000)
    body = json.dumps({"game": 3, "user_id": seed.OWNER_ID, "ask": True}).encode()
    head = f"POST {EXPLAIN_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    address = gateway.http.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await until(lambda: store_calls(gateway.sandbox))

    writer.transport.abort()

    line = await log.line("explained")
    assert (line["caller"], line["game"], line["method"], line["asked"]) == ("local", "x-moon", "user", True)
    assert (line["decision_id"], line["reason"]) == (None, None)
    assert line["subject"] is not None
    assert await reader.read() == b""


async def test_a_store_that_is_away_is_said(gateway: Asker) -> None:
    """With the cause, in a sentence and in a word; a remembered decision keeps the cause of then."""
    befall(gateway.sandbox, status=500)
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    asked = await explained(gateway, game=3, user_id=seed.OWNER_ID, ask=True)
    gateway.sandbox.faults.replace([])
    await gateway.clock.advance(timedelta(minutes=1))
    await gateway.user(seed.OWNER_ID, max_age=0)
    kept = await explained(gateway, decision_id=refused)

    assert asked["decision"]["reason"] == "source_unavailable"
    assert [one["result"] for one in asked["requests"]] == ["unavailable"]
    assert asked["causes"] == {"source": "server_error"}
    cause = "The cause: it answers with an error of its own."
    assert asked["sentences"][1] == cause
    assert kept["sentences"][1] == cause
    assert kept["causes"] == {}


async def test_by_e_mail_no_account_is_named(gateway: Asker, log: LogLines) -> None:
    """Nor are its refusals shown: not from the address, not from a decision about it; the log names none either."""
    account_refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    response = await gateway.email("nobody@example.com")
    by_address = await explained(gateway, game=3, email="nobody@example.com", ask=True)
    by_decision = await explained(gateway, decision_id=response.json()["decision_id"])
    owned = await explained(gateway, game=3, email=seed.BUYER_EMAIL, ask=True)

    for found in (by_address, by_decision, owned):
        assert (found["decision"]["player"], found["decision"]["account"]) == (None, None)
        assert account_refused not in json.dumps(found)
    assert [one["method"] for one in by_address["refusals"]] == ["email"]
    assert "account" not in await log.line_of(response.headers["x-request-id"])


async def test_the_owner_of_a_key_found_by_e_mail_is_not_named(gateway: Asker, log: LogLines) -> None:
    """The store does name the account: neither it nor its refusals are shown, and the log has no name of it either."""
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    owner = {"id": seed.STRANGER_ID, "username": "nia"}
    key = {"id": 200, "key": NO_KEY, "created_at": "2014-02-28 00:25:09", "downloads": 0, "game_id": 3, "owner": owner}
    befall(gateway.sandbox, endpoint=StoreEndpoint.DOWNLOAD_KEYS, body=json.dumps({"download_key": key}))
    by_key = await explained(gateway, game=3, download_key=NO_KEY, ask=True)

    response = await gateway.email("nobody@example.com")
    by_address = [await explained(gateway, game=3, email="nobody@example.com", ask=ask) for ask in (True, False)]

    assert (by_key["decision"]["player"]["id"], len(by_key["refusals"])) == (seed.STRANGER_ID, 1)
    assert response.json()["reason"] == "download_key"
    for found in by_address:
        assert found["decision"]["evidence"] == {"kind": "download_key", "id": None, "acquired_at": None}
        assert (found["decision"]["player"], found["decision"]["account"], found["refusals"]) == (None, None, [])
        for secret in (refused, by_key["decision"]["account"], str(seed.STRANGER_ID), "nia"):
            assert secret not in json.dumps(found)
    assert "account" not in await log.line_of(response.headers["x-request-id"])


async def test_the_log_names_the_account_by_each_method(gateway: Asker, log: LogLines) -> None:
    """The same for all of them, and as the credential that is its id."""
    names = set()
    for method in (Method.USER, Method.JWT, Method.DOWNLOAD_KEY):
        response = await gateway.ask(method, *credential_of(method, gateway).values())
        line = await log.line_of(response.headers["x-request-id"])
        names.add(line["account"])
        assert (line["subject"] == line["account"]) == (method is Method.USER)

    assert len(names) == 1


async def test_refusals_of_the_account_are_found_by_its_jwt(gateway: Asker) -> None:
    """And those by its JWT from its id."""
    jwt = gateway.sandbox.mint_jwt(seed.STRANGER_ID).jwt
    ids = [
        (await gateway.user(seed.STRANGER_ID)).json()["decision_id"],
        (await gateway.jwt(jwt)).json()["decision_id"],
    ]

    by_credential: list[dict[str, Any]] = [{"game": 3, "jwt": jwt}, {"game": 3, "user_id": seed.STRANGER_ID}]
    for body in (*by_credential, *({"decision_id": one} for one in ids)):
        found = await explained(gateway, **body)
        assert {one["decision_id"] for one in found["refusals"]} == set(ids)
        assert {one["about"] for one in found["remembered"]} >= {"ownership"}


async def test_a_refused_jwt_is_remembered_as_such(gateway: Asker) -> None:
    """The store's word about it is not one about ownership."""
    jwt = gateway.sandbox.mint_jwt(seed.STRANGER_ID).jwt[:-4] + "AAAA"
    await gateway.jwt(jwt)

    found = await explained(gateway, game=3, jwt=jwt)

    assert found["decision"]["reason"] == "refused_jwt"
    assert [(one["about"], one["says"]) for one in found["remembered"]] == [("identity", "refused")]


@pytest.mark.parametrize("field", ["download_key", "email", "user_id"])
async def test_what_is_invalidated_is_forgotten(gateway: Asker, field: str) -> None:
    """Its refusals with it; those that come after are remembered."""
    method = {"download_key": Method.DOWNLOAD_KEY, "email": Method.EMAIL, "user_id": Method.USER}[field]
    credential: Any = {"download_key": NO_KEY, "email": "nobody@example.com", "user_id": seed.STRANGER_ID}[field]
    before = (await gateway.ask(method, credential)).json()["decision_id"]
    kept = (await gateway.user(seed.STRANGER_ID + 1)).json()["decision_id"]

    await gateway.http.post(INVALIDATE_PATH, json={"game": 3, field: credential})
    await gateway.clock.advance(timedelta(seconds=1))
    after = (await gateway.ask(method, credential)).json()["decision_id"]

    assert (await explain(gateway, decision_id=before)).status_code == 404
    found = await explained(gateway, decision_id=after)
    assert [one["decision_id"] for one in found["refusals"]] == [after]
    await explained(gateway, decision_id=kept)
    await gateway.http.post(INVALIDATE_PATH, json={"game": 3})
    assert (await explain(gateway, decision_id=kept)).status_code == 404


async def test_an_invalidated_account_is_forgotten_by_its_other_methods(gateway: Asker) -> None:
    """A JWT that led to it."""
    jwt = gateway.sandbox.mint_jwt(seed.STRANGER_ID).jwt
    refused = (await gateway.jwt(jwt)).json()["decision_id"]

    await gateway.http.post(INVALIDATE_PATH, json={"game": 3, "user_id": seed.STRANGER_ID})

    assert (await explain(gateway, decision_id=refused)).status_code == 404
    assert {one["counts"] for one in (await explained(gateway, game=3, jwt=jwt))["remembered"]} == {True, False}


async def test_the_operators_word_is_shown(open_with: Open) -> None:
    """That of the configuration, and that of an override with its id and end."""
    gateway = await open_with(X_MOON + "ban_user_ids = [77]\ngrant_user_ids = [78]\n")
    body = {"game": 3, "user_id": seed.STRANGER_ID, "word": "grant", "seconds": 3600, "note": "ticket 7"}
    made = (await gateway.http.post(OVERRIDES_PATH, json=body)).json()

    banned = (await explained(gateway, game=3, user_id=77))["operator"]
    granted = (await explained(gateway, game=3, user_id=78))["operator"]
    override = (await explained(gateway, game=3, user_id=seed.STRANGER_ID))["operator"]

    nothing = dict.fromkeys(("until", "id", "by", "note", "at"))
    assert banned == {"word": "ban", "source": "configuration"} | nothing
    assert granted == {"word": "grant", "source": "configuration"} | nothing
    assert override == {
        "word": "grant",
        "source": "override",
        "id": made["id"],
        "by": "local",
        "note": "ticket 7",
        "at": "2026-11-20T14:03:11Z",
        "until": "2026-11-20T15:03:11Z",
    }


async def test_a_grant_that_came_later_is_said(gateway: Asker) -> None:
    """In the verdict on the refusal from before, with its setter; the player can try at once."""
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    body = {"game": 3, "user_id": seed.STRANGER_ID, "word": "grant", "seconds": 3600}
    await gateway.http.post(OVERRIDES_PATH, json=body)

    found = await explained(gateway, decision_id=refused)

    assert (found["verdict"], found["let_in"]) == ("Was not let in. Let in now", True)
    assert found["why"] == "itch.io knows neither a key nor a purchase that counts for this game."
    assert found["details"][0] == "An override by local lets this player in until 2026-11-20 15:03 UTC."
    assert found["next_step"] == "The player should try again now."


async def test_a_grant_in_the_place_of_a_ban_is_said(gateway: Asker) -> None:
    """The refusal rests on the ban; the same word is not said twice."""
    body = {"game": 3, "user_id": seed.STRANGER_ID, "seconds": 3600}
    await gateway.http.post(OVERRIDES_PATH, json=body | {"word": "ban"})
    refused = (await gateway.user(seed.STRANGER_ID)).json()
    banned = await explained(gateway, decision_id=refused["decision_id"])
    await gateway.http.post(OVERRIDES_PATH, json=body | {"word": "grant"})

    granted = await explained(gateway, decision_id=refused["decision_id"])

    assert refused["reason"] == "operator_ban"
    assert [one for one in banned["sentences"] if "until" in one] == [
        "An override by local keeps this player out until 2026-11-20 15:03 UTC."
    ]
    assert "An override by local lets this player in until 2026-11-20 15:03 UTC." in granted["sentences"]
    assert (banned["let_in"], granted["let_in"]) == (False, True)


@pytest.mark.parametrize(("method", "word"), [(Method.EMAIL, "grant"), (Method.DOWNLOAD_KEY, "ban")])
async def test_an_override_of_the_credential_is_said_beside_its_refusal(
    gateway: Asker, method: Method, word: str
) -> None:
    """The support code leads to it, though the credential itself is not kept; another's says nothing here."""
    field = "email" if method is Method.EMAIL else "download_key"
    credential, other = {
        Method.EMAIL: ("nobody@example.com", "somebody@example.com"),
        Method.DOWNLOAD_KEY: (NO_KEY, NO_KEY[::-1]),
    }[method]
    refused = (await gateway.ask(method, credential)).json()["decision_id"]
    body = {"game": 3, "word": word, "seconds": 3600}
    await gateway.http.post(OVERRIDES_PATH, json=body | {field: other})
    before = await explained(gateway, decision_id=refused)
    made = (await gateway.http.post(OVERRIDES_PATH, json=body | {field: credential})).json()

    after = await explained(gateway, decision_id=refused)

    assert before["operator"] is None
    assert (after["operator"]["word"], after["operator"]["id"]) == (word, made["id"])
    assert (after["operator"]["source"], after["operator"]["until"]) == ("override", "2026-11-20T15:03:11Z")
    does = "lets this player in" if word == "grant" else "keeps this player out"
    assert f"An override by local {does} until 2026-11-20 15:03 UTC." in after["sentences"]


async def test_a_grant_of_the_owner_says_nothing_about_a_key(gateway: Asker) -> None:
    """A key may be in other hands; a ban holds for it."""
    await gateway.key(seed.OWNER_KEY)
    words = []
    for word in ("grant", "ban"):
        body = {"game": 3, "user_id": seed.OWNER_ID, "word": word, "seconds": 3600}
        await gateway.http.post(OVERRIDES_PATH, json=body)
        words.append((await explained(gateway, game=3, download_key=seed.OWNER_KEY))["operator"])

    assert words[0] is None
    assert words[1]["word"] == "ban"


async def test_text_that_is_no_credential_is_explained(gateway: Asker) -> None:
    """Without a request to the store, and without a name in the log."""
    found = await explained(gateway, game=3, download_key="no key", ask=True)

    assert found["sentences"][0] == "Not let in: what the player entered is no download key."
    assert (found["decision"]["subject"], found["remembered"], found["requests"], found["refusals"]) == (
        None,
        [],
        [],
        [],
    )
    assert store_calls(gateway.sandbox) == 0


async def test_nothing_that_a_player_presented_is_shown(gateway: Asker, log: LogLines) -> None:
    """Neither in answers nor in the log."""
    seen = ""
    jwt = gateway.sandbox.mint_jwt(seed.STRANGER_ID).jwt
    for field, value in {"download_key": NO_KEY, "email": "nobody@example.com", "jwt": jwt}.items():
        for ask in (True, False):
            seen += (await explain(gateway, game=3, ask=ask, **{field: value})).text
    await log.line("explained")

    for secret in (NO_KEY, "nobody@example.com", jwt):
        assert secret not in seen
        assert secret.encode() not in log.written


async def test_a_batch_is_remembered_too(gateway: Asker) -> None:
    """Each of its refusals, by its own id."""
    items = [{"id": str(one), "method": "user", "game": 3, "user_id": one} for one in (2007, 2008)]
    results = (await gateway.batch(*items)).json()["results"]

    for result in results:
        await explained(gateway, decision_id=result["decision"]["decision_id"])


async def test_where_it_is_off_nothing_is_remembered(open_with: Open) -> None:
    """An explanation has all the rest."""
    gateway = await open_with("remember_refusals = false\n" + X_MOON)
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]

    assert (await explain(gateway, decision_id=refused)).status_code == 404
    found = await explained(gateway, game=3, user_id=seed.STRANGER_ID)
    assert (found["decision"]["reason"], found["refusals"]) == ("no_download_key", [])
    assert (await gateway.http.post(INVALIDATE_PATH, json={"game": 3, "user_id": 7})).status_code == 200
    assert "refusals_shared" not in (await gateway.http.get("/metrics")).text


async def test_a_reset_of_the_sandbox_leaves_none(open_with: Open, empty_redis: Redis, redis_url: str) -> None:
    """Neither in memory nor in Redis: names have the number of the world in them."""
    gateway = await open_with(f'secret = "{SECRET}"\n{X_MOON}\n[redis]\nurl = "{redis_url}"\n')
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    await until(lambda: b'refusals_shared_total{result="stored"} 1.0' in gateway.gateway.metrics.render()[0])

    assert (await gateway.http.post("/sandbox/reset")).is_success

    assert (await explain(gateway, decision_id=refused)).status_code == 404
    assert (await explained(gateway, game=3, user_id=seed.STRANGER_ID))["refusals"] == []
    assert [key async for key in empty_redis.scan_iter("og:v2:{x}:*")] != []


async def test_an_override_changes_no_decision_from_before(open_with: Open) -> None:
    """The one that would be given now follows it."""
    gateway = await open_with()
    refused = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    body = {"game": 3, "user_id": seed.STRANGER_ID, "word": "ban", "seconds": 3600}
    await gateway.http.post(OVERRIDES_PATH, json=body)

    before, now = (
        await explained(gateway, decision_id=refused),
        await explained(gateway, game=3, user_id=seed.STRANGER_ID),
    )

    assert (before["decision"]["reason"], now["decision"]["reason"]) == ("no_download_key", "operator_ban")
    assert before["operator"]["word"] == "ban"


async def test_a_no_that_is_held_back_does_not_count(tmp_path: Path) -> None:
    """The proof in its place is listed after it, with its own age, until an operator believes the store."""
    async with founded(tmp_path, [None], more=caller_lines("support", SUPPORT, rights='["support"]')) as town:
        owner = (await hold(town))[-1]

        async def look() -> tuple[bool, list[tuple[str, bool, bool]]]:
            found = await explained(town.gateways[0], SUPPORT, game=3, user_id=owner)
            remembered = [(one["says"], one["age_seconds"] >= 120, one["counts"]) for one in found["remembered"]]
            return found["decision"]["allowed"], remembered

        held = await look()
        await town.tell({"game": 3, "believe": True, "seconds": 3600})
        believed = await look()

    assert held == (True, [("no", False, False), ("yes", True, True)])
    assert believed == (False, [("no", False, True)])
