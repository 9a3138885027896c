"""The contract of mod.io as a source: an outcome for each thing that it says, and no absence without a proof."""

import json
from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec
import pytest

from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.ownership import Identity
from service.products import Purchases, TokenRefused
from service.verification.interfaces import Lane
from tests.clock import FakeClock
from tests.modio.fake_modio import ELEVEN, GAME, OTHER_GAME, TWELVE, FakeModio, build, error, mod, page, token

LANE: Final = Lane("server", None)
ASKED: Final = (ELEVEN, TWELVE)
REFUSED: Final = (11004, 11005, 11006, 11007)
NO_ANSWER: Final[tuple[tuple[int, int, type[NoAnswer]], ...]] = (
    (11000, 401, GatewayCredentialRefused),
    (11001, 401, GatewayCredentialRefused),
    (11002, 401, GatewayCredentialRefused),
    (14000, 404, GameNotAccessible),
    (14001, 404, GameNotAccessible),
    (14006, 404, GameNotAccessible),
    (14007, 403, GameNotAccessible),
    (900020, 403, GameNotAccessible),
    (900022, 403, GameNotAccessible),
    (12003, 403, SourceUnavailable),
    (11008, 429, SourceRateLimited),
    (11009, 429, SourceRateLimited),
    (13009, 429, SourceRateLimited),
    (10000, 503, SourceUnavailable),
    (10002, 500, SourceUnavailable),
    (900000, 500, SourceUnavailable),
    (900001, 500, SourceUnavailable),
    (900002, 500, SourceUnavailable),
    (900012, 503, SourceUnavailable),
    (11074, 403, SourceProtocolError),
    (13009, 422, SourceProtocolError),
    (15025, 403, SourceProtocolError),
    (99999, 500, SourceProtocolError),
)
MALFORMED_ERRORS: Final[tuple[Any, ...]] = (
    {"error": "11005"},
    {"error": []},
    {"error": {}},
    {"error": None},
    {"error": {"error_ref": "11005"}},
    {"error": {"error_ref": True}},
    {"error": {"error_ref": 11005.0}},
    {"error": {"error_ref": 11005}, "data": []},
)
_NESTED: Final = b'{"data":' + b"[" * 100_000
BARE: Final[tuple[tuple[httpx.Response, type[NoAnswer]], ...]] = (
    (httpx.Response(401, json={}), SourceProtocolError),
    (httpx.Response(401, text="Unauthorized"), SourceProtocolError),
    (httpx.Response(403, json={"message": "no"}), SourceProtocolError),
    (httpx.Response(404), SourceProtocolError),
    (httpx.Response(301, headers={"location": "https://elsewhere.example/"}), SourceProtocolError),
    (httpx.Response(200, html="<!DOCTYPE html><title>Just a moment...</title>"), SourceUnavailable),
    (httpx.Response(403, content=b"  <html>"), SourceUnavailable),
    (httpx.Response(502, text="Bad Gateway"), SourceUnavailable),
    (httpx.Response(503, json={}), SourceUnavailable),
    (httpx.Response(429, html="<html>"), SourceRateLimited),
    (httpx.Response(200, content=b"[]"), SourceProtocolError),
    (httpx.Response(200, content=b'{"data":[{"id":11,"game_'), SourceProtocolError),
    (httpx.Response(200, content=b""), SourceProtocolError),
    (httpx.Response(200, content=_NESTED), SourceProtocolError),
    (httpx.Response(200, content=b'{"data":"\xff"}'), SourceProtocolError),
    (httpx.Response(200, json={"error": {"error_ref": 11005}}), SourceProtocolError),
)
UNREADABLE_LISTS: Final[tuple[Any, ...]] = (
    {},
    {"data": {}},
    {"data": None},
    {"data": "11"},
    page(["11"]),
    page([{"id": "11", "game_id": GAME}]),
    page([{"id": 11}]),
    page([{"id": 11, "game_id": str(GAME)}]),
    page([{"id": True, "game_id": GAME}]),
    page([mod(11)], result_count=2),
    page([mod(11)], result_count=0),
    page([mod(11)], result_total=0),
    page([mod(11)], result_offset=-1),
    page([mod(11)], result_offset=1, result_total=1),
    page([mod(11)], result_count="1"),
    page([mod(11), mod(11)]),
)


async def purchases(fake: FakeModio, clock: FakeClock) -> Purchases | TokenRefused | type[NoAnswer]:
    """Return what comes of asking for two products."""
    try:
        return await build(fake, clock=clock).source.purchases(token(), GAME, ASKED, lane=LANE)
    except NoAnswer as no_answer:
        return type(no_answer)


async def identity(fake: FakeModio, clock: FakeClock) -> Identity | TokenRefused | NoAnswer:
    """Return what comes of asking whose a token is."""
    try:
        return await build(fake, clock=clock).source.identify(token(), GAME, lane=LANE)
    except NoAnswer as no_answer:
        return no_answer


def always(answer: httpx.Response) -> FakeModio:
    """Return a stand-in that says one thing."""
    fake = FakeModio()
    fake.says = lambda _request: httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
    return fake


Asking = Callable[[FakeModio, FakeClock], Any]
BOTH: Final = pytest.mark.parametrize("ask", [purchases, identity])


def reason_of(answer: object) -> object:
    """Return the reason of an answer that is none, or the answer."""
    if isinstance(answer, NoAnswer) or (isinstance(answer, type) and issubclass(answer, NoAnswer)):
        return answer.reason
    return answer


@BOTH
@pytest.mark.parametrize("status", [401, 403, 422])
@pytest.mark.parametrize("error_ref", REFUSED)
async def test_errors_by_which_a_token_is_refused(error_ref: int, status: int, ask: Asking, clock: FakeClock) -> None:
    """The error decides, not the status."""
    assert await ask(always(error(error_ref, status)), clock) == TokenRefused(clock.now())


@BOTH
@pytest.mark.parametrize(("error_ref", "status", "expected"), NO_ANSWER)
async def test_errors_that_are_no_answer(
    error_ref: int, status: int, expected: type[NoAnswer], ask: Asking, clock: FakeClock
) -> None:
    """No other error says anything about the player."""
    assert reason_of(await ask(always(error(error_ref, status)), clock)) is expected.reason


@BOTH
@pytest.mark.parametrize("body", MALFORMED_ERRORS, ids=json.dumps)
async def test_errors_that_cannot_be_read(body: Any, ask: Asking, clock: FakeClock) -> None:
    """An error that is not in mod.io's form is no one's, even if it looks like one that refuses a token."""
    assert reason_of(await ask(always(httpx.Response(401, json=body)), clock)) is SourceProtocolError.reason


@BOTH
@pytest.mark.parametrize(("answer", "expected"), BARE)
async def test_answers_that_are_not_the_apis(
    answer: httpx.Response, expected: type[NoAnswer], ask: Asking, clock: FakeClock
) -> None:
    """Something in between says 401, too: without an error of mod.io's no status refuses a token."""
    assert reason_of(await ask(always(answer), clock)) is expected.reason


@pytest.mark.parametrize("body", UNREADABLE_LISTS, ids=lambda body: json.dumps(body)[:60])
async def test_a_list_that_lies_or_cannot_be_read_is_no_answer(body: Any, clock: FakeClock) -> None:
    """Neither its rows nor their absence count."""
    assert reason_of(await purchases(always(httpx.Response(200, json=body)), clock)) is SourceProtocolError.reason


async def test_a_complete_list_proves_presence_and_absence(clock: FakeClock) -> None:
    """The common case: one page, counted right."""
    assert await purchases(FakeModio([11]), clock) == Purchases(
        clock.now(), owned=frozenset({ELEVEN}), not_owned=frozenset({TWELVE})
    )


async def test_an_empty_list_is_a_no(clock: FakeClock) -> None:
    """A player who has bought nothing."""
    assert await purchases(FakeModio(), clock) == Purchases(clock.now(), not_owned=frozenset(ASKED))


@pytest.mark.parametrize(
    "counts",
    [
        {"result_total": 2},
        {"result_offset": None},
        {"result_count": None},
        {"result_total": None},
        {"result_offset": 1, "result_total": 2},
    ],
    ids=json.dumps,
)
async def test_an_incomplete_list_proves_no_absence(counts: dict[str, object], clock: FakeClock) -> None:
    """A listed product is owned; there is no answer about the others, for they may stand on another page."""
    answer = await purchases(always(httpx.Response(200, json=page([mod(11)], **counts))), clock)

    assert isinstance(answer, Purchases)
    assert (answer.owned, answer.not_owned) == (frozenset({ELEVEN}), frozenset())
    assert {product: type(why) for product, why in answer.no_answer.items()} == {TWELVE: SourceProtocolError}


async def test_a_row_of_another_game_is_neither_yes_nor_no(clock: FakeClock) -> None:
    """The asked product with the number of another game: there is no answer about it, but there is about the rest."""
    answer = await purchases(always(httpx.Response(200, json=page([mod(11, OTHER_GAME)]))), clock)

    assert isinstance(answer, Purchases)
    assert (answer.owned, answer.not_owned) == (frozenset(), frozenset({TWELVE}))
    assert set(answer.no_answer) == {ELEVEN}


async def test_rows_of_products_that_were_not_asked_are_ignored(clock: FakeClock) -> None:
    """A filter that is not obeyed does no harm while the list is complete."""
    answer = await purchases(FakeModio([11, 99], filters=False), clock)

    assert answer == Purchases(clock.now(), owned=frozenset({ELEVEN}), not_owned=frozenset({TWELVE}))


async def test_a_collector_whose_list_is_not_filtered(clock: FakeClock) -> None:
    """250 purchases, one page of them shown: the listed one is owned, and no second page is asked for."""
    fake = FakeModio([11, *range(1000, 1249), 12], filters=False)

    answer = await purchases(fake, clock)

    assert isinstance(answer, Purchases)
    assert (answer.owned, answer.not_owned) == (frozenset({ELEVEN}), frozenset())
    assert set(answer.no_answer) == {TWELVE}
    assert len(fake.requests) == 1


@pytest.mark.parametrize(("status", "refused"), [(0, False), (1, False), (3, True), (4, True), (None, False)])
async def test_accounts_that_are_deleted_or_banned(status: int | None, refused: bool, clock: FakeClock) -> None:  # noqa: FBT001
    """Their tokens are refused, although mod.io answers."""
    answer = await identity(always(httpx.Response(200, json={"id": 71104, "status": status})), clock)

    assert isinstance(answer, TokenRefused) is refused


@pytest.mark.parametrize("user", [{}, {"id": "1"}, {"id": 0}, {"id": 2**53}, {"id": None}, {"id": 1, "status": "3"}])
async def test_a_user_without_a_usable_id_is_no_answer(user: dict[str, object], clock: FakeClock) -> None:
    """A token stands for a number."""
    answer = await identity(always(httpx.Response(200, json=user)), clock)

    assert isinstance(answer, SourceProtocolError)


async def test_names_are_taken_tolerantly(clock: FakeClock) -> None:
    """They prove nothing: `name_id` is the name, `username` what is shown."""
    named = await identity(FakeModio(), clock)
    odd = await identity(always(httpx.Response(200, json={"id": 7, "name_id": 3, "username": None})), clock)

    assert isinstance(named, Identity)
    assert isinstance(odd, Identity)
    assert (named.player.username, named.player.display_name) == ("buyer", "Buyer")
    assert (odd.player.username, odd.player.display_name) == (None, None)


async def test_nothing_that_is_raised_repeats_the_answer(clock: FakeClock) -> None:
    """Messages of mod.io's may name the player."""
    raised = await identity(always(error(11074, 403)), clock)

    assert isinstance(raised, NoAnswer)
    assert "canary" not in repr(raised) + str(raised.__cause__) + str(raised.__context__)


def test_what_is_stored_of_an_answer_can_be_told_apart() -> None:
    """Decoding names only what is used: a row of mod.io's with everything in it is as good as one without."""
    assert msgspec.json.decode(json.dumps(mod(11)))["game_id"] == GAME
