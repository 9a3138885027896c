"""Endpoints that a relay hands on, those that it keeps as long as the hub says, and those that it has not."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from litestar import Request
from msgspec import Struct

from service.api.answers import AnswerWriter
from service.api.callers import LOCAL_CALLER
from service.api.game_directory import GameDirectory
from service.api.public_copies import PublicCopies
from service.api.questions import BodyReader
from service.api.relayed import HANDED_ON, HandedOn, HandingOn
from service.api.verify_service import Asking
from service.http.reply import Reply
from service.hub.hub_client import HubClient
from service.hub.hub_transport import HubTransport
from service.observability.events import Events
from service.observability.metrics import Metrics
from service.ownership import GameId, Reason
from service.rights import Right
from service.sandbox import seed
from service.secret import HubToken
from service.settings import SettingsReader
from service.trust import trusting_context
from service.verification.policy import GameRules
from tests.api.edges import PROXY, Edge, key
from tests.clock import START, FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, logging_into, until
from tests.http.serving import listening
from tests.hub.conftest import HUB, TOKEN, Hub, OpenHub, OpenRelay
from tests.hub.scripted_hub import Asked, Said, decided, problem, scripted_hub, unknown
from tests.redeem.forging import SECRET as REDEEM_SECRET
from tests.redeem.forging import token as redeem_token

LOBBY: Final = "ogw_the-token-of-a-lobby-in-tests-0000000000000"
KEYS: Final = "/.well-known/jwks.json"
VOID: Final = "/passes/invalidated"
ORDER: Final[dict[str, Any]] = {"method": "user", "game": "x-moon", "user_id": seed.OWNER_ID}
CHANNEL: Final = "/games/x-moon/channels/windows"


async def order(relay: Asker, *, token: str | None = None, **fields: Any) -> httpx.Response:
    """Ask for a pass."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await relay.http.post("/passes", json={**ORDER, **fields}, headers=headers)


# --- passes ---


async def test_a_pass_is_the_hubs(hub: Hub, relay: Asker, log: LogLines) -> None:
    """It is asked for each time, and shown to the hub each time; the relay's log says that it was."""
    answers = [(await order(relay, player_ref="lobby:7")).json() for _ in range(2)]
    value = answers[0]["pass"]["value"]
    shown = (await relay.http.post("/verify/pass", json={"game": 3, "pass": value, "player_ref": "lobby:7"})).json()
    other = (await relay.http.post("/verify/pass", json={"game": 3, "pass": value})).json()
    line = await log.line("handed_on")

    assert answers[0]["pass"]["value"] != answers[1]["pass"]["value"]
    assert (shown["allowed"], shown["method"], shown["player"]["id"]) == (True, "pass", seed.OWNER_ID)
    assert other["reason"] == "refused_pass"
    assert (line["path"], line["game"], line["status"], line["reason"]) == ("/passes", "x-moon", 200, None)
    assert value.encode() not in log.written
    assert await hub.asker.metric("decisions_total", method="pass") == 2
    assert await relay.metric("decisions_total", method="pass") == 2


async def test_a_pass_of_the_wrong_shape_is_not_handed_on(hub: Hub, relay: Asker) -> None:
    """The hub is asked nothing."""
    answer = (await relay.http.post("/verify/pass", json={"game": 3, "pass": "no pass"})).json()

    assert answer["reason"] == "malformed_pass"
    assert await hub.asker.metric("answers_total") == 0


async def test_a_pass_while_the_hub_has_no_answer(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Unknown: nothing is remembered that could stand in for it."""
    async with scripted_hub(lambda _: unknown(Reason.SOURCE_UNAVAILABLE, method="pass")) as hub:
        relay = await open_relay(hub.url)
        body = {"game": 3, "pass": "a.b.c", "deadline_ms": 200}
        assert (await relay.http.post("/verify/pass", json=body)).json()["reason"] == "source_unavailable"
        hub.answers = lambda _: None
        late = asyncio.create_task(relay.http.post("/verify/pass", json=body))
        await until(lambda: len(hub.asked) == 2)
        await clock.advance(timedelta(milliseconds=200))

        assert (await late).json()["reason"] == "deadline_exceeded"
        assert hub.asked[0].json == {"game": 3, "pass": "a.b.c", "deadline_ms": 150}


async def test_a_pass_from_an_address_names_no_account(open_relay: OpenRelay) -> None:
    """The hub names no player; neither does the relay's log."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, method="pass", observed_at=START)) as hub:
        relay = await open_relay(hub.url)
        answer = (await relay.http.post("/verify/pass", json={"game": 3, "pass": "a.b.c"})).json()

    assert (answer["allowed"], answer["player"]) == (True, None)


@pytest.mark.parametrize("path", [KEYS, VOID])
async def test_a_hub_without_passes(open_relay: OpenRelay, path: str) -> None:
    """Its 404 is passed on, by every way."""
    async with scripted_hub(lambda _: problem(404, "not_enabled")) as hub:
        relay = await open_relay(hub.url)
        shown = await relay.http.post("/verify/pass", json={"game": 3, "pass": "a.b.c"})
        batch = await relay.batch({"id": "1", "method": "pass", "game": 3, "pass": "a.b.c"})
        plain = await relay.user(1)
        answers = [await order(relay), shown, plain, await relay.http.get(path)]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not_enabled")}
    assert batch.json()["results"][0]["problem"]["code"] == "not_enabled"


# --- proofs of an address ---


@pytest.mark.parametrize(
    ("fields", "handed"),
    [
        ({"proof": "a.b.c"}, {"proof": "a.b.c"}),
        (
            {"proof": "a.b.c", "nonce": "n", "email": "amos@Example.com"},
            {"proof": "a.b.c", "nonce": "n", "email": "amos@example.com"},
        ),
    ],
)
async def test_a_proof_is_the_hubs(
    open_relay: OpenRelay, log: LogLines, fields: dict[str, Any], handed: dict[str, Any]
) -> None:
    """It is shown to the hub each time, and needs no right to vouch."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, method="email", observed_at=START)) as hub:
        relay = await open_relay(hub.url, X_MOON + caller_lines("lobby", LOBBY, rights='["verify", "pass"]'))
        headers = {"authorization": f"Bearer {LOBBY}"}
        question = {"game": 3, **fields}
        answers = [await relay.http.post("/verify/email", json=question, headers=headers) for _ in range(2)]
        ordered = await relay.http.post("/passes", json={"game": 3, "method": "email", **fields}, headers=headers)
        without = await relay.http.post("/verify/email", json={"game": 3, "email": "a@example.com"}, headers=headers)

        assert [answer.json()["allowed"] for answer in (*answers, ordered)] == [True] * 3
        assert without.status_code == 403
        assert [asked.json for asked in hub.asked][:2] == [{"game": 3, "deadline_ms": 2950, **handed}] * 2
        assert b"a.b.c" not in log.written


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (unknown(Reason.ISSUER_UNAVAILABLE, method="email"), 503, "issuer_unavailable"),
        (problem(404, "not_enabled"), 404, "not_enabled"),
    ],
)
async def test_what_the_hub_says_of_a_proof(open_relay: OpenRelay, said: Said, status: int, code: str) -> None:
    """Its issuers may be away, or there may be none."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.http.post("/verify/email", json={"game": 3, "proof": "a.b.c"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


# --- codes that are mailed ---


async def test_a_mailed_code_is_the_hubs(hub: Hub, relay: Asker, log: LogLines) -> None:
    """Asked for, typed in and shown at the relay; the hub mails it, and knows what it proves."""
    begun = await relay.http.post("/email-challenges", json={"game": "x-moon", "email": seed.BUYER_EMAIL})
    (mail,) = hub.asker.sandbox.outbox.mails()
    (code,) = [word for word in mail.text.split() if word.isdecimal() and len(word) == 8]
    typed = {"challenge": begun.json()["challenge"], "code": code}
    confirmed = await relay.http.post("/email-challenges/confirm", json=typed)
    shown = await relay.http.post("/verify/email", json={"game": 3, "proof": confirmed.json()["proof"]})
    too_soon = await relay.http.post("/email-challenges", json={"game": "x-moon", "email": seed.BUYER_EMAIL})

    assert (begun.status_code, confirmed.status_code, confirmed.json()["confirmed"]) == (202, 200, True)
    assert (shown.json()["allowed"], shown.json()["reason"]) == (True, "purchase")
    assert await relay.metric("source_requests_total", endpoint="hub", result="ok") == 3
    assert await relay.metric("source_requests_total", endpoint="hub", result="protocol") == 0
    assert (too_soon.status_code, too_soon.json()["code"]) == (429, "too_many_challenges")
    assert too_soon.headers["retry-after"] == "60"
    for hidden in (code, typed["challenge"], seed.BUYER_EMAIL):
        assert hidden.encode() not in log.written


async def test_a_bound_on_mails_stops_no_question(open_relay: OpenRelay) -> None:
    """It is about one address: a player who asks for codes again and again keeps no other player out."""

    def answers(asked: Asked) -> Said:
        if asked.path == "/email-challenges":
            return problem(429, "too_many_challenges", retry_after_seconds=86_400)
        return decided(Reason.PURCHASE, date=START, observed_at=START)

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        body = {"game": 3, "email": "player@example.com"}
        over = [await relay.http.post("/email-challenges", json=body) for _ in range(2)]
        player = await relay.user(1)

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in over] == [(429, "86400")] * 2
    assert player.json()["allowed"] is True


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (problem(503, "mail_unavailable"), 503, "mail_unavailable"),
        (problem(429, "too_many_challenges", request_id="of-the-hub"), 429, "too_many_challenges"),
        (problem(404, "not_enabled"), 404, "not_enabled"),
        (problem(403, "not_permitted"), 503, "gateway_credential"),
        (unknown(Reason.OVERLOADED, method="email"), 503, "overloaded"),
    ],
)
async def test_what_the_hub_says_of_a_code(open_relay: OpenRelay, said: Said, status: int, code: str) -> None:
    """Problems about codes are passed on, all others are the relay's."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.http.post("/email-challenges", json={"game": 3, "email": "player@example.com"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/email-challenges", {"game": 3, "email": "player@example.com"}),
        ("/email-challenges/confirm", {"challenge": "c", "code": "12345678"}),
    ],
)
async def test_a_mail_and_a_try_are_asked_for_once(open_relay: OpenRelay, path: str, body: dict[str, Any]) -> None:
    """A hub that ends a connection may have taken them already, unlike a question, which may be asked again."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=START, observed_at=START)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1)

        def cut(_: Asked) -> None:
            hub.cut()

        hub.answers = cut
        answer = await relay.http.post(path, json=body)

    assert [asked.path for asked in hub.asked[1:]] == [path]
    assert (answer.status_code, answer.json()["code"]) == (503, "source_unavailable")


async def test_a_mail_may_take_longer_than_a_question(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Six seconds: a hub whose mail server hangs answers after five."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        asked = asyncio.create_task(
            relay.http.post("/email-challenges", json={"game": 3, "email": "player@example.com"})
        )
        await until(lambda: hub.asked)
        await clock.advance(timedelta(seconds=5, milliseconds=900))
        assert not asked.done()
        await clock.advance(timedelta(seconds=1))
        answer = await asked

    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


# --- the table ---


def test_the_table_names_all_that_is_handed_on() -> None:
    """One line for each."""
    assert [route.path for route in HANDED_ON] == [
        "/passes",
        "/email-challenges",
        "/email-challenges/confirm",
        "/verify/redeem",
    ]


async def test_the_fields_are_handed_on_as_they_came(open_relay: OpenRelay) -> None:
    """But for the game's name, and the time for the way."""
    said = decided(Reason.PURCHASE, observed_at=START)
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await order(relay, audience="server-42", max_age=5, deadline_ms=1000)

        given = {**ORDER, "game": 3, "audience": "server-42", "max_age": 5, "deadline_ms": 950}
        assert [(asked.path, asked.json) for asked in hub.asked] == [("/passes", given)]
        assert answer.content == said.body


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (problem(401, "not_authenticated"), "gateway_credential"),
        (problem(429, "too_many_questions", retry_after_seconds=3), "overloaded"),
        (unknown(Reason.NOT_CACHED), "not_cached"),
        (Said(200, b"<html>"), "source_protocol"),
        (decided(Reason.PURCHASE, game=4), "source_protocol"),
        (decided(Reason.PURCHASE, method="jwt"), "source_protocol"),
    ],
)
async def test_what_is_no_decision_is_unknown(open_relay: OpenRelay, said: Said, reason: str) -> None:
    """As for any question."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await order(relay)

    assert (answer.status_code, answer.json()["outcome"], answer.json()["reason"]) == (503, "unknown", reason)


async def test_a_hub_that_hangs_costs_the_callers_deadline(open_relay: OpenRelay, clock: FakeClock) -> None:
    """No more."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        asking = asyncio.create_task(order(relay, deadline_ms=100))
        await until(lambda: hub.asked)
        await clock.advance(timedelta(milliseconds=100))

        assert (await asking).json()["reason"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"user_id": "3"}, 400),
        ({"game": "no-such-game"}, 404),
        ({"game": 4}, 403),
        ({"method": "email", "email": "amos@example.com", "user_id": None}, 400),
        ({"unknown": 1}, 400),
    ],
)
async def test_the_relay_judges_its_callers(open_relay: OpenRelay, fields: dict[str, Any], status: int) -> None:
    """The hub hears nothing of it."""
    async with scripted_hub(lambda _: Said()) as hub:
        callers = caller_lines("lobby", LOBBY, rights='["pass", "verify", "assert:user"]', games='["x-moon"]')
        relay = await open_relay(hub.url, X_MOON + "[games.other]\nid = 4\n" + callers)

        assert (await order(relay, token=LOBBY, **fields)).status_code == status
        assert hub.asked == []


@pytest.mark.parametrize("rights", ['["verify", "assert:user"]', '["pass", "verify"]'])
async def test_rights_are_needed(open_relay: OpenRelay, rights: str) -> None:
    """That for passes, and that of the method."""
    async with scripted_hub(lambda _: Said()) as hub:
        relay = await open_relay(hub.url, X_MOON + caller_lines("lobby", LOBBY, rights=rights))

        assert (await order(relay, token=LOBBY)).status_code == 403
        assert hub.asked == []


class Challenge(Struct, frozen=True, forbid_unknown_fields=True):
    """A body that is no question; its game may be left out."""

    email: str
    game: str | None = None


CHALLENGE: Final = HandedOn(
    "/challenges", (Right.VERIFY,), BodyReader(Challenge), decides=False, problems=frozenset({"too_many_challenges"})
)


@contextmanager
def hub_client(url: str, clock: FakeClock) -> Iterator[HubClient]:
    """Return a client of the hub at that address."""
    with logging_into(LogLines(), clock=clock) as log:
        transport = HubTransport(base_url=url, trust=trusting_context, user_agent="tests", clock=clock)
        metrics = Metrics(games=(), version="1", sandbox=False, relay=True)
        observer = Events(metrics=metrics, log=log, clock=clock, relay=True)
        yield HubClient(transport=transport, token=lambda: HubToken(TOKEN), clock=clock, observer=observer)


async def challenged(url: str, clock: FakeClock, body: dict[str, Any]) -> Reply:
    """Return what comes of a body for an endpoint whose answer is no decision."""
    with logging_into(LogLines(), clock=clock) as log:
        transport = HubTransport(base_url=url, trust=trusting_context, user_agent="tests", clock=clock)
        metrics = Metrics(games=(), version="1", sandbox=False, relay=True)
        observer = Events(metrics=metrics, log=log, clock=clock, relay=True)
        hub = HubClient(transport=transport, token=lambda: HubToken(TOKEN), clock=clock, observer=observer)
        deadline, writer = timedelta(seconds=3), AnswerWriter(jitter=lambda: 0.5)
        handing_on = HandingOn(hub=hub, writer=writer, log=log, clock=clock, default_deadline=deadline)
        games = GameDirectory([GameRules(GameId(3), "x-moon")])
        asking = Asking(games, LOCAL_CALLER, "request-1", None, clock.now())
        try:
            return await handing_on.answer(CHALLENGE, json.dumps(body).encode(), asking)
        finally:
            await hub.close()


@pytest.mark.parametrize(
    ("body", "handed"),
    [
        ({"email": "amos@example.com"}, {"email": "amos@example.com"}),
        ({"email": "amos@example.com", "game": "x-moon"}, {"email": "amos@example.com", "game": 3}),
    ],
)
async def test_a_body_that_is_no_question(clock: FakeClock, body: dict[str, Any], handed: dict[str, Any]) -> None:
    """It gets no field that it did not have, and its answer is passed on as it is."""
    async with scripted_hub(lambda _: Said(202, b'{"challenge":"c"}')) as hub:
        reply = await challenged(hub.url, clock, body)

        assert (reply.status, reply.body, hub.asked[0].json) == (202, b'{"challenge":"c"}', handed)


@pytest.mark.parametrize(
    ("said", "status", "code", "retry_after"),
    [
        (problem(429, "too_many_challenges", retry_after_seconds=9), 429, "too_many_challenges", "9"),
        (problem(429, "too_many_challenges"), 429, "too_many_challenges", None),
        (problem(429, "too_many_questions", retry_after_seconds=9), 503, "overloaded", "9"),
        (problem(401, "not_authenticated"), 503, "gateway_credential", "1"),
        (Said(502, b"<html>"), 503, "source_unavailable", "1"),
    ],
)
async def test_problems_that_are_the_callers(
    clock: FakeClock, said: Said, status: int, code: str, retry_after: str | None
) -> None:
    """Those that the table names are passed on, the rest is no answer."""
    async with scripted_hub(lambda _: said) as hub:
        reply = await challenged(hub.url, clock, {"email": "amos@example.com", "game": "x-moon"})

    assert (reply.status, json.loads(reply.body)["code"], reply.headers.get("retry-after")) == (
        status,
        code,
        retry_after,
    )


# --- public lists ---


async def test_the_keys_are_kept_as_long_as_the_hub_says(hub: Hub, relay: Asker) -> None:
    """Then the hub is asked again; while it says nothing there are none."""
    first = await relay.http.get(KEYS)
    relay.clock.jump(timedelta(seconds=100))
    again = await relay.http.get(KEYS)
    of_hub = await hub.asker.http.get(KEYS)
    assert first.content == again.content == of_hub.content
    assert (first.headers["cache-control"], again.headers["cache-control"]) == (
        "public, max-age=300",
        "public, max-age=200",
    )
    await hub.leave()
    assert (await relay.http.get(KEYS)).status_code == 200
    relay.clock.jump(timedelta(seconds=200))
    gone = await relay.http.get(KEYS)
    assert (gone.status_code, gone.json()["code"], gone.headers["retry-after"]) == (503, "source_unavailable", "1")


async def test_the_list_has_its_tag(relay: Asker) -> None:
    """A client that has it already gets no body."""
    first = await relay.http.get(VOID)
    again = await relay.http.get(VOID, headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, first.json()["before"], again.status_code, again.content) == (200, {}, 304, b"")


async def test_many_who_wait_for_a_hub_that_hangs_wait_once(clock: FakeClock) -> None:
    """Not one after the other: all have the answer of the one request."""
    scope: Any = {"type": "http", "headers": [], "path": KEYS, "state": {"ownership_gateway_request_id": "request-1"}}
    request: Request[Any, Any, Any] = Request(scope)
    async with scripted_hub(lambda _: None) as hub:
        with hub_client(hub.url, clock) as client:
            copies = PublicCopies(hub=client, clock=clock)
            asked = [asyncio.create_task(copies.show(KEYS, request)) for _ in range(5)]
            await until(lambda: hub.asked)
            await clock.advance(timedelta(seconds=5))
            await until(lambda: all(one.done() for one in asked) or len(hub.asked) > 1)
            assert len(hub.asked) == 1
            assert [one.result().status for one in asked] == [503] * 5
            later = asyncio.create_task(copies.show(KEYS, request))
            await until(lambda: len(hub.asked) == 2)
            await clock.advance(timedelta(seconds=5))
            assert (await later).status == 503
            await client.close()


async def test_many_at_once_are_one_request(open_relay: OpenRelay) -> None:
    """A hundred match servers that start."""
    async with scripted_hub(lambda _: Said(body=b'{"keys":[]}', fields={"Cache-Control": "public, max-age=30"})) as hub:
        relay = await open_relay(hub.url)
        answers = await asyncio.gather(*(relay.http.get(KEYS) for _ in range(100)))

        assert {answer.content for answer in answers} == {b'{"keys":[]}'}
        assert len(hub.asked) == 1


async def test_without_a_word_about_it_nothing_is_kept(open_relay: OpenRelay) -> None:
    """As where something on the way takes the field away."""
    async with scripted_hub(lambda _: Said(body=b'{"keys":[]}')) as hub:
        relay = await open_relay(hub.url)
        for _ in range(2):
            await relay.http.get(KEYS)

        assert len(hub.asked) == 2


async def test_a_long_list_is_read_whole(open_relay: OpenRelay) -> None:
    """It may be larger than any decision."""
    body = json.dumps({"as_of": 1, "before": {f"handle-{number:06}": 1 for number in range(100_000)}}).encode()
    async with scripted_hub(lambda _: Said(body=body, fields={"Cache-Control": "max-age=30"})) as hub:
        relay = await open_relay(hub.url)
        assert (await relay.http.get(VOID)).content == body


# --- channels ---


async def test_a_channel_is_kept_while_it_is_fresh(open_hub: OpenHub, open_relay: OpenRelay) -> None:
    """With a `max_age` it is the hub's each time."""
    hub = await open_hub(HUB.replace("id = 3", 'id = 3\nchannels = ["windows"]'))
    relay = await open_relay(hub.url)
    answers = [await relay.http.get(CHANNEL) for _ in range(2)]
    await relay.http.get(CHANNEL, params={"max_age": 3600})

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert answers[0].json()["game_id"] == 3
    assert await relay.metric("source_requests_total", endpoint="hub", result="ok") == 2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/games/3/channels/" + "x" * 65, 404, "unknown_channel"),
        ("/games/3/channels/WINDOWS", 404, "unknown_channel"),
        ("/games/3/channels/windows%0a", 404, "unknown_channel"),
        ("/games/3/channels/windows%3Fmax_age=0", 404, "unknown_channel"),
        ("/games/3/channels/%E2%98%83", 404, "unknown_channel"),
        ("/games/%C2%B2/channels/windows", 404, "unknown_game"),
        (CHANNEL + "?max_age=soon", 400, "out_of_range"),
        (CHANNEL + "?max_age=-1", 400, "out_of_range"),
        (CHANNEL + "?max_age=86401", 400, "out_of_range"),
    ],
)
async def test_bad_questions_about_channels(open_relay: OpenRelay, path: str, status: int, code: str) -> None:
    """They get what they get at a hub, and the hub is not asked: it is no trouble of the hub's."""
    async with scripted_hub(lambda _: Said(500)) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.http.get(path)

        assert (answer.status_code, answer.json()["code"], hub.asked) == (status, code, [])


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (problem(404, "unknown_channel"), 404, "unknown_channel"),
        (problem(404, "not_enabled"), 404, "not_enabled"),
        (problem(404, "unknown_game"), 503, "game_not_accessible"),
        (problem(503, "source_unavailable", reason="source_unavailable", allowed=False), 503, "source_unavailable"),
        (Said(200, b"<html>"), 503, "source_protocol"),
        (Said(200, b'{"game_id":4,"channel":"windows","fresh_until":"2026-11-20T14:03:11Z"}'), 503, "source_protocol"),
        (Said(200, b'{"a_new_field":' + b"[" * 50_000), 503, "source_protocol"),
    ],
)
async def test_what_the_hub_says_of_a_channel(open_relay: OpenRelay, said: Said, status: int, code: str) -> None:
    """Its refusals are passed on, and the rest is no answer."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.http.get(CHANNEL)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert hub.asked[0].path == "/games/3/channels/windows"


async def test_channels_are_bounded(open_relay: OpenRelay) -> None:
    """Their names are the callers' to choose: many push out the oldest."""

    def answers(asked: Asked) -> Said:
        channel = asked.path.rpartition("/")[2]
        body = {"game_id": 3, "channel": channel, "fresh_until": (START + timedelta(days=1)).isoformat()}
        return Said(body=json.dumps(body).encode(), fields={"Date": "Fri, 20 Nov 2026 14:03:11 GMT"})

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        for number in range(1001):
            await relay.http.get(f"/games/3/channels/c{number}")
        await relay.http.get("/games/3/channels/c1")
        assert len(hub.asked) == 1001
        await relay.http.get("/games/3/channels/c0")
        assert len(hub.asked) == 1002


async def test_a_channel_needs_a_right(open_relay: OpenRelay) -> None:
    """As at any gateway."""
    async with scripted_hub(lambda _: Said()) as hub:
        relay = await open_relay(hub.url, X_MOON + caller_lines("lobby", LOBBY, rights='["pass"]'))
        answer = await relay.http.get(CHANNEL, headers={"authorization": f"Bearer {LOBBY}"})

        assert (answer.status_code, hub.asked) == (403, [])


# --- what is not there ---


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/invalidate"),
        ("POST", "/admin/explain"),
        ("GET", "/admin/overrides"),
        ("GET", "/admin/state"),
        ("GET", "/console"),
        ("GET", "/console/script.js"),
        ("GET", "/sandbox/world"),
    ],
)
async def test_a_relay_has_no_administration(hub: Hub, relay: Asker, method: str, path: str) -> None:
    """It says so, and its description does not speak of it."""
    answer = await relay.http.request(method, path)
    described = (await relay.http.get("/openapi.json")).json()

    assert (answer.status_code, answer.json()["code"]) == (404, "not_enabled")
    assert not [path for path in described["paths"] if path.startswith(("/admin", "/console", "/sandbox"))]
    assert "administration" not in (await relay.http.get("/docs")).text
    assert (await relay.http.get("/nothing")).json()["code"] == "unknown_route"
    assert hub.asker.sandbox is not None


async def test_its_own_endpoints_are_there(relay: Asker) -> None:
    """Health, version and pages."""
    paths = ["/", "/docs", "/livez", "/readyz", "/version", "/metrics"]

    assert [(await relay.http.get(path)).status_code for path in paths] == [200] * len(paths)
    assert (await relay.http.get("/version")).json()["sandbox"] is False


async def test_operations_have_a_port_of_their_own(open_relay: OpenRelay, hub: Hub) -> None:
    """Then the first page does not say how the relay is."""
    relay = await open_relay(hub.url, X_MOON + "[operations]\nport = 0\n")

    assert "credential" not in (await relay.http.get("/")).text


# --- forward-auth ---


async def test_a_proxy_may_ask_a_relay(open_relay: OpenRelay, hub: Hub) -> None:
    """By key, and by pass."""
    policy = '[forward_auth.downloads]\ngame = "x-moon"\ncaller = "edge"\ncredentials = ["pass", "download_key"]\n'
    relay = await open_relay(hub.url, X_MOON + policy + caller_lines("edge", PROXY))
    headers = {"authorization": f"Bearer {TOKEN}"}
    value = (await hub.asker.http.post("/passes", json=ORDER, headers=headers)).json()["pass"]["value"]
    async with listening(relay.gateway.http) as server:
        edge = Edge(server.port)
        good = await edge.ask(key(seed.OWNER_KEY))
        bad = await edge.ask(key("a-key-that-nobody-has"))
        shown = await edge.ask(f"Authorization: Bearer {value}")

    assert [good.status, bad.status, shown.status] == [200, 403, 200]


async def test_the_file_is_read_again(open_relay: OpenRelay, hub: Hub, tmp_path: Path) -> None:
    """Games and callers follow, as in any gateway."""
    relay = await open_relay(hub.url)
    del relay
    reader = SettingsReader({}, config_file=tmp_path / "gateway.toml")
    reader.read()
    again = await open_relay(hub.url, reader=reader, log=LogLines())
    file = tmp_path / "gateway.toml"
    file.write_text(file.read_text() + caller_lines("lobby", LOBBY))
    again.gateway.reload()
    await again.log.line("configuration_reloaded")

    assert (await again.user(seed.OWNER_ID)).status_code == 401
    assert (await again.user(seed.OWNER_ID, token=LOBBY)).json()["allowed"] is True


# --- redeem tokens ---


async def test_a_redeem_token_is_for_the_hub(open_hub: OpenHub, open_relay: OpenRelay, log: LogLines) -> None:
    """The hub has the secret: its answer is passed on as it is, each time anew, and the token is in no line."""
    hub = await open_hub(HUB.replace("id = 3\n", f'id = 3\nredeem_secret = "{REDEEM_SECRET}"\n'))
    relay = await open_relay(hub.url)
    texts = [redeem_token(), redeem_token(), redeem_token("another-secret-of-nobody")]
    answers = [
        (await relay.http.post("/verify/redeem", json={"game": "x-moon", "redeem_jwt": text})).json() for text in texts
    ]

    assert [one["reason"] for one in answers] == ["sub_product_purchase"] * 2 + ["refused_redeem_jwt"]
    assert (answers[0]["evidence"]["id"], answers[0]["product"], answers[0]["game_id"]) == (100, 101, 3)
    assert await hub.asker.metric("redeem_total") == 3
    assert (await log.line("handed_on"))["path"] == "/verify/redeem"
    assert texts[0].encode() not in log.written


async def test_a_hub_that_takes_no_redeem_tokens(hub: Hub, relay: Asker) -> None:
    """Its 404 is passed on; one that is away is a 503, and nothing is granted."""
    body = {"game": "x-moon", "redeem_jwt": redeem_token()}
    off = await relay.http.post("/verify/redeem", json=body)
    await hub.leave()
    away = await relay.http.post("/verify/redeem", json=body)

    assert (off.status_code, off.json()["code"]) == (404, "not_enabled")
    assert (away.status_code, away.json()["allowed"], away.json()["code"]) == (503, False, "source_unavailable")


async def test_a_connection_that_the_hub_closed_costs_no_redeem_token(open_relay: OpenRelay) -> None:
    """It is a question like others: sent on the connection that there is, and once more if that ended meanwhile."""
    said = decided(Reason.PURCHASE, date=START, observed_at=START)
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1)

        def cut(_: Asked) -> None:
            hub.answers = lambda _: decided(Reason.PURCHASE, method="redeem")
            hub.cut()

        hub.answers = cut
        body = {"game": "x-moon", "redeem_jwt": redeem_token()}
        answers = [await relay.http.post("/verify/redeem", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [asked.path for asked in hub.asked[1:]] == ["/verify/redeem"] * 3
    assert hub.connections == 2


@pytest.mark.parametrize(
    "said", [Said(), Said(body=b"[]"), decided(Reason.PURCHASE, game=4, method="redeem"), decided(Reason.PURCHASE)]
)
async def test_an_answer_that_is_not_about_that_redeem_token(open_relay: OpenRelay, said: Said) -> None:
    """Of another game, by another method, or none: the relay has no answer."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.http.post("/verify/redeem", json={"game": "x-moon", "redeem_jwt": redeem_token()})

    assert (answer.status_code, answer.json()["allowed"], answer.json()["code"]) == (503, False, "source_protocol")
