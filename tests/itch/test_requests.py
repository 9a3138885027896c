"""The cost of each request to the store, and the events that it reports."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from service.causes import Cause
from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    Overloaded,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.itch.classification import No
from service.itch.dialect import Endpoint
from service.ownership import AppJwt, GameId
from service.sandbox.state import Sandbox
from service.verification.interfaces import Lane, Priority
from tests.clock import FakeClock
from tests.itch.rig import Rig, Script, StoreWire, build, streamed

GAME: Final = GameId(3)
FOREGROUND: Final = Lane()
BACKGROUND: Final = Lane(priority=Priority.BACKGROUND)
LATE: Final = 10_000.0


def error(words: str) -> httpx.Response:
    """Return an error of the store."""
    return httpx.Response(400, json={"errors": [words]})


async def ask(rig: Rig) -> object:
    """Ask for a download key."""
    return await rig.requests.as_seller(
        Endpoint.DOWNLOAD_KEYS, GAME, lane=FOREGROUND, give_up_at=LATE, parameters={"download_key": "k"}
    )


@pytest.mark.parametrize(
    ("answer", "result", "answering"),
    [
        (httpx.Response(200, json={"download_key": {}}), "ok", True),
        (error("invalid download key"), "no", True),
    ],
)
async def test_an_answer_is_counted(clock: FakeClock, answer: httpx.Response, result: str, answering: bool) -> None:  # noqa: FBT001
    """A no is an answer; the key that asked was accepted."""
    rig = build(clock=clock, transport=Script(answer).transport)

    await ask(rig)

    assert rig.observer.results == [(Endpoint.DOWNLOAD_KEYS, result)]
    assert rig.observer.reached == [answering]
    assert rig.observer.credentials == [True]


RESULTS: Final = {
    GatewayCredentialRefused: "credential",
    GameNotAccessible: "not_accessible",
    SourceProtocolError: "protocol",
    SourceUnavailable: "unavailable",
    SourceRateLimited: "rate_limited",
}


@pytest.mark.parametrize(
    ("answer", "kind", "reached", "causes"),
    [
        (error("invalid key"), GatewayCredentialRefused, True, [Cause.AUTH]),
        (error("api key does not permit `profile`"), GatewayCredentialRefused, True, [Cause.FORBIDDEN]),
        (httpx.Response(401), GatewayCredentialRefused, True, [Cause.AUTH]),
        (httpx.Response(403), GatewayCredentialRefused, True, [Cause.FORBIDDEN]),
        (error("invalid game"), GameNotAccessible, True, []),
        (error("what?"), SourceProtocolError, True, []),
        (httpx.Response(200, text="what?"), SourceProtocolError, True, []),
        (httpx.Response(302), SourceProtocolError, False, [Cause.REDIRECT]),
        (httpx.Response(500), SourceUnavailable, False, [Cause.SERVER_ERROR]),
        (error("There was a server error"), SourceUnavailable, False, [Cause.SERVER_ERROR]),
        (
            httpx.Response(403, html="<title>Moment...</title>"),
            SourceUnavailable,
            False,
            [Cause.WEB_PAGE],
        ),
        (httpx.Response(429), SourceRateLimited, False, [Cause.THROTTLED]),
        (httpx.Response(503, html="<h1>503</h1>"), SourceRateLimited, False, [Cause.THROTTLED]),
    ],
)
async def test_no_answer_is_counted(
    clock: FakeClock,
    answer: httpx.Response,
    kind: type[NoAnswer],
    reached: bool,  # noqa: FBT001
    causes: list[Cause],
) -> None:
    """Each kind of missing answer is counted under its own name, and has its cause."""
    rig = build(clock=clock, transport=Script(answer).transport)

    with pytest.raises(kind):
        await ask(rig)

    assert rig.observer.results == [(Endpoint.DOWNLOAD_KEYS, RESULTS[kind])]
    assert (rig.observer.reached, rig.observer.causes) == ([reached], causes)
    assert rig.observer.credentials == ([False] if kind is GatewayCredentialRefused else [])


async def test_a_players_request_says_nothing_about_the_sellers_key(clock: FakeClock) -> None:
    """A player's request reports nothing about the seller's key, with or without success."""
    rig = build(clock=clock, transport=Script(error("invalid key"), httpx.Response(200, json={"user": {}})).transport)

    refused = await rig.requests.as_player(AppJwt("a.b.c"), Endpoint.PROFILE, lane=FOREGROUND, give_up_at=LATE)
    await rig.requests.as_player(AppJwt("a.b.c"), Endpoint.PROFILE, lane=FOREGROUND, give_up_at=LATE)

    assert refused is No.CREDENTIAL_REFUSED
    assert rig.observer.credentials == []
    assert rig.observer.results == [(Endpoint.PROFILE, "refused"), (Endpoint.PROFILE, "ok")]


async def test_each_request_costs_one_of_the_budget(clock: FakeClock) -> None:
    """A seller's request and a player's request cost one token each."""
    rig = build(clock=clock, transport=Script(httpx.Response(200, json={})).transport)
    before = rig.budget.tokens()

    await ask(rig)
    await rig.requests.as_player(AppJwt("a.b.c"), Endpoint.PROFILE, lane=BACKGROUND, give_up_at=LATE)

    assert rig.budget.tokens() == before - 2


@pytest.mark.parametrize(
    ("status", "content_type"), [(429, "application/json"), (429, "text/html"), (503, "text/html")]
)
async def test_while_throttled_nothing_is_sent(clock: FakeClock, status: int, content_type: str) -> None:
    """The pause lasts as long as the store said, even if it said so on a web page; then it is asked again."""
    throttled = httpx.Response(status, headers={"Retry-After": "7", "Content-Type": content_type}, content=b"<p>")
    script = Script(throttled, httpx.Response(200, json={"download_key": {}}))
    rig = build(clock=clock, transport=script.transport)
    with pytest.raises(SourceRateLimited) as refusal:
        await ask(rig)

    clock.jump(timedelta(seconds=6.9))
    with pytest.raises(SourceRateLimited) as held_back:
        await ask(rig)
    clock.jump(timedelta(seconds=0.1))

    assert (refusal.value.retry_after, held_back.value.retry_after) == (timedelta(seconds=7), timedelta(seconds=0.1))
    assert len(script.requests) == 1
    assert await ask(rig) == {"download_key": {}}
    assert (rig.observer.pauses, rig.observer.resumed) == ([timedelta(seconds=7)], 1)


async def test_a_player_who_is_throttled_waits_alone(clock: FakeClock) -> None:
    """The store says so of one JWT: nothing is sent with that, and everything else goes on."""
    throttled = httpx.Response(429, headers={"Retry-After": "7"}, json={"errors": ["rate limit"]})
    script = Script(throttled, httpx.Response(200, json={"user": {}}))
    rig = build(clock=clock, transport=script.transport)
    for _ in range(2):
        with pytest.raises(SourceRateLimited):
            await rig.requests.as_player(AppJwt("a.b.c"), Endpoint.PROFILE, lane=FOREGROUND, give_up_at=LATE)

    other = await rig.requests.as_player(AppJwt("d.e.f"), Endpoint.PROFILE, lane=FOREGROUND, give_up_at=LATE)

    assert other == {"user": {}}
    assert len(script.requests) == 2


async def test_a_spent_budget_sends_nothing(clock: FakeClock) -> None:
    """Background requests do not wait; nothing is counted as a request."""
    script = Script(httpx.Response(200, json={}))
    rig = build(clock=clock, transport=script.transport, burst=2)
    await ask(rig)

    with pytest.raises(Overloaded):
        await rig.requests.as_seller(Endpoint.GAMES, lane=BACKGROUND, give_up_at=LATE)

    assert len(script.requests) == len(rig.observer.results) == 1


async def never(_: httpx.Request) -> httpx.Response:
    """Wait without end."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_request_whose_time_is_up_is_counted_as_no_answer(clock: FakeClock) -> None:
    """A request without an answer in its time counts as unavailable."""
    rig = build(clock=clock, transport=httpx.MockTransport(never))
    asking = asyncio.create_task(
        rig.requests.as_seller(Endpoint.GAMES, lane=FOREGROUND, give_up_at=clock.monotonic() + 2)
    )

    await clock.advance(timedelta(seconds=2))

    with pytest.raises(SourceUnavailable):
        await asking
    assert (rig.observer.results, rig.observer.reached) == ([(Endpoint.GAMES, "unavailable")], [False])
    assert rig.observer.seconds == [2]


async def test_a_request_that_is_cancelled_says_nothing_about_the_store(clock: FakeClock) -> None:
    """A gateway that closes has not lost the store."""
    rig = build(clock=clock, transport=httpx.MockTransport(never))
    asking = asyncio.create_task(ask(rig))
    await clock.advance(timedelta(seconds=2))

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (rig.observer.results, rig.observer.reached) == ([], [])


async def test_the_sandbox_is_recognised_and_not_forgotten(clock: FakeClock, sandbox: Sandbox) -> None:
    """A header on any answer of the sandbox says so."""
    rig = build(clock=clock, transport=StoreWire(sandbox).transport)
    before = rig.source.sandbox_seen

    await ask(rig)

    assert (before, rig.source.sandbox_seen) == (False, True)


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("Fri, 20 Nov 2026 14:03:11 GMT", -0.123456), ("Fri, 20 Nov 2026 15:03:11 GMT", 3599.876544)],
)
async def test_the_stores_clock_is_compared_with_ours(clock: FakeClock, date: str, seconds: float) -> None:
    """The `Date` of every answer counts, even of one that is no answer; without one the last comparison stays."""
    script = Script(httpx.Response(500, headers={"Date": date}), httpx.Response(200, json={}))
    rig = build(clock=clock, transport=script.transport)
    before = rig.source.clock_skew

    with pytest.raises(SourceUnavailable):
        await ask(rig)
    await ask(rig)

    assert (before, rig.source.clock_skew) == (None, timedelta(seconds=seconds))
    assert rig.observer.offsets == [timedelta(seconds=seconds)]


async def test_a_key_that_is_accepted_after_a_refusal_is_alive(clock: FakeClock) -> None:
    """Of two answers that disagree about the key the last counts: the next question need not wait five seconds."""

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/profile":
            return streamed(error("invalid key"))
        await clock.sleep(timedelta(seconds=1))
        return streamed(httpx.Response(200, json={"download_key": {}}))

    rig = build(clock=clock, transport=httpx.MockTransport(answer))
    slow = asyncio.create_task(ask(rig))
    await clock.advance(timedelta(0))
    with pytest.raises(GatewayCredentialRefused):
        await rig.requests.as_seller(Endpoint.PROFILE, lane=FOREGROUND, give_up_at=LATE)
    with pytest.raises(GatewayCredentialRefused):
        await ask(rig)

    await clock.advance(timedelta(seconds=1))
    await slow
    again = asyncio.create_task(ask(rig))
    await clock.advance(timedelta(seconds=1))

    assert await again == {"download_key": {}}
    assert [result for _, result in rig.observer.results] == ["credential", "ok", "ok"]


async def test_a_new_key_that_is_refused_is_no_news_while_the_one_before_works(
    clock: FakeClock, tmp_path: Path
) -> None:
    """The question is asked again with the key that was in the file before, and nothing is said about a refusal."""
    file = tmp_path / "api-key"
    file.write_text("old")
    shown = []

    async def answer(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers["authorization"])
        if shown[-1] == "Bearer new":
            return streamed(error("invalid key"))
        return streamed(httpx.Response(200, json={}))

    rig = build(clock=clock, transport=httpx.MockTransport(answer), keys=("old",), key_file=file)
    await ask(rig)
    file.write_text("new")
    clock.jump(timedelta(seconds=1))

    assert await ask(rig) == {}
    assert shown == ["Bearer old", "Bearer new", "Bearer old"]
    assert False not in rig.observer.credentials


async def test_a_late_answer_to_a_replaced_key_is_no_news_of_the_new_one(clock: FakeClock, tmp_path: Path) -> None:
    """The new key was accepted, then revoked; a yes to the one before it, sent long ago, brings it back no more."""
    file, revoked = tmp_path / "api-key", False
    file.write_text("old")

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer old":
            await clock.sleep(timedelta(seconds=2))
        elif revoked:
            return streamed(error("invalid key"))
        return streamed(httpx.Response(200, json={}))

    rig = build(clock=clock, transport=httpx.MockTransport(answer), keys=("old",), key_file=file)
    slow = asyncio.create_task(ask(rig))
    await clock.advance(timedelta(seconds=1))
    file.write_text("new")
    await ask(rig)
    revoked = True
    with pytest.raises(GatewayCredentialRefused):
        await ask(rig)
    await clock.advance(timedelta(seconds=1))

    assert await slow == {}
    assert rig.observer.credentials == [True, False]


async def test_a_mistaken_key_that_was_put_back_costs_one_request(clock: FakeClock, tmp_path: Path) -> None:
    """A refusal that arrives after the good key is back in the file is answered by asking with that one."""
    file, shown = tmp_path / "api-key", []
    file.write_text("good")

    async def answer(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers["authorization"].removeprefix("Bearer "))
        if shown[-1] == "mistaken":
            await clock.sleep(timedelta(seconds=2))
            return streamed(error("invalid key"))
        return streamed(httpx.Response(200, json={}))

    rig = build(clock=clock, transport=httpx.MockTransport(answer), keys=("good",), key_file=file)
    file.write_text("mistaken")
    clock.jump(timedelta(seconds=1))
    slow = asyncio.create_task(ask(rig))
    await clock.advance(timedelta(seconds=1))
    file.write_text("good")
    await ask(rig)
    await clock.advance(timedelta(seconds=1))

    assert await slow == {}
    await ask(rig)
    assert shown == ["mistaken", "good", "good", "good"]
    assert False not in rig.observer.credentials


class TwoKeys:
    """A store that accepts some keys, and remembers which it was shown."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.shown: list[str] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.shown.append(key)
        return streamed(httpx.Response(200, json={}) if key in self.accepted else error("invalid key"))


@pytest.fixture
def store() -> TwoKeys:
    """A store that accepts both keys."""
    return TwoKeys("old", "new")


@pytest.fixture
def rotating(clock: FakeClock, store: TwoKeys) -> Rig:
    """A source with two keys."""
    return build(clock=clock, transport=store.transport, keys=("old", "new"))


async def test_while_the_first_key_works_the_next_is_not_shown(rotating: Rig, store: TwoKeys) -> None:
    await ask(rotating)
    await ask(rotating)

    assert (store.shown, rotating.observer.switches) == (["old", "old"], [])


async def test_a_refused_key_gives_way_to_the_next_in_the_same_question(rotating: Rig, store: TwoKeys) -> None:
    """No question goes without its answer, and no alarm is raised about the credential."""
    store.accepted = {"new"}

    answers = [await ask(rotating), await ask(rotating)]

    assert answers == [{}, {}]
    assert store.shown == ["old", "new", "new"]
    assert rotating.observer.credentials == [True, True]
    assert rotating.observer.switches == ["itch.next_api_key"]


async def test_a_hundred_questions_at_once_survive_the_change(rotating: Rig, store: TwoKeys) -> None:
    """Every question that is refused with the old key is answered with the new one."""
    store.accepted = {"new"}

    answers = await asyncio.gather(*(ask(rotating) for _ in range(100)))

    assert answers == [{}] * 100
    assert (rotating.observer.switches, set(rotating.observer.credentials)) == (["itch.next_api_key"], {True})


async def test_a_key_that_comes_back_is_tried_when_the_other_goes(
    rotating: Rig, store: TwoKeys, clock: FakeClock
) -> None:
    """A refusal of long ago is no reason to give up."""
    store.accepted = {"new"}
    await ask(rotating)
    clock.jump(timedelta(hours=1))
    store.accepted = {"old"}

    assert await ask(rotating) == {}
    assert store.shown == ["old", "new", "new", "old"]


async def test_two_refused_keys_are_one_try_every_five_seconds(rotating: Rig, store: TwoKeys, clock: FakeClock) -> None:
    """Each key in its turn, for any number of questions; the first question after the wait tries for all."""
    store.accepted = set()
    with pytest.raises(GatewayCredentialRefused):
        await ask(rotating)
    for _ in range(199):
        clock.jump(timedelta(seconds=0.1))
        results = await asyncio.gather(*(ask(rotating) for _ in range(3)), return_exceptions=True)
        assert {type(result) for result in results} == {GatewayCredentialRefused}

    assert store.shown == ["old", "new", "old", "new", "old"]
    assert set(rotating.observer.credentials) == {False}


async def test_two_dead_keys_are_found_alive_again(rotating: Rig, store: TwoKeys, clock: FakeClock) -> None:
    """If either key comes to life again, it is found within the second try."""
    store.accepted = set()
    with pytest.raises(GatewayCredentialRefused):
        await ask(rotating)
    store.accepted = {"new"}
    clock.jump(timedelta(seconds=5))
    with pytest.raises(GatewayCredentialRefused):
        await ask(rotating)
    clock.jump(timedelta(seconds=5))

    assert [await ask(rotating), await ask(rotating)] == [{}, {}]
    assert rotating.observer.switches == ["itch.next_api_key"]


def hangs(request: httpx.Request) -> httpx.Response:
    """Break the connection."""
    raise httpx.ReadError("the connection was closed", request=request)


@pytest.mark.parametrize(("stalled", "result"), [(0.9, "unavailable"), (1.0, "gateway"), (5.0, "gateway")])
async def test_a_process_that_stood_still_does_not_blame_the_store(
    clock: FakeClock, stalled: float, result: str
) -> None:
    """A stall is counted as the gateway's own trouble, and changes nothing about the store's state."""
    rig = build(clock=clock, transport=httpx.MockTransport(hangs))
    rig.observer.stalled_seconds = stalled

    with pytest.raises(SourceUnavailable):
        await ask(rig)

    assert rig.observer.results == [(Endpoint.DOWNLOAD_KEYS, result)]
    assert rig.observer.reached == ([False] if result == "unavailable" else [])
    assert len(rig.observer.in_our_way) == (result == "gateway")


async def test_a_broken_answer_is_the_stores_whatever_else_happened(clock: FakeClock) -> None:
    """The store was heard: a stall excuses no answer that it gave."""
    rig = build(clock=clock, transport=Script(httpx.Response(502)).transport)
    rig.observer.stalled_seconds = 5.0

    with pytest.raises(SourceUnavailable):
        await ask(rig)

    assert (rig.observer.results, rig.observer.reached) == ([(Endpoint.DOWNLOAD_KEYS, "unavailable")], [False])
