"""Requests to mod.io as they are sent: one token each, halves, and pauses that are each player's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import pytest

from service.causes import Cause
from service.errors import (
    GatewayInTheWay,
    NoAnswer,
    Overloaded,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.modio.endpoints import ModioEndpoint, ModioEnvironment, base_url
from service.modio.modio_requests import ModioApiKey
from service.ownership import Identity
from service.products import ModioGame, ModioToken, Product, Purchases, TokenRefused
from service.verification.interfaces import Lane
from tests.clock import FakeClock
from tests.modio.fake_modio import ELEVEN, GAME, TIMEOUT, TWELVE, FakeModio, Rig, build, error, token

LANE: Final = Lane("server", None)
HUNDRED: Final = tuple(Product(number) for number in range(1, 101))


async def ask(rig: Rig, who: str = "buyer") -> Identity | TokenRefused | NoAnswer:
    """Return what comes of asking whose a token is."""
    try:
        return await rig.source.identify(token(who), GAME, lane=LANE)
    except NoAnswer as no_answer:
        return no_answer


async def test_each_request_carries_the_token_in_one_place(clock: FakeClock) -> None:
    """A request that lost its header would be refused as if the token were bad; in the URL no token has a place."""
    fake = FakeModio([11])
    rig = build(fake, clock=clock)

    await rig.source.identify(token(), GAME, lane=LANE)
    await rig.source.purchases(token(), GAME, (ELEVEN, TWELVE), lane=LANE)

    assert [request.headers["authorization"] for request in fake.requests] == [f"Bearer {token().reveal()}"] * 2
    assert [str(request.url) for request in fake.requests] == [
        "https://g-264.modapi.io/v1/me",
        "https://g-264.modapi.io/v1/me/purchased?id-in=11%2C12&_limit=100",
    ]


async def test_the_games_key_is_sent_only_if_there_is_one(clock: FakeClock) -> None:
    """The bearer counts, but some deployments of mod.io want to see the game's key beside it."""
    fake = FakeModio([11])

    await ask(build(fake, clock=clock, api_key=ModioApiKey("f" * 32)))

    assert fake.requests[0].url.params["api_key"] == "f" * 32


def test_only_a_number_gets_into_the_host() -> None:
    """The two environments have hosts of their own, and an operator may name another."""
    game = ModioGame(264)

    assert base_url(ModioEnvironment.TEST, game) == "https://g-264.test.mod.io/v1"
    assert base_url(ModioEnvironment.LIVE, game, instead="http://127.0.0.1:9/modio/{game}/v1/") == (
        "http://127.0.0.1:9/modio/264/v1"
    )


async def test_a_hundred_products_take_one_request(clock: FakeClock) -> None:
    """One request a player, for one product and for a hundred."""
    fake = FakeModio(range(1, 51))

    answer = await build(fake, clock=clock).source.purchases(token(), GAME, HUNDRED, lane=LANE)

    assert isinstance(answer, Purchases)
    assert (len(answer.owned), len(answer.not_owned), len(fake.requests)) == (50, 50, 1)


async def test_a_list_that_is_too_large_is_asked_for_in_halves(clock: FakeClock) -> None:
    """100 mods with 50 kB of description each are more than 4 MiB; halves of them are not."""
    fake = FakeModio(range(1, 101))
    fake.descriptions = dict.fromkeys(range(1, 101), "x" * 50_000)

    answer = await build(fake, clock=clock).source.purchases(token(), GAME, HUNDRED, lane=LANE)

    assert isinstance(answer, Purchases)
    assert (answer.owned, answer.no_answer) == (frozenset(HUNDRED), {})
    assert len(fake.requests) == 3


async def test_one_mod_that_is_too_large_has_no_answer(clock: FakeClock) -> None:
    """Its author can spoil the answer about it, and about no other."""
    fake = FakeModio([11, 12])
    fake.descriptions = {11: "x" * 600_000}

    answer = await build(fake, clock=clock).source.purchases(token(), GAME, (ELEVEN, TWELVE), lane=LANE)

    assert isinstance(answer, Purchases)
    assert (answer.owned, frozenset(answer.no_answer)) == (frozenset({TWELVE}), frozenset({ELEVEN}))
    assert isinstance(answer.no_answer[ELEVEN], SourceProtocolError)


async def test_a_token_that_is_refused_in_between_is_refused(clock: FakeClock) -> None:
    """In either half: it is about all of them."""
    fake = FakeModio(range(1, 101))
    answers = iter([httpx.Response(200, content=b"x" * (4 * 1024 * 1024 + 1)), error(11005, 401)])
    fake.says = lambda _request: next(answers)

    assert isinstance(await build(fake, clock=clock).source.purchases(token(), GAME, HUNDRED, lane=LANE), TokenRefused)


async def test_one_players_limit_is_no_other_players(clock: FakeClock) -> None:
    """A throttled token is left alone; another one is asked about, and nothing is paused for all."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda request: (
        error(11008, 429)
        if token("greedy").reveal() in request.headers["authorization"]
        else (httpx.Response(200, json={"id": 1}))
    )

    first, again, other = await ask(rig, "greedy"), await ask(rig, "greedy"), await ask(rig, "other")

    assert isinstance(first, SourceRateLimited)
    assert isinstance(again, SourceRateLimited)
    assert isinstance(other, Identity)
    assert (len(fake.requests), rig.observer.pauses) == (2, [])


@pytest.mark.parametrize(("named", "seconds"), [("7", 7), ("0", 60), (None, 60), ("soon", 60), ("86400", 600)])
async def test_the_length_of_a_pause(named: str | None, seconds: int, clock: FakeClock) -> None:
    """As mod.io says; a minute if it says nothing, or names its rolling limit; ten minutes at most."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda _request: error(11008, 429, **({} if named is None else {"retry-after": named}))
    await ask(rig)
    fake.says = None

    await clock.advance(timedelta(seconds=seconds - 1))
    before = await ask(rig)
    await clock.advance(timedelta(seconds=1))
    after = await ask(rig)

    assert isinstance(before, SourceRateLimited)
    assert isinstance(after, Identity)


@pytest.mark.parametrize("address_too", [False, True])
async def test_three_tokens_in_a_row_are_about_the_address_if_none_is_answered(
    address_too: bool,  # noqa: FBT001
    clock: FakeClock,
) -> None:
    """A request without a credential decides; if that is answered, they are three accounts of one player's."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda request: (
        error(11009 if "authorization" in request.headers else 11008, 429)
        if address_too or "authorization" in request.headers
        else httpx.Response(200, json={"code": 200})
    )

    for number in range(3):
        await ask(rig, f"player {number}")

    assert fake.paths == ["/v1/me"] * 3 + ["/v1/ping"]
    assert "authorization" not in fake.requests[-1].headers
    assert rig.observer.pauses == ([timedelta(seconds=60)] if address_too else [])


async def test_it_is_found_out_once_in_ten_seconds(clock: FakeClock) -> None:
    """More throttled players make no more requests without a credential."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda request: (
        error(11008, 429) if "authorization" in request.headers else httpx.Response(500, text="no")
    )

    for number in range(9):
        await ask(rig, f"player {number}")
    await clock.advance(timedelta(seconds=10))
    for number in range(9, 12):
        await ask(rig, f"player {number}")

    assert fake.paths.count("/v1/ping") == 2
    assert rig.observer.pauses == []


async def test_a_spent_budget_asks_nothing_about_limits(clock: FakeClock) -> None:
    """The third throttled player has used the last request there was."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda _request: error(11008, 429)
    for number in range(2):
        await ask(rig, f"player {number}")
    asking = asyncio.create_task(ask(rig, "player 2"))

    def paused_meanwhile(_request: httpx.Request) -> httpx.Response:
        rig.budget.stay_away(timedelta(seconds=30))
        return error(11008, 429)

    fake.says = paused_meanwhile

    assert isinstance(await asking, SourceRateLimited)
    assert "/v1/ping" not in fake.paths


async def test_something_in_front_that_throttles_pauses_all(clock: FakeClock) -> None:
    """A web page with status 429 is not mod.io's word on one player."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda _request: httpx.Response(429, html="<html>", headers={"retry-after": "20"})

    await ask(rig)
    other = await ask(rig, "other")

    assert isinstance(other, SourceRateLimited)
    assert (len(fake.requests), rig.observer.pauses) == (1, [timedelta(seconds=20)])


async def test_a_pause_for_all_is_no_players_own(clock: FakeClock) -> None:
    """A question during a pause is not sent, and is no refusal of its token: after the pause it is asked at once."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    rig.budget.stay_away(timedelta(seconds=5))

    during = await ask(rig)
    await clock.advance(timedelta(seconds=5))
    after = await ask(rig)

    assert isinstance(during, SourceRateLimited)
    assert isinstance(after, Identity)


async def test_a_banned_address_stays_away(clock: FakeClock) -> None:
    """All of them; an operator has to act."""
    fake = FakeModio()
    rig = build(fake, clock=clock)
    fake.says = lambda _request: error(12003, 403)

    assert isinstance(await ask(rig), SourceUnavailable)
    assert isinstance(await ask(rig, "other"), SourceRateLimited)
    assert (len(fake.requests), rig.observer.causes) == (1, [Cause.FORBIDDEN])


async def test_what_is_reported(clock: FakeClock) -> None:
    """Results in the words of the metrics; of an unknown error the number, and not the message."""
    fake = FakeModio([11])
    rig = build(fake, clock=clock)
    await ask(rig)
    fake.says = lambda _request: error(11005, 401)
    await ask(rig)
    fake.says = lambda _request: error(15025, 403)
    await ask(rig)

    assert rig.observer.results == [
        (ModioEndpoint.ME, "ok"),
        (ModioEndpoint.ME, "refused"),
        (ModioEndpoint.ME, "protocol"),
    ]
    assert rig.observer.unknown == [15025]
    assert rig.observer.causes == [None, None, None]


async def test_a_process_that_stood_still_blames_itself(clock: FakeClock) -> None:
    """mod.io is not lost because the gateway could not hear it."""

    def no_answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    fake = FakeModio()
    rig = build(fake, clock=clock, stood_still=lambda _since: 3.0)
    fake.says = no_answer

    assert isinstance(await ask(rig), GatewayInTheWay)
    assert (len(rig.observer.in_our_way), rig.observer.causes) == (1, [])


async def test_a_look_up_ends_with_its_time(clock: FakeClock) -> None:
    """mod.io that hangs is unavailable, and the connection is free again."""
    fake = FakeModio()
    rig = build(fake, clock=clock)

    sent = asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        sent.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    fake.transport.handler = hang
    asking = asyncio.create_task(ask(rig))
    await asyncio.wait([asyncio.create_task(sent.wait())])
    await clock.advance(TIMEOUT)

    assert isinstance(await asking, SourceUnavailable)


async def test_no_turn_in_time_is_our_own_load(clock: FakeClock) -> None:
    """A spent budget says nothing about mod.io."""
    rig = build(FakeModio(), clock=clock, burst=1)
    rig.budget.spent(timedelta(seconds=10))
    for _ in range(3000):
        rig.budget.spent(timedelta(seconds=10))

    assert isinstance(await ask(rig), Overloaded)


async def test_a_readable_token_says_until_when(clock: FakeClock) -> None:
    """Its end can only shorten its use; one that cannot be read says nothing, and needs not."""
    rig = build(FakeModio(), clock=clock)
    ends = {
        "eyJleHAiOjE4MDAwMDAwMDB9": datetime.fromtimestamp(1_800_000_000, tz=UTC),  # {"exp":1800000000}
        "eyJleHAiOnRydWV9": None,  # {"exp":true}
        "eyJleHAiOi0xfQ": None,  # {"exp":-1}
        "e30": None,  # {}
        "AAAA": None,
    }

    for payload, end in ends.items():
        identity = await rig.source.identify(ModioToken(f"eyJ9.{payload}.c2ln"), GAME, lane=LANE)

        assert isinstance(identity, Identity)
        assert identity.expires_at == end


async def test_closing_closes_the_connections(clock: FakeClock) -> None:
    """A closed source asks nothing any more."""
    rig = build(FakeModio(), clock=clock)

    await rig.requests.close()

    with pytest.raises(RuntimeError, match="closed"):
        await ask(rig)
