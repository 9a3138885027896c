"""The sandbox's mod.io: the world that the gateway's source sees in it, and its wire."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from service.errors import SourceUnavailable
from service.ownership import Identity
from service.products import ModioToken, Product, Purchases, TokenRefused, read_modio_token
from service.sandbox import modio_world as world
from service.sandbox.faults import Fault
from service.sandbox.modio_store import answer_as_modio
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.store_endpoints import StoreRequest
from service.verification.interfaces import Lane
from tests.clock import FakeClock
from tests.docs.pages import ROOT
from tests.modio.fake_modio import GAME, FakeModio, Rig, build

LANE: Final = Lane("server", None)
BUYER: Final = world.token_of(world.BUYER_ID)
COLLECTOR: Final = world.token_of(world.COLLECTOR_ID)


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """A sandbox as it starts."""
    return Sandbox(clock=clock)


@pytest.fixture
async def rig(sandbox: Sandbox, clock: FakeClock) -> AsyncIterator[Rig]:
    """A source in front of a sandbox that listens."""
    async with SandboxServer(sandbox) as server:
        rig = build(FakeModio(), clock=clock, instead=f"{server.base_url}/modio/v1")
        yield rig
        await rig.requests.close()


def products(*numbers: int) -> tuple[Product, ...]:
    """Return the products of these numbers."""
    return tuple(map(Product, numbers))


def get(path: str, token: str | None = BUYER, **query: str) -> SandboxAnswer:
    """Return the answer to a request; in names of parameters `_in` stands for `-in`."""
    named = tuple((re.sub(r"_(in|not_in|min|max)$", lambda end: end[0].replace("_", "-"), name), text)
                  for name, text in query.items())  # fmt: skip
    bearer = None if token is None else f"Bearer {token}"
    return answer_as_modio(StoreRequest("GET", f"/modio/v1/{path}", named, bearer))


def read(answer: SandboxAnswer) -> Any:
    """Return the JSON of an answer."""
    return msgspec.json.decode(answer.body)


def error_of(answer: SandboxAnswer) -> tuple[int, int]:
    """Return status and number of an error in mod.io's form."""
    error = read(answer)["error"]
    assert error["code"] == answer.status
    return answer.status, error["error_ref"]


async def test_the_buyers_mods(rig: Rig) -> None:
    """A creator who hides or archives a mod takes it from no buyer; that of another game is no proof for this one."""
    asked = products(world.PLAIN_MOD, world.HIDDEN_MOD, world.ARCHIVED_MOD, world.DEARER_MOD, world.OTHER_GAMES_MOD)

    answer = await rig.source.purchases(ModioToken(BUYER), GAME, asked, lane=LANE)

    assert isinstance(answer, Purchases)
    assert answer.owned == frozenset(asked[:3])
    assert answer.not_owned == frozenset({asked[3]})
    assert list(answer.no_answer) == [asked[4]]
    assert answer.sandbox


async def test_a_hundred_mods_of_a_collector(rig: Rig) -> None:
    """Whole Mod Objects, on one page."""
    asked = products(*world.COLLECTED[:99], world.PLAIN_MOD)

    answer = await rig.source.purchases(ModioToken(COLLECTOR), GAME, asked, lane=LANE)

    assert isinstance(answer, Purchases)
    assert (answer.owned, answer.not_owned) == (frozenset(asked[:99]), frozenset({asked[99]}))


@pytest.mark.parametrize("user_id", [world.NEWCOMER_ID, world.REFUNDED_ID, world.CREATOR_ID])
async def test_those_who_have_bought_nothing(user_id: int, rig: Rig) -> None:
    """A refund takes a purchase away, and creators have not bought their own."""
    token = ModioToken(world.token_of(user_id))

    identity = await rig.source.identify(token, GAME, lane=LANE)
    answer = await rig.source.purchases(token, GAME, products(world.PLAIN_MOD), lane=LANE)

    assert isinstance(identity, Identity)
    assert identity.player.id == user_id
    assert isinstance(answer, Purchases)
    assert answer.not_owned == frozenset(products(world.PLAIN_MOD))


@pytest.mark.parametrize(
    "token",
    [
        world.token_of(world.BANNED_ID),
        world.token_of(world.DELETED_ID),
        world.EXPIRED_TOKEN,
        world.SCOPELESS_TOKEN,
        "eyJ9.eyJ9.eyJ9",
    ],
)
async def test_tokens_that_are_refused(token: str, rig: Rig) -> None:
    """Of accounts that are gone, of those without the right to read, and of no user."""
    assert isinstance(await rig.source.identify(ModioToken(token), GAME, lane=LANE), TokenRefused)


async def test_faults_befall_it(rig: Rig, sandbox: Sandbox) -> None:
    """Those that are for all requests; with `deny` no user has bought anything."""
    sandbox.faults.replace([Fault(status=502, times=1), Fault(deny=True)])

    with pytest.raises(SourceUnavailable):
        await rig.source.identify(ModioToken(BUYER), GAME, lane=LANE)
    answer = await rig.source.purchases(ModioToken(BUYER), GAME, products(world.PLAIN_MOD), lane=LANE)

    assert isinstance(answer, Purchases)
    assert answer.not_owned == frozenset(products(world.PLAIN_MOD))


async def test_the_journal_holds_no_token(rig: Rig, sandbox: Sandbox) -> None:
    """Of a request its path and its query are noted."""
    await rig.source.identify(ModioToken(BUYER), GAME, lane=LANE)

    report = sandbox.journal.report()

    assert [(seen.path, seen.authorization, seen.status) for seen in report.last] == [("/modio/v1/me", True, 200)]
    assert BUYER not in msgspec.json.encode(report).decode()


def test_an_empty_list_is_a_list() -> None:
    """Unlike that of itch.io."""
    assert read(get("me/purchased", world.token_of(world.NEWCOMER_ID))) == {
        "data": [],
        "result_count": 0,
        "result_offset": 0,
        "result_limit": 100,
        "result_total": 0,
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"id": "11"}, [11]),
        ({"id_in": "11,13"}, [11, 13]),
        ({"id_not_in": "11,21"}, [12, 13]),
        ({"id_min": "13"}, [13, 21]),
        ({"id_max": "12"}, [11, 12]),
        ({"game_id": "265"}, [21]),
        ({"_limit": "2"}, [11, 12]),
        ({"_limit": "2", "_offset": "3"}, [21]),
        ({"name": "no such filter"}, [11, 12, 13, 21]),
    ],
)
def test_filters_and_pages(query: dict[str, str], numbers: list[int]) -> None:
    """All filters must hold; parameters that are none are ignored."""
    assert [row["id"] for row in read(get("me/purchased", **query))["data"]] == numbers


def test_a_page_holds_a_hundred_at_most() -> None:
    """With a larger limit, too; the total says that there are more."""
    page = read(get("me/purchased", COLLECTOR, _limit="1000"))

    assert (len(page["data"]), page["result_limit"], page["result_total"]) == (100, 100, 250)


@pytest.mark.parametrize(
    ("query", "status", "error_ref"),
    [
        ({"status": "1"}, 403, 15025),
        ({"visible_in": "0,1"}, 403, 15025),
        ({"id_in": "eleven"}, 422, 13009),
        ({"_limit": "1,2"}, 422, 13009),
        ({"_offset": "-1"}, 422, 13009),
    ],
)
def test_filters_that_are_refused(query: dict[str, str], status: int, error_ref: int) -> None:
    """Those of admins, and those that are no numbers."""
    assert error_of(get("me/purchased", **query)) == (status, error_ref)


def test_requests_without_a_token() -> None:
    """Without a key, too, mod.io asks for a key; with one it says that the token is missing."""
    assert error_of(get("me", None)) == (401, 11000)
    assert error_of(get("me", None, api_key="f" * 32)) == (401, 11005)
    assert error_of(answer_as_modio(StoreRequest("GET", "/modio/v1/me", (), f"Basic {BUYER}"))) == (401, 11005)


def test_games_and_ping() -> None:
    """A game that is not there has the number that was seen, not the one that is documented."""
    assert read(get("ping", None))["success"] is True
    assert read(get("games/264", None, api_key="f" * 32))["name"] == "X-Moon"
    assert read(get("games/265"))["id"] == world.OTHER_GAME_ID
    assert error_of(get("games/264", None)) == (401, 11000)
    assert error_of(get("games/99")) == (404, 14000)
    assert error_of(get("me/wallets")) == (404, 14000)
    assert error_of(answer_as_modio(StoreRequest("POST", "/modio/v1/me"))) == (405, 14000)


def test_creators_have_their_mods() -> None:
    """Those that they have added."""
    mods = read(get("me/mods", world.token_of(world.CREATOR_ID), id_in="11,21"))

    assert [row["id"] for row in mods["data"]] == [11]


def test_its_tokens_have_the_shape_of_mod_ios() -> None:
    """And those that the page names are those that there are."""
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")

    assert all(read_modio_token(token) is not None for token in world.GRANTS)
    assert {token for token in world.GRANTS if token in page} == set(world.GRANTS)
