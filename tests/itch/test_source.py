"""The source with answers that the real store should never give, and with requests that take too long."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

import httpx
import jwt
import pytest

from service.errors import NoAnswer, Overloaded, SourceProtocolError, SourceUnavailable
from service.itch.classification import UnknownWordsError
from service.itch.dialect import Dialect
from service.ownership import (
    AppJwt,
    AssertedUser,
    DownloadKey,
    Evidence,
    GameId,
    Identity,
    PlayerId,
    ProofKind,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.verification.interfaces import Lane, Priority
from tests.clock import START, FakeClock
from tests.itch.rig import Rig, Script, StoreWire, build, streamed

GAME: Final = GameId(3)
KEY: Final = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
PLAYER: Final = AssertedUser(PlayerId(1994))
FOREGROUND: Final = Lane()
NO_KEY: Final = httpx.Response(400, json={"errors": ["no download key found"]})


def key_answer(**changes: Any) -> httpx.Response:
    """Return an answer with a key of player 1994; a change of None leaves the field out."""
    fields: dict[str, Any] = {"id": 124, "key": KEY, "game_id": 3, "owner": {"id": 1994}, **changes}
    return httpx.Response(200, json={"download_key": {name: value for name, value in fields.items() if value}})


def says(words: str, status: int = 200) -> httpx.Response:
    """Return an error of the store."""
    return httpx.Response(status, json={"errors": [words]})


def purchases(*rows: dict[str, Any]) -> httpx.Response:
    """Return purchases, none of them as an empty object."""
    return httpx.Response(200, json={"purchases": list(rows) or {}})


def profile(number: int, **more: Any) -> httpx.Response:
    """Return a profile."""
    return httpx.Response(200, json={"user": {"id": number, **more}})


async def ask(rig: Rig, subject: Subject) -> Evidence:
    """Look up a subject."""
    return await rig.source.look_up(GAME, subject, accept=frozenset(ProofKind), lane=FOREGROUND)


def token(**claims: Any) -> AppJwt:
    """Return a JWT with these claims."""
    return AppJwt(jwt.encode({"sub": "1994", **claims}, "k" * 32, algorithm="HS256"))


SECONDS: Final = int(START.timestamp())


@pytest.mark.parametrize(
    ("subject", "changes"),
    [
        (DownloadKey(KEY), {"game_id": 4}),
        (DownloadKey(KEY), {"game_id": None}),
        (DownloadKey(KEY), {"key": KEY.lower()}),
        (DownloadKey(KEY), {"key": KEY[:-1]}),
        (DownloadKey(KEY), {"key": KEY + "\u00e9"}),
        (DownloadKey(KEY), {"key": None}),
        (PLAYER, {"game_id": 4}),
        (PLAYER, {"owner": {"id": 1995}}),
        (PLAYER, {"owner": None}),
        (PLAYER, {"owner": {"username": "amos"}}),
        (VerifiedEmail("amos@example.com"), {"game_id": 4}),
    ],
)
async def test_an_answer_to_another_question_is_no_answer(
    clock: FakeClock, subject: Subject, changes: dict[str, Any]
) -> None:
    """An answer about another game, another key, another player or no player is no answer."""
    rig = build(clock=clock, transport=Script(key_answer(**changes)).transport)

    with pytest.raises(SourceProtocolError):
        await ask(rig, subject)


@pytest.mark.parametrize("subject", [DownloadKey(KEY), PLAYER, VerifiedEmail("amos@example.com")])
async def test_an_answer_to_this_question_counts(clock: FakeClock, subject: Subject) -> None:
    """The same answers, without the mistakes; nothing else said that it came from the sandbox."""
    evidence = await ask(build(clock=clock, transport=Script(key_answer()).transport), subject)

    assert [proof.kind for proof in evidence.proofs] == [ProofKind.DOWNLOAD_KEY]
    assert not evidence.sandbox


async def test_a_key_by_text_need_not_have_an_owner(clock: FakeClock) -> None:
    """A key that is not claimed yet has no owner."""
    rig = build(clock=clock, transport=Script(key_answer(owner=None)).transport)

    assert (await ask(rig, DownloadKey(KEY))).owner is None


async def test_no_key_and_no_answer_about_purchases_is_no_answer(clock: FakeClock) -> None:
    """The purchases may hold the proof, so the no about keys alone is not one."""
    rig = build(clock=clock, transport=Script(NO_KEY, httpx.Response(500)).transport)

    with pytest.raises(SourceUnavailable):
        await ask(rig, PLAYER)


async def test_a_purchase_of_another_game_is_no_answer(clock: FakeClock) -> None:
    """The store answered something else than it was asked."""
    rig = build(clock=clock, transport=Script(NO_KEY, purchases({"id": 1, "game_id": 4})).transport)

    with pytest.raises(SourceProtocolError):
        await ask(rig, PLAYER)


async def test_no_key_found_is_a_no_to_purchases_too(clock: FakeClock) -> None:
    """An address without keys and purchases gets "no download key found" to both requests, which is a no."""
    rig = build(clock=clock, transport=Script(NO_KEY).transport)

    assert await ask(rig, PLAYER) == Evidence(START)


@pytest.mark.parametrize("endpoint", ["identify_seller", "games", "scopes"])
async def test_a_no_makes_no_sense_about_the_sellers_own_things(clock: FakeClock, endpoint: str) -> None:
    """A refusal in place of the seller's account or games is no answer."""
    rig = build(clock=clock, transport=Script(NO_KEY).transport)

    with pytest.raises(SourceProtocolError):
        await getattr(rig.source, endpoint)()


async def test_a_profile_without_a_user_is_no_seller(clock: FakeClock) -> None:
    """An empty profile raises, and no account is remembered as the seller's."""
    rig = build(clock=clock, transport=Script(httpx.Response(200, json={"user": {}})).transport)

    with pytest.raises(SourceProtocolError):
        await rig.source.identify_seller()

    assert rig.source.known_seller_account() is None


async def test_an_answer_about_a_key_that_was_replaced_meanwhile_does_not_count(clock: FakeClock) -> None:
    """The answer names the old key's account; the store is asked again, about the new one's."""
    accounts = [1, 2]

    async def answer(_: httpx.Request) -> httpx.Response:
        account = accounts.pop(0)
        await clock.sleep(timedelta(seconds=1))
        return streamed(profile(account))

    rig = build(clock=clock, transport=httpx.MockTransport(answer))
    asking = asyncio.create_task(rig.source.identify_seller())
    await clock.advance(timedelta(seconds=0.5))
    rig.source.forget_seller()
    await clock.advance(timedelta(seconds=0.5))
    between = rig.source.known_seller_account()
    await clock.advance(timedelta(seconds=1))

    assert ((await asking).player.id, between, rig.source.known_seller_account()) == (2, None, 2)


async def test_keys_that_change_without_end_end_with_the_time(clock: FakeClock) -> None:
    """A look-up whose key changes without end leaves the seller's account unknown."""

    async def answer(_: httpx.Request) -> httpx.Response:
        await clock.sleep(timedelta(seconds=1))
        rig.source.forget_seller()
        return streamed(profile(1))

    rig = build(clock=clock, transport=httpx.MockTransport(answer))
    asking = asyncio.create_task(rig.source.identify_seller())
    for _ in range(6):
        await clock.advance(timedelta(seconds=1))

    with pytest.raises(SourceUnavailable):
        await asking
    assert rig.source.known_seller_account() is None


@pytest.mark.parametrize(
    "words",
    [
        "invalid base64",
        "header not HS256",
        "header not JWT",
        "missing data",
        "invalid signature",
        "invalid key",
        "api key does not permit `profile:me`",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_refused_jwt(clock: FakeClock, words: str, status: int) -> None:
    """A JWT is refused by each string that itch.io has for it, with any status."""
    rig = build(clock=clock, transport=Script(says(words, status)).transport)

    refusal = await rig.source.identify(token(exp=SECONDS + 60), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.REFUSED_JWT)


async def test_a_refused_jwt_that_is_over_has_expired(clock: FakeClock) -> None:
    """Of two true reasons, `expired_jwt` is the more helpful one."""
    rig = build(clock=clock, transport=Script(says("invalid signature")).transport)

    refusal = await rig.source.identify(token(exp=SECONDS), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.EXPIRED_JWT)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_unknown_words_about_a_jwt_that_is_over_mean_that_it_has_expired(clock: FakeClock, status: int) -> None:
    """itch.io does not document its error for an expired JWT: an unknown error is taken for it once the JWT is over."""
    rig = build(clock=clock, transport=Script(says("token expired", status)).transport)

    refusal = await rig.source.identify(token(exp=SECONDS - 1), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.EXPIRED_JWT)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
async def test_unknown_words_about_another_jwt_are_no_answer(clock: FakeClock, status: int) -> None:
    """An unknown error about a JWT that is still valid may mean anything."""
    rig = build(clock=clock, transport=Script(says("token expired", status)).transport)

    with pytest.raises(UnknownWordsError):
        await rig.source.identify(token(exp=SECONDS + 60), GAME, lane=FOREGROUND)


@pytest.mark.parametrize(
    "no_answer",
    [
        httpx.Response(500),
        httpx.Response(429),
        httpx.Response(302, headers={"Location": "https://elsewhere.example/"}),
        httpx.Response(403, html="<title>Just a moment...</title>"),
        httpx.Response(200, content=b'{"user":'),
        says("authentication required", 401),
    ],
    ids=["broken", "throttled", "redirect", "challenge", "truncated", "no credential seen"],
)
async def test_no_answer_about_a_jwt_that_is_over_stays_no_answer(clock: FakeClock, no_answer: httpx.Response) -> None:
    """Only the store's own refusal may be read with the help of the unverified end."""
    rig = build(clock=clock, transport=Script(no_answer).transport)

    with pytest.raises(NoAnswer):
        await rig.source.identify(token(exp=SECONDS - 1), GAME, lane=FOREGROUND)


async def test_an_accepted_jwt_that_is_over_has_expired() -> None:
    """An unverified end may restrict what the store accepted, from that very moment on."""
    clock = FakeClock(START.replace(microsecond=0))
    rig = build(clock=clock, transport=Script(profile(1994)).transport)

    refusal = await rig.source.identify(token(exp=SECONDS), GAME, lane=FOREGROUND)

    assert refusal == Refusal(clock.now(), Reason.EXPIRED_JWT)


async def test_a_jwt_that_ends_on_its_way_to_the_store_has_expired(clock: FakeClock) -> None:
    """A JWT that expires before the store reads it is refused with an unknown string, and has expired."""

    def answer(_: httpx.Request) -> httpx.Response:
        clock.jump(timedelta(seconds=2))
        return streamed(says("token expired", 401))

    rig = build(clock=clock, transport=httpx.MockTransport(answer))

    refusal = await rig.source.identify(token(exp=SECONDS + 2), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.EXPIRED_JWT)


async def test_a_jwt_that_ends_while_the_store_thinks_has_expired(clock: FakeClock) -> None:
    """The expiry of a JWT is compared with the time of the answer."""

    def answer(_: httpx.Request) -> httpx.Response:
        clock.jump(timedelta(seconds=2))
        return streamed(profile(1994))

    rig = build(clock=clock, transport=httpx.MockTransport(answer))

    refusal = await rig.source.identify(token(exp=SECONDS + 2), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.EXPIRED_JWT)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "1995"},
        {"user_id": 1995},
        {"sub": "1994", "user_id": 1995},
        {"exp": "soon"},
        {"exp": -1},
        {"user_id": 1995.0},
        {"user_id": [1995]},
        {"user_id": {"id": 1994}},
        {"game_id": [3]},
        {"game_id": "x-moon"},
        {"game_id": 2**70},
        {"game_id": "9" * 5000},
    ],
)
async def test_an_accepted_jwt_that_contradicts_the_store_is_refused(clock: FakeClock, claims: dict[str, Any]) -> None:
    """A JWT that names another user than the store does, or an unreadable one, is refused."""
    rig = build(clock=clock, transport=Script(profile(1994)).transport)

    refusal = await rig.source.identify(token(**claims), GAME, lane=FOREGROUND)

    assert refusal == Refusal(START, Reason.REFUSED_JWT)


async def test_an_accepted_jwt_may_be_for_one_game_only(clock: FakeClock) -> None:
    """The JWT's game is kept, so that it is refused for other games."""
    rig = build(clock=clock, transport=Script(profile(1994, press_user=True)).transport)

    identity = await rig.source.identify(token(game_id=4), GAME, lane=FOREGROUND)

    assert isinstance(identity, Identity)
    assert (identity.only_game, identity.press, identity.expires_at) == (4, True, None)


@pytest.mark.parametrize("user", [None, {}, {"id": "x"}, {"username": "amos"}])
async def test_an_accepted_jwt_of_nobody_is_no_answer(clock: FakeClock, user: object) -> None:
    """A JWT's own claims never replace the store's answer."""
    rig = build(clock=clock, transport=Script(httpx.Response(200, json={"user": user})).transport)

    with pytest.raises(SourceProtocolError):
        await rig.source.identify(token(), GAME, lane=FOREGROUND)


@pytest.mark.parametrize("dialect", Dialect)
async def test_each_request_carries_one_credential_in_one_place(
    clock: FakeClock, sandbox: Sandbox, dialect: Dialect
) -> None:
    """The seller's key or the JWT, in `Authorization`, and nothing of either anywhere else."""
    wire = StoreWire(sandbox)
    rig = build(clock=clock, dialect=dialect, transport=wire.transport)
    minted = sandbox.mint_jwt(seed.STRANGER_ID)

    await rig.source.identify_seller()
    await rig.source.identify(AppJwt(minted.jwt), GAME, lane=FOREGROUND)
    await ask(rig, AssertedUser(PlayerId(seed.STRANGER_ID)))
    await rig.source.identify(AppJwt(minted.jwt), GAME, lane=FOREGROUND)

    sellers, players = f"Bearer {seed.SELLER_KEY}", f"Bearer {minted.jwt}"
    carried = [request.headers.get_list("authorization") for request in wire.requests]
    assert carried == [[sellers], [players], [sellers], [sellers], [players]]
    for request in wire.requests:
        elsewhere = [str(request.url), *(value for name, value in request.headers.items() if name != "authorization")]
        assert not [text for text in elsewhere if seed.SELLER_KEY in text or minted.jwt in text]
        assert "cookie" not in request.headers


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("call", ["look_up", "identify", "identify_seller", "games", "scopes"])
async def test_every_question_ends_with_its_time(
    clock: FakeClock, sandbox: Sandbox, dialect: Dialect, call: str
) -> None:
    """A look-up ends when its time is up, however slow the store is."""

    async def never(_: httpx.Request) -> httpx.Response:
        await clock.sleep(timedelta(hours=1))
        raise AssertionError

    rig = build(clock=clock, dialect=dialect, transport=httpx.MockTransport(never))
    calls: dict[str, Callable[[], Coroutine[None, None, object]]] = {
        "look_up": lambda: ask(rig, PLAYER),
        "identify": lambda: rig.source.identify(token(), GAME, lane=FOREGROUND),
        "identify_seller": rig.source.identify_seller,
        "games": rig.source.games,
        "scopes": rig.source.scopes,
    }
    asking = asyncio.create_task(calls[call]())

    await clock.advance(timedelta(seconds=4.9))
    still_waiting = not asking.done()
    await clock.advance(timedelta(seconds=0.1))

    assert still_waiting
    with pytest.raises(SourceUnavailable, match="too long"):
        await asking
    assert [result for _, result in rig.observer.results] == ["unavailable"]
    assert rig.observer.reached == [False]
    assert rig.observer.seconds == [5]


async def test_both_requests_of_a_look_up_share_its_time(clock: FakeClock) -> None:
    """A slow answer about keys leaves less for purchases."""

    async def slow(_: httpx.Request) -> httpx.Response:
        await clock.sleep(timedelta(seconds=3))
        return streamed(NO_KEY)

    rig = build(clock=clock, transport=httpx.MockTransport(slow))
    asking = asyncio.create_task(ask(rig, PLAYER))

    await clock.advance(timedelta(seconds=5))

    assert asking.done()
    with pytest.raises(SourceUnavailable):
        await asking


async def test_the_time_of_a_look_up_includes_its_turn(clock: FakeClock) -> None:
    """Waiting for a turn is waiting too, and our own doing: a request that was never sent is not counted."""
    rig = build(clock=clock, transport=Script(key_answer()).transport, burst=1, timeout=timedelta(microseconds=500))
    await rig.budget.acquire(Priority.FOREGROUND)
    asking = asyncio.create_task(ask(rig, PLAYER))

    await clock.advance(timedelta(milliseconds=2))

    with pytest.raises(Overloaded):
        await asking
    assert rig.observer.results == []
