"""A relay in front of a real hub, and of one that says what no hub should."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from service.ownership import Method, Reason
from service.sandbox import seed
from tests.clock import START, FakeClock
from tests.gateways import X_MOON, Asker, LogLines, befall, caller_lines, states_of, store_calls, until
from tests.hub.conftest import HUB, TOKEN, Hub, OpenHub, OpenRelay
from tests.hub.scripted_hub import Asked, Said, decided, problem, scripted_hub, unknown
from tests.stores.descriptors import no_descriptor_left

SECOND: Final = timedelta(seconds=1)
FRESH: Final = timedelta(seconds=30)
HOUR: Final = timedelta(hours=1)
LOBBY: Final = "ogw_the-token-of-a-lobby-in-tests-0000000000000"
SEEN: Final = START.replace(microsecond=0) - timedelta(minutes=10)
PROVEN: Final[dict[str, Any]] = {
    "observed_at": SEEN,
    "fresh_until": SEEN + HOUR,
    "usable_until": SEEN + 24 * HOUR,
    "player": {"id": 1994, "username": "amos", "display_name": None},
    "evidence": {"kind": "purchase", "id": 7, "acquired_at": SEEN.isoformat()},
}


async def test_the_hub_decides_and_the_relay_passes_it_on(hub: Hub, relay: Asker) -> None:
    """The answer is the hub's, but for the names of decision and request."""
    answer = (await relay.user(seed.OWNER_ID)).json()

    of_hub = (await hub.asker.user(seed.OWNER_ID, token=TOKEN)).json()
    own: dict[str, Any] = {"decision_id": None, "cache": None}
    assert answer | own == of_hub | own
    assert (answer["allowed"], answer["reason"], answer["cache"]) == (True, "download_key", "none")


@pytest.mark.parametrize(
    ("method", "credential", "reason"),
    [
        (Method.DOWNLOAD_KEY, seed.OWNER_KEY, "download_key"),
        (Method.DOWNLOAD_KEY, "a-key-that-nobody-has", "invalid_download_key"),
        (Method.DOWNLOAD_KEY, "no key", "malformed_download_key"),
        (Method.EMAIL, seed.BUYER_EMAIL, "purchase"),
        (Method.USER, seed.STRANGER_ID, "no_download_key"),
        (Method.USER, seed.SELLER_ID, "seller_account"),
    ],
)
async def test_every_method(hub: Hub, relay: Asker, method: Method, credential: str | int, reason: str) -> None:
    """Asked twice, the hub is asked once, and not at all about what has the wrong shape."""
    answers = [(await relay.ask(method, credential)).json() for _ in range(2)]

    assert {answer["reason"] for answer in answers} == {reason}
    assert await hub.asker.metric("answers_total") == (0 if reason.startswith("malformed") else 1)


async def test_a_jwt(hub: Hub, relay: Asker) -> None:
    """Of an owner, and one that itch.io refuses."""
    good, bad = hub.asker.sandbox.mint_jwt(seed.OWNER_ID).jwt, hub.asker.sandbox.mint_jwt(seed.OWNER_ID).jwt + "x"

    assert (await relay.jwt(good)).json()["player"]["id"] == seed.OWNER_ID
    assert (await relay.jwt(bad)).json()["reason"] == "refused_jwt"


async def test_an_access_token(open_hub: OpenHub, open_relay: OpenRelay) -> None:
    """A relay takes it where its hub does, with no setting of its own; else it says that the hub does not."""
    hub = await open_hub("[itch]\naccess_tokens = true\n" + HUB)
    relay = await open_relay(hub.url)
    token = hub.asker.sandbox.world.mint_access_token(seed.OWNER_ID, application_of=None)
    answers = [(await relay.ask(Method.ACCESS_TOKEN, token)).json() for _ in range(2)]
    without = await (await open_relay((await open_hub()).url)).ask(Method.ACCESS_TOKEN, token)

    assert [(answer["reason"], answer["cache"]) for answer in answers] == [
        ("download_key", "none"),
        ("download_key", "memory"),
    ]
    assert (without.status_code, without.json()["code"]) == (404, "not_enabled")


async def test_a_decision_is_remembered_for_a_while(hub: Hub, relay: Asker) -> None:
    """Then the hub is asked again: so long an invalidation takes to arrive."""
    await relay.user(seed.OWNER_ID)
    again = (await relay.user(seed.OWNER_ID)).json()
    assert (again["allowed"], again["cache"], again["stale"]) == (True, "memory", False)
    assert await hub.asker.metric("answers_total") == 1

    relay.clock.jump(FRESH)
    after = (await relay.user(seed.OWNER_ID)).json()
    assert (after["allowed"], after["cache"]) == (True, "none")
    assert await hub.asker.metric("answers_total") == 2
    assert store_calls(hub.asker.sandbox) == 1


async def test_it_is_asked_for_anew_before_its_time_is_over(hub: Hub, relay: Asker) -> None:
    """In the background, once for all who ask meanwhile; not for those who want only what is known."""
    await relay.user(seed.OWNER_ID)
    relay.clock.jump(FRESH * 0.8)
    await relay.user(seed.OWNER_ID, only_if_cached=True)
    assert await hub.asker.metric("answers_total") == 1
    answers = [(await relay.user(seed.OWNER_ID)).json()["cache"] for _ in range(3)]
    await until(lambda: relay.gateway.metrics.answer_counts()[0] >= 5)
    relay.clock.jump(FRESH * 0.5)
    later = (await relay.user(seed.OWNER_ID)).json()["cache"]

    assert (answers, later) == (["memory"] * 3, "memory")
    assert await hub.asker.metric("answers_total") == 2


async def test_the_answer_to_a_background_question_that_fails_changes_nothing(
    open_relay: OpenRelay, clock: FakeClock
) -> None:
    """And it is not asked again at once."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=SEEN, **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        hub.answers = lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)
        await relay.user(1994)
        hub.answers = lambda _: unknown(Reason.OVERLOADED)
        clock.jump(FRESH * 0.9)
        for _ in range(3):
            assert (await relay.user(1994)).json()["cache"] == "memory"
            await asyncio.sleep(0.01)

        assert len(hub.asked) == 2


async def test_a_no_is_not_asked_for_anew_by_itself(hub: Hub, relay: Asker) -> None:
    """Only those who are let in must not wait."""
    await relay.user(seed.STRANGER_ID)
    relay.clock.jump(FRESH * 0.9)
    await relay.user(seed.STRANGER_ID)

    assert await hub.asker.metric("answers_total") == 1


async def test_equal_questions_at_once_are_one(open_relay: OpenRelay, hub: Hub) -> None:
    """A thousand at ten relays: the hub gets ten, the store one."""
    relays = [await open_relay(hub.url) for _ in range(10)]
    answers = await asyncio.gather(*(relay.user(seed.OWNER_ID) for relay in relays for _ in range(100)))

    assert {answer.json()["reason"] for answer in answers} == {"download_key"}
    assert await hub.asker.metric("answers_total") == 10
    assert store_calls(hub.asker.sandbox) == 1


# --- what is handed on ---


async def test_only_the_fields_of_the_question_are_sent(open_relay: OpenRelay) -> None:
    """And the deadline, less the time for the way."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, method="download_key", **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        await relay.key("a-key-of-a-player", player_ref="lobby:7", max_age=5, deadline_ms=1000)
        await relay.key("a-key-of-a-player", only_if_cached=True)

        assert [asked.path for asked in hub.asked] == ["/verify/download-key"] * 2
        key = {"game": 3, "download_key": "a-key-of-a-player"}
        assert [asked.json for asked in hub.asked] == [
            {**key, "player_ref": "lobby:7", "max_age": 5, "deadline_ms": 950},
            {**key, "only_if_cached": True, "deadline_ms": 2950},
        ]
        assert hub.asked[0].fields["authorization"] == f"Bearer {TOKEN}"


async def test_players_of_a_key_have_decisions_of_their_own(open_hub: OpenHub, open_relay: OpenRelay) -> None:
    """Of two players who show one key the hub lets in the first."""
    hub = await open_hub(HUB.replace("id = 3", 'id = 3\nkey_players = 1\nkey_players_action = "reject"'))
    relay = await open_relay(hub.url)
    asked = [(await relay.key(seed.OWNER_KEY, player_ref=who)).json()["reason"] for who in ("one", "two", "one")]
    nobody = (await relay.key(seed.OWNER_KEY)).json()

    assert asked == ["download_key", "shared_download_key", "download_key"]
    assert nobody["reason"] == "source_protocol", "the hub's 400: the relay does not know of the limit"


async def test_a_max_age_is_the_hubs_to_keep(hub: Hub, relay: Asker) -> None:
    """A remembered decision is good for it if it is recent enough."""
    await relay.user(seed.OWNER_ID)
    relay.clock.jump(10 * SECOND)
    known = (await relay.user(seed.OWNER_ID, max_age=60)).json()
    fresh = (await relay.user(seed.OWNER_ID, max_age=5)).json()

    assert (known["cache"], fresh["cache"], fresh["allowed"]) == ("memory", "none", True)
    assert store_calls(hub.asker.sandbox) == 2


async def test_a_question_with_a_max_age_joins_none_without(open_relay: OpenRelay) -> None:
    """The other way round it may; and two with one share it, if they came together."""
    let = asyncio.Event()
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        plain = asyncio.create_task(relay.user(1994))
        await until(lambda: len(hub.asked) == 1)
        strict = [asyncio.create_task(relay.user(1994, max_age=0)) for _ in range(3)]
        await until(lambda: len(hub.asked) == 2)
        late = asyncio.create_task(relay.user(1994))
        await asyncio.sleep(0.05)
        assert [asked.json.get("max_age") for asked in hub.asked] == [None, 0]
        hub.cut()
        let.set()
        for task in (plain, late, *strict):
            assert (await task).json()["reason"] == "source_unavailable"


async def test_only_if_cached_asks_the_hub_for_what_it_knows(hub: Hub, relay: Asker) -> None:
    """The store is not asked, and that it is not known is not remembered."""
    before = (await relay.user(seed.OWNER_ID, only_if_cached=True)).json()
    await relay.user(seed.OWNER_ID)
    relay.clock.jump(FRESH)
    after = (await relay.user(seed.OWNER_ID, only_if_cached=True)).json()

    assert (before["reason"], after["allowed"]) == ("not_cached", True)
    assert store_calls(hub.asker.sandbox) == 1


# --- while the hub says nothing ---


async def test_those_who_are_proven_play_on_and_nobody_else(open_relay: OpenRelay, hub: Hub, clock: FakeClock) -> None:
    """For a day; an old no is no answer, and a new player gets none."""
    relay = await open_relay(hub.url)
    owner, stranger = relay.user(seed.OWNER_ID), relay.user(seed.STRANGER_ID)
    assert [(await each).json()["allowed"] for each in (owner, stranger)] == [True, False]
    await hub.leave()
    for hours in range(1, 24):
        clock.jump(timedelta(minutes=58) if hours == 1 else HOUR)
        answer = (await relay.user(seed.OWNER_ID)).json()
        assert (answer["allowed"], answer["stale"], answer["cache"]) == (True, True, "memory"), hours
    unknown_ones = [(await relay.user(who)).json() for who in (seed.STRANGER_ID, seed.BUYER_ID)]
    assert {(one["outcome"], one["reason"]) for one in unknown_ones} == {("unknown", "source_unavailable")}
    clock.jump(2 * HOUR)
    assert (await relay.user(seed.OWNER_ID)).json()["outcome"] == "unknown"
    assert states_of(relay.gateway)["hub"] == "unavailable"
    assert (await relay.http.get("/readyz")).json()["causes"] == {"hub": "refused"}
    assert (await relay.http.get("/readyz")).status_code == 200

    await hub.come_back()
    clock.jump(5 * SECOND)
    back = [(await relay.user(who)).json() for who in (seed.OWNER_ID, seed.STRANGER_ID, seed.BUNDLE_BUYER_ID)]
    assert [(one["outcome"], one["stale"]) for one in back] == [
        ("owned", False),
        ("not_owned", False),
        ("owned", False),
    ]
    assert states_of(relay.gateway)["hub"] == "ok"


async def test_who_is_proven_does_not_wait_for_a_hub_that_was_silent(open_relay: OpenRelay, clock: FakeClock) -> None:
    """It is asked in the background; those without proof wait."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        for user in (1994, 1995):
            await relay.user(user)
        clock.jump(FRESH)
        hub.cut()
        hub.answers = lambda _: None
        first = asyncio.create_task(relay.user(1994))
        await until(lambda: len(hub.asked) == 3)
        await clock.advance(timedelta(seconds=3))
        assert (await first).json()["stale"] is True, "its own deadline was over"
        await clock.advance(timedelta(seconds=2))
        assert states_of(relay.gateway)["hub"] == "unavailable"

        async with asyncio.timeout(10):
            other = (await relay.user(1995)).json()
            again = (await relay.user(1995)).json()

        assert (other["stale"], again["stale"], len(hub.asked)) == (True, True, 4)


async def test_an_unknown_of_the_hub_gives_way_to_older_proof(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Those without get the hub's reason, and its time to wait."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1994)
        clock.jump(FRESH)
        hub.answers = lambda _: unknown(Reason.SOURCE_RATE_LIMITED, seconds=17)
        owner, other = await relay.user(1994), await relay.user(1)

        assert (owner.json()["allowed"], owner.json()["stale"]) == (True, True)
        assert (other.json()["reason"], other.headers["retry-after"]) == ("source_rate_limited", "17")
        assert states_of(relay.gateway)["hub"] == "ok", "it has answered"


async def test_what_is_stale_at_the_hub_is_asked_for_each_time(open_relay: OpenRelay, clock: FakeClock) -> None:
    """And it is proof enough while the hub says nothing."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=clock.now(), **{**PROVEN, "stale": True})) as hub:
        relay = await open_relay(hub.url)
        answers = [(await relay.user(1994)).json() for _ in range(2)]
        assert [(one["stale"], one["cache"]) for one in answers] == [(True, "none")] * 2
        hub.answers = lambda _: problem(502, "bad_gateway")

        assert (await relay.user(1994)).json()["allowed"] is True


async def test_a_word_of_the_operator_is_kept_for_a_day(open_relay: OpenRelay, clock: FakeClock) -> None:
    """It has no instants; a ban is kept as well as a grant."""
    async with scripted_hub(lambda _: decided(Reason.OPERATOR_BAN)) as hub:
        relay = await open_relay(hub.url)
        assert (await relay.user(1994)).json()["outcome"] == "banned"
        assert (await relay.user(1994)).json()["cache"] == "memory"
        assert (await relay.user(1994, max_age=0)).json()["outcome"] == "banned"
        hub.answers = lambda _: problem(504, "gateway_timeout")
        clock.jump(24 * HOUR - SECOND)
        assert (await relay.user(1994)).json()["outcome"] == "banned"
        clock.jump(6 * SECOND)
        assert (await relay.user(1994)).json()["outcome"] == "unknown"


async def test_a_max_age_holds_in_silence_too(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Older proof is no answer to a question that wants none."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1994)
        hub.answers = lambda _: problem(502, "bad_gateway")

        assert (await relay.user(1994, max_age=60)).json()["outcome"] == "unknown"
        assert (await relay.user(1994, max_age=3600)).json()["allowed"] is True


async def test_after_the_own_deadline_there_is_no_answer(open_relay: OpenRelay, clock: FakeClock) -> None:
    """A caller with more time goes on waiting, and asks anew where the other's time was too short for the hub."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        hasty = asyncio.create_task(relay.user(1994, deadline_ms=100))
        await until(lambda: hub.asked)
        patient = asyncio.create_task(relay.user(1994, deadline_ms=5000))
        await asyncio.sleep(0.02)
        await clock.advance(timedelta(milliseconds=100))
        assert (await hasty).json()["reason"] == "deadline_exceeded"

        hub.answers = lambda _: decided(Reason.PURCHASE, **PROVEN)
        await hub.send(unknown(Reason.DEADLINE_EXCEEDED))

        assert (await patient).json()["allowed"] is True
        assert [asked.json["deadline_ms"] for asked in hub.asked] == [50, 4850]


async def test_the_hubs_deadline_is_over(open_relay: OpenRelay) -> None:
    """That says nothing to other callers, so it is not remembered."""
    async with scripted_hub(lambda _: unknown(Reason.DEADLINE_EXCEEDED)) as hub:
        relay = await open_relay(hub.url)
        answers = [(await relay.user(1994)).json()["reason"] for _ in range(2)]

        assert (answers, len(hub.asked)) == (["deadline_exceeded"] * 2, 2)


async def test_what_the_hub_refuses_is_not_asked_again_at_once(open_relay: OpenRelay, clock: FakeClock) -> None:
    """A crowd must not press a hub that is in trouble; others are still asked about."""
    async with scripted_hub(lambda _: unknown(Reason.SOURCE_UNAVAILABLE)) as hub:
        relay = await open_relay(hub.url)
        for _ in range(3):
            await relay.user(1994)
        await relay.user(1)
        assert len(hub.asked) == 2
        clock.jump(SECOND)
        await relay.user(1994)
        assert len(hub.asked) == 3
        relay.gateway.forget_failures()
        await relay.user(1994)
        assert len(hub.asked) == 4


# --- what the hub may not say ---

ODD: Final[list[tuple[Said | bytes, str, str]]] = [
    (problem(401, "not_authenticated"), "gateway_credential", "credential"),
    (problem(403, "not_permitted"), "gateway_credential", "credential"),
    (problem(404, "unknown_game"), "game_not_accessible", "not_accessible"),
    (problem(404, "unknown_route"), "source_protocol", "not_accessible"),
    (problem(400, "unknown_field"), "source_protocol", "protocol"),
    (problem(413, "body_too_large"), "source_protocol", "protocol"),
    (problem(415, "unsupported_media_type"), "source_protocol", "protocol"),
    (problem(429, "too_many_questions", retry_after_seconds=7), "overloaded", "rate_limited"),
    (problem(429, "too_many_failed_keys", retry_after_seconds=7), "overloaded", "rate_limited"),
    (problem(500, "internal_error"), "source_protocol", "protocol"),
    (problem(502, "bad_gateway"), "source_unavailable", "unavailable"),
    (problem(503, "forward_auth_refused"), "source_protocol", "unavailable"),
    (problem(503, "source_unavailable", reason="source_unavailable", allowed=True), "source_protocol", "unavailable"),
    (unknown(Reason.SOURCE_UNAVAILABLE, game=4), "source_protocol", "unavailable"),
    (unknown(Reason.SOURCE_UNAVAILABLE, method="jwt"), "source_protocol", "unavailable"),
    (unknown(Reason.NOT_CACHED), "not_cached", "unavailable"),
    (Said(503, b"<html>"), "source_unavailable", "unavailable"),
    (Said(404, b"<html>"), "source_protocol", "not_accessible"),
    (Said(302, fields={"Location": "https://elsewhere.example"}), "source_protocol", "unavailable"),
    (Said(204, b""), "source_protocol", "protocol"),
    (Said(200, b"<html>"), "source_protocol", "ok"),
    (Said(200, b"{}"), "source_protocol", "ok"),
    (Said(200, b"[" * 100_000), "source_protocol", "ok"),
    (Said(200, b"\xff"), "source_protocol", "ok"),
    (Said(200, b"x" * 1_000_000), "source_protocol", "protocol"),
    (Said(200, fields={"Content-Encoding": "gzip"}), "source_protocol", "protocol"),
    (Said(200, request_id="another"), "source_protocol", "protocol"),
    (b"garbage", "source_protocol", "protocol"),
    (decided(Reason.PURCHASE, **PROVEN, game=4), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **PROVEN, method="jwt"), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "allowed": False}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "outcome": "granted"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "outcome": "half_owned"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "reason": "a_new_reason"}), "source_protocol", "ok"),
    (decided(Reason.SOURCE_UNAVAILABLE), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "fresh_until": "tomorrow"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "fresh_until": "2026-11-20T14:03:11"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "evidence": {"kind": "a_new_kind"}}), "source_protocol", "ok"),
    # Instants of another zone, which in UTC are after the last year or before the first.
    (decided(Reason.PURCHASE, **{**PROVEN, "usable_until": "9999-12-31T23:59:59-12:00"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "fresh_until": "0001-01-01T00:00:00+12:00"}), "source_protocol", "ok"),
    (decided(Reason.PURCHASE, **{**PROVEN, "observed_at": "0001-01-01T00:00:00+12:00"}), "source_protocol", "ok"),
    (
        decided(
            Reason.PURCHASE,
            **{**PROVEN, "evidence": {"kind": "purchase", "acquired_at": "9999-12-31T23:59:59-12:00"}},
        ),
        "source_protocol",
        "ok",
    ),
]


@pytest.mark.parametrize(("said", "reason", "result"), ODD)
async def test_what_is_no_decision_is_unknown(
    open_relay: OpenRelay, said: Said | bytes, reason: str, result: str
) -> None:
    """Never a no, and never a yes."""
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        answer = await relay.user(1994)

        assert (answer.status_code, answer.json()["outcome"], answer.json()["reason"]) == (503, "unknown", reason)
        assert await relay.metric("source_requests_total", endpoint="hub", result=result) == 1
        assert "refuse" not in states_of(relay.gateway)["credential"] or said is ODD[0][0]


async def test_what_is_new_at_the_hub_is_left_out(open_relay: OpenRelay) -> None:
    """Fields and caveats that a later hub has."""
    more = {**PROVEN, "caveats": ["sandbox", "a_new_caveat"], "a_new_field": {"of": 1}}
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, **more)) as hub:
        relay = await open_relay(hub.url)
        answer = (await relay.user(1994)).json()
        malformed = (await relay.key("no key")).json()

    assert (answer["allowed"], answer["caveats"], "a_new_field" in answer) == (True, ["sandbox"], False)
    assert malformed["caveats"] == ["sandbox"], "nothing that this hub says is real"


@pytest.mark.parametrize(
    ("date", "observed_at"),
    [
        (SEEN + 24 * HOUR, "0001-01-01T00:00:01+00:00"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), SEEN.isoformat()),
        (None, "9999-12-31T23:59:59+00:00"),
    ],
)
async def test_an_instant_that_cannot_be_is_no_answer(
    open_relay: OpenRelay, date: datetime | None, observed_at: str
) -> None:
    """Before the first year, or after the last; the next question is answered."""
    said = decided(Reason.PURCHASE, date=date, **{**PROVEN, "observed_at": observed_at})
    async with scripted_hub(lambda _: said) as hub:
        relay = await open_relay(hub.url)
        assert (await relay.user(1994)).json()["reason"] == "source_protocol"
        hub.answers = lambda _: decided(Reason.PURCHASE, **PROVEN)
        assert (await relay.user(1995)).json()["allowed"] is True


async def test_no_evidence_is_from_the_future(open_relay: OpenRelay, clock: FakeClock) -> None:
    """A hub that says so has a clock that is ahead: it is as old as the answer, and ends so much sooner."""
    ahead = {**PROVEN, "observed_at": START + timedelta(days=10)}
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, **ahead)) as hub:
        relay = await open_relay(hub.url)
        answer = (await relay.user(1994)).json()
        hub.answers = lambda _: problem(502, "bad_gateway")
        clock.jump(SECOND)

        assert (answer["allowed"], answer["observed_at"]) == (True, "2026-11-20T14:03:11Z")
        assert (await relay.user(1994)).json()["outcome"] == "unknown"
        assert (await relay.user(1995)).json()["outcome"] == "unknown"


async def test_a_wait_without_end_is_not_believed(open_relay: OpenRelay) -> None:
    """A day is the most."""
    async with scripted_hub(lambda _: unknown(Reason.OVERLOADED, seconds=10**15)) as hub:
        relay = await open_relay(hub.url)
        assert (await relay.user(1994)).headers["retry-after"] == str(24 * 3600)


# --- the token, and the hub's limits ---


async def test_a_token_that_the_hub_does_not_know(open_relay: OpenRelay, hub: Hub, log: LogLines) -> None:
    """Readiness and the log name it; one that it knows again ends that."""
    relay = await open_relay(hub.url, relay={"token": f'"{LOBBY}"'})
    assert (await relay.user(seed.OWNER_ID)).json()["reason"] == "gateway_credential"
    ready = (await relay.http.get("/readyz")).json()

    assert (ready["components"], ready["causes"]) == ({"hub": "ok", "credential": "refused"}, {"credential": "auth"})
    line = await log.line("credential_refused")
    assert "hub" in line["hint"]
    assert LOBBY.encode() not in log.written
    assert await relay.metric("source_credential_ok") == 0


async def test_one_game_that_the_hub_forbids_is_not_the_token(open_hub: OpenHub, open_relay: OpenRelay) -> None:
    """The other game is answered, before and after, and readiness never says that the token is refused."""
    games = "[games.x-moon]\nid = 3\n[games.other]\nid = 4\n"
    rights = '["verify", "assert:user"]'
    hub = await open_hub(games + caller_lines("relay", TOKEN, rights=rights, games='["x-moon"]'))
    relay = await open_relay(hub.url, games)
    states = []
    for game in (3, 4, 3, 4):
        await relay.user(seed.OWNER_ID, game=game, max_age=0)
        states.append(states_of(relay.gateway)["credential"])

    assert states == ["ok"] * 4
    assert (await relay.user(seed.OWNER_ID, game=4)).json()["reason"] == "gateway_credential"


async def test_a_hub_that_is_asked_too_much_is_left_alone(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Until the time that it names; those who are proven play on."""
    async with scripted_hub(lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1994)
        clock.jump(FRESH)
        hub.answers = lambda _: problem(429, "too_many_questions", retry_after_seconds=7)
        assert (await relay.user(1)).headers["retry-after"] == "7"
        assert (await relay.user(1994)).json()["stale"] is True
        assert (await relay.user(2)).json()["reason"] == "overloaded"
        assert await relay.metric("source_paused_seconds") == 7
        assert len(hub.asked) == 2
        clock.jump(7 * SECOND)
        hub.answers = lambda _: decided(Reason.PURCHASE, date=clock.now(), **PROVEN)
        assert (await relay.user(2)).json()["allowed"] is True


async def test_a_limit_without_a_time_is_over_in_a_second(open_relay: OpenRelay, clock: FakeClock) -> None:
    """As for any failure."""
    async with scripted_hub(lambda _: problem(429, "too_many_questions")) as hub:
        relay = await open_relay(hub.url)
        for user in (1, 2):
            await relay.user(user)
        assert len(hub.asked) == 1
        clock.jump(SECOND)
        await relay.user(2)
        assert len(hub.asked) == 2


async def test_failed_keys_at_the_hub_stop_no_other_question(open_relay: OpenRelay) -> None:
    """Good keys still pass there."""

    def answers(asked: Asked) -> Said:
        if asked.json["download_key"] == "a-good-key":
            return decided(Reason.DOWNLOAD_KEY, method="download_key", **PROVEN)
        return problem(429, "too_many_failed_keys", retry_after_seconds=30)

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url)
        guessed = (await relay.key("a-guessed-key")).json()["reason"]

        assert (guessed, (await relay.key("a-good-key")).json()["allowed"]) == ("overloaded", True)


async def test_a_caller_of_the_relay_has_tries_of_its_own(open_relay: OpenRelay, hub: Hub) -> None:
    """Keys that are no good spend them; then only what is known to be good is answered, and other callers go on."""
    callers = caller_lines("lobby", LOBBY, failed_keys_per_minute="2") + caller_lines("other", TOKEN)
    relay = await open_relay(hub.url, X_MOON + callers)
    assert (await relay.key(seed.OWNER_KEY, token=LOBBY)).json()["allowed"] is True
    guesses = [await relay.key(f"a-guessed-key-{number}", token=LOBBY) for number in range(3)]
    owner = await relay.key(seed.OWNER_KEY, token=LOBBY, max_age=0)
    user = await relay.user(seed.OWNER_ID, token=LOBBY)
    other = await relay.key("a-guessed-key-9", token=TOKEN)

    assert [guess.status_code for guess in guesses] == [200, 200, 429]
    assert guesses[2].json()["code"] == "too_many_failed_keys"
    assert (owner.json()["allowed"], user.json()["allowed"], other.status_code) == (True, True, 200)


async def test_who_joins_a_question_is_not_turned_away_with_its_caller(open_relay: OpenRelay) -> None:
    """The first caller's tries are held by what it asks already; the second has its own."""
    async with scripted_hub(lambda _: None) as hub:
        callers = caller_lines("lobby", LOBBY, failed_keys_per_minute="1") + caller_lines("other", TOKEN)
        relay = await open_relay(hub.url, X_MOON + callers)
        first = asyncio.create_task(relay.key("a-guessed-key-1", token=LOBBY))
        await until(lambda: len(hub.asked) == 1)
        waiting = asyncio.create_task(relay.key("a-guessed-key-2", token=LOBBY))
        await asyncio.sleep(0.05)
        joined = asyncio.create_task(relay.key("a-guessed-key-2", token=TOKEN))
        await asyncio.sleep(0.05)
        hub.answers = lambda _: decided(Reason.INVALID_DOWNLOAD_KEY, method="download_key", fresh_until=START + HOUR)
        await hub.send(decided(Reason.INVALID_DOWNLOAD_KEY, method="download_key", fresh_until=START + HOUR))

        assert (await first).status_code == 200
        assert (await waiting).status_code == 429
        assert (await joined).json()["reason"] == "invalid_download_key"
        assert len(hub.asked) == 2


async def test_a_relay_without_descriptors_says_whose_fault_it_is(open_relay: OpenRelay, log: LogLines) -> None:
    """Not the hub's: nothing is said of it."""
    async with scripted_hub(lambda _: decided(Reason.OPERATOR_GRANT)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1)
        await asyncio.gather(*(relay.user(1) for _ in range(10)))  # connections to the relay are there from now on
        hub.answers = lambda _: None
        waiting = asyncio.create_task(relay.user(2))
        await until(lambda: len(hub.asked) == 2)
        with no_descriptor_left():
            assert (await relay.user(3)).json()["reason"] == "source_unavailable"
        await hub.send(decided(Reason.OPERATOR_GRANT))
        assert (await waiting).json()["allowed"] is True

        assert "hub" in (await log.line("source_not_asked"))["hint"]
        assert states_of(relay.gateway)["hub"] == "ok"
        assert await relay.metric("source_requests_total", endpoint="hub", result="gateway") == 1


# --- clocks ---


@pytest.mark.parametrize("ahead", [timedelta(seconds=60), timedelta(), timedelta(seconds=-60)])
async def test_clocks_that_differ_change_no_lifetime(open_relay: OpenRelay, clock: FakeClock, ahead: timedelta) -> None:
    """A no that has run out at the hub is not repeated, and one that has not is; a `max_age` counts right."""

    def answers(asked: Asked) -> Said:
        now = (clock.now() + ahead).replace(microsecond=0)
        if asked.json["user_id"] == 1994:
            return decided(Reason.PURCHASE, date=now, **{**PROVEN, "observed_at": now, "fresh_until": now + HOUR})
        until, seen = now + 20 * SECOND, now - 25 * SECOND
        return decided(Reason.NO_DOWNLOAD_KEY, date=now, observed_at=seen, fresh_until=until, usable_until=until)

    async with scripted_hub(answers) as hub:
        relay = await open_relay(hub.url, relay={"fresh_seconds": "300"})
        stranger = []
        for wait in (0, 18, 3):
            clock.jump(wait * SECOND)
            stranger.append((await relay.user(1)).json()["cache"])
        assert stranger == ["none", "memory", "none"]

        await relay.user(1994)
        clock.jump(20 * SECOND)
        owner = [(await relay.user(1994, max_age=age)).json()["cache"] for age in (25, 10)]
        assert owner == ["memory", "none"]
        assert abs(await relay.metric("source_clock_offset_seconds") - ahead.total_seconds()) <= 1


async def test_a_clock_that_is_set_back_prolongs_nothing(hub: Hub, relay: Asker) -> None:
    """A decision from the future is not believed."""
    await relay.user(seed.OWNER_ID)
    relay.clock.set_back(HOUR)

    assert (await relay.user(seed.OWNER_ID)).json()["cache"] == "none"
    assert await hub.asker.metric("answers_total") == 2


async def test_a_hub_without_a_clock_is_taken_at_its_word(open_relay: OpenRelay, clock: FakeClock) -> None:
    """Its instants are compared with our time."""
    no: dict[str, Any] = {
        "observed_at": SEEN,
        "fresh_until": START.replace(microsecond=0) + 10 * SECOND,
        "usable_until": None,
    }
    async with scripted_hub(lambda _: decided(Reason.NO_DOWNLOAD_KEY, **no)) as hub:
        relay = await open_relay(hub.url)
        await relay.user(1994)
        clock.jump(11 * SECOND)
        await relay.user(1994)

        assert len(hub.asked) == 2


async def test_an_answer_that_comes_late_does_not_replace_a_later_one(open_relay: OpenRelay) -> None:
    """The hub's word is that which was asked for last."""
    async with scripted_hub(lambda _: None) as hub:
        relay = await open_relay(hub.url)
        slow = asyncio.create_task(relay.user(1994))
        await until(lambda: hub.asked)
        relay.clock.jump(SECOND)
        fresh = {**PROVEN, "observed_at": START + SECOND, "fresh_until": START + HOUR}
        hub.answers = lambda _: decided(Reason.NO_DOWNLOAD_KEY, **fresh)
        assert (await relay.user(1994, max_age=0)).json()["outcome"] == "not_owned"
        await hub.send(decided(Reason.PURCHASE, **PROVEN))

        assert (await slow).json()["outcome"] == "not_owned"
        assert (await relay.user(1994)).json()["outcome"] == "not_owned"


async def test_trouble_of_the_store_is_the_hubs_to_judge(hub: Hub, relay: Asker) -> None:
    """Its reason is passed on."""
    befall(hub.asker.sandbox, status=500)

    assert (await relay.user(seed.OWNER_ID)).json()["reason"] == "source_unavailable"
    assert states_of(relay.gateway) == {"hub": "ok", "credential": "ok"}
