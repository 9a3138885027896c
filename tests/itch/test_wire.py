"""The bodies of the store's answers."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SourceProtocolError
from service.itch.wire import read_download_key, read_games, read_purchases, read_user
from service.ownership import LARGEST_ID, GameId, Player, PlayerId, Proof, ProofKind

GAME: Final = GameId(3)
AT: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)


def key(**changes: Any) -> dict[str, object]:
    """Return the body of a `download_keys` answer; a change of None leaves the field out."""
    fields: dict[str, object] = {
        "id": 124,
        "key": "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z",
        "game_id": 3,
        "created_at": "2014-02-28 00:25:09",
        "downloads": 74,
        "owner": {"id": 1994, "username": "amos", "display_name": "Amos", "gamer": True},
    }
    fields |= changes
    return {"download_key": {name: value for name, value in fields.items() if value is not None}}


def purchase(**changes: Any) -> dict[str, object]:
    """Return one row of a `purchases` answer; a change of None leaves the field out."""
    fields: dict[str, object] = {
        "id": 11561,
        "game_id": 3,
        "created_at": "2014-02-28T00:25:09.000000000Z",
        "donation": False,
        "purchase_type": "game",
        "status": "complete",
        "price": "$1.00",
        "email": "bea@example.com",
    }
    fields |= changes
    return {name: value for name, value in fields.items() if value is not None}


def kinds(*rows: object) -> list[ProofKind]:
    """Return what these purchases prove."""
    return [proof.kind for proof in read_purchases({"purchases": list(rows)}, GAME)]


def test_a_download_key() -> None:
    """A download key has its text, its game, its proof and its owner."""
    read = read_download_key(key())

    assert read.text == "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
    assert read.game_id == 3
    assert read.proof == Proof(ProofKind.DOWNLOAD_KEY, 124, AT)
    assert read.owner == Player(PlayerId(1994), "amos", "Amos")


@pytest.mark.parametrize("owner", [None, {}, []])
def test_a_key_that_nobody_has_claimed(owner: object) -> None:
    """An unclaimed key has no `owner`, or an empty one, as PHP writes it."""
    assert read_download_key(key(owner=owner)).owner is None


def test_ids_may_be_strings_of_digits() -> None:
    """A number in quotes is the same number."""
    read = read_download_key(key(id="124", game_id="3", owner={"id": "1994"}))

    assert (read.game_id, read.proof.id, read.owner) == (3, 124, Player(PlayerId(1994)))


@pytest.mark.parametrize("changes", [{"id": None}, {"id": "x"}, {"created_at": None}, {"created_at": 5}])
def test_what_proves_nothing_may_be_missing(changes: dict[str, object]) -> None:
    """A key without a readable id or date is a key all the same."""
    read = read_download_key(key(**changes))

    assert read.proof.kind is ProofKind.DOWNLOAD_KEY
    assert None in (read.proof.id, read.proof.acquired_at)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"download_key": None},
        {"download_key": {}},
        {"download_key": []},
        {"download_key": "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"},
        {"download_keys": [{"key": "k", "game_id": 3}]},
        key(key=None),
        key(key=5),
        key(game_id=None),
        key(game_id=True),
        key(game_id=3.0),
        key(game_id=0),
        key(game_id=-3),
        key(game_id=2**53),
        key(game_id="3x"),
        key(game_id="٣"),
        key(game_id="3" * 17),
        key(game_id="3" * 5000),
        key(game_id=[3]),
        key(owner="amos"),
        key(owner=1994),
        key(owner={"username": "amos"}),
        key(owner={"id": 0}),
        key(owner=[{"id": 1994}]),
        key(owner=False),
    ],
    ids=range(25),
)
def test_what_is_no_download_key(body: dict[str, object]) -> None:
    """A malformed key is neither a yes nor a no."""
    with pytest.raises(SourceProtocolError):
        read_download_key(body)


def test_a_user() -> None:
    """Only `true` makes a press account; names that are no text are unknown."""
    read = read_user({"id": 2006, "username": "pia", "display_name": 5, "press_user": True})

    assert (read.player, read.press) == (Player(PlayerId(2006), "pia", None), True)


@pytest.mark.parametrize("press", [None, 1, "true", {}, False])
def test_press_is_true_or_not(press: object) -> None:
    """Only `true` makes a press account."""
    assert read_user({"id": 1, "press_user": press}).press is False


@pytest.mark.parametrize("value", [None, {}, [], "amos", {"id": None}, {"id": True}, {"id": 2**53}, [{"id": 1}]])
def test_what_is_no_user(value: object) -> None:
    """A user without a usable id is a protocol error."""
    with pytest.raises(SourceProtocolError):
        read_user(value)


@pytest.mark.parametrize("empty", [{}, []])
def test_no_purchases(empty: object) -> None:
    """An empty list comes as an empty object."""
    assert read_purchases({"purchases": empty}, GAME) == ()


@pytest.mark.parametrize("body", [{}, {"purchases": None}, {"purchases": {"0": {}}}, {"purchases": "none"}])
def test_what_is_no_list_of_purchases(body: dict[str, object]) -> None:
    """A malformed list does not mean that there are no purchases."""
    with pytest.raises(SourceProtocolError):
        read_purchases(body, GAME)


def test_a_purchase() -> None:
    """A purchase proves ownership since its date."""
    assert read_purchases({"purchases": [purchase()]}, GAME) == (Proof(ProofKind.PURCHASE, 11561, AT),)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (purchase(), [ProofKind.PURCHASE]),
        (purchase(purchase_type=None, status=None, donation=None), [ProofKind.PURCHASE]),
        (purchase(game_id="3"), [ProofKind.PURCHASE]),
        (purchase(donation=True), [ProofKind.WEB_PURCHASE]),
        (purchase(id=None, created_at=None), [ProofKind.PURCHASE]),
        (purchase(purchase_type="bundle", game_id=[2, 3, 4]), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="bundle", game_id=["2", "3"]), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="bundle", game_id=[None, "x", 3]), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="bundle", game_id=3), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="bundle", game_id="3"), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="bundle", donation=True), [ProofKind.BUNDLE_PURCHASE]),
        (purchase(purchase_type="sub_product"), []),
        (purchase(purchase_type="sub_product", game_id=4), []),
        (purchase(status="pending"), []),
        (purchase(status="refunded"), []),
        (purchase(status="Complete"), []),
        (purchase(status="refunded", purchase_type="bundle", game_id=[3]), []),
    ],
)
def test_what_one_purchase_proves(row: dict[str, object], expected: list[ProofKind]) -> None:
    """A game, a bundle that holds it, a donation; of a part of the game, or not completed: nothing."""
    assert kinds(row) == expected


UNCLEAR: Final[tuple[object, ...]] = (
    None,
    5,
    "row",
    [],
    {},
    purchase(game_id=4),
    purchase(game_id=None),
    purchase(game_id=[3]),
    purchase(game_id=True),
    purchase(game_id=2**60),
    purchase(purchase_type="asset_pack"),
    purchase(purchase_type=5),
    purchase(purchase_type="Game"),
    purchase(purchase_type="bundle", game_id=[4, 5]),
    purchase(purchase_type="bundle", game_id=4),
    purchase(purchase_type="bundle", game_id={}),
    purchase(purchase_type="bundle", game_id={"0": 3}),
    purchase(purchase_type="bundle", game_id=None),
    purchase(donation="yes"),
    purchase(donation=1),
    {**purchase(), "donation": None},
    {**purchase(), "purchase_type": None},
    {**purchase(), "status": None},
    purchase(status=1),
    purchase(status=["complete"]),
)


@pytest.mark.parametrize("row", UNCLEAR, ids=range(len(UNCLEAR)))
def test_a_row_that_cannot_be_understood_is_not_absent(row: object) -> None:
    """The row may be the one that proves ownership, so without another there is no usable answer."""
    with pytest.raises(SourceProtocolError):
        kinds(purchase(purchase_type="sub_product"), row)


@pytest.mark.parametrize("row", UNCLEAR, ids=range(len(UNCLEAR)))
def test_one_good_row_is_enough(row: object) -> None:
    """One row that proves ownership is enough, even among rows that cannot be understood."""
    assert kinds(row, purchase(), row) == [ProofKind.PURCHASE]


def test_the_strongest_proof_comes_first() -> None:
    """A purchase, then a bundle, then a payment for the web game; all of them are there."""
    rows = [purchase(donation=True), purchase(purchase_type="bundle"), purchase()]

    assert kinds(*rows) == [ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE, ProofKind.WEB_PURCHASE]


def test_the_games_of_a_key() -> None:
    """The slug is the last part of the address."""
    rows = [{"id": 3, "title": "X-Moon", "url": "https://leafo.itch.io/x-moon/"}, {"id": "4"}]

    games = read_games({"games": rows})

    assert [(game.id, game.title, game.slug) for game in games] == [(3, "X-Moon", "x-moon"), (4, "", "")]


@pytest.mark.parametrize("empty", [{}, []])
def test_a_key_without_games(empty: object) -> None:
    """An empty list comes as an empty object."""
    assert read_games({"games": empty}) == []


@pytest.mark.parametrize(
    "body", [{}, {"games": None}, {"games": [3]}, {"games": [{"title": "X"}]}, {"games": {"a": 1}}]
)
def test_what_is_no_list_of_games(body: dict[str, object]) -> None:
    """A game without a usable id may be the one that is asked about."""
    with pytest.raises(SourceProtocolError):
        read_games(body)


_id = st.sampled_from([3, "3", 4, "4", True, None, 0, 2**53, "x", 3.0])
_fields: dict[Any, st.SearchStrategy[Any]] = {
    "id": st.integers(-1, LARGEST_ID),
    "game_id": _id | st.lists(_id, max_size=3) | st.just({}),
    "purchase_type": st.sampled_from(["game", "bundle", "sub_product", "other", None]),
    "status": st.sampled_from(["complete", "complete", "pending", None]),
    "donation": st.sampled_from([True, False, None]),
    "created_at": st.sampled_from(["2014-02-28 00:25:09", "x", None]),
}
_row = st.fixed_dictionaries({}, optional=_fields)


def oracle(row: dict[str, Any]) -> ProofKind | str:
    """Say what one row proves, as DESIGN puts it: a kind, `nothing` or `unclear`."""

    def is_ours(value: object) -> bool:
        return value in (3, "3") and type(value) in (int, str)

    status, kind = row.get("status", "complete"), row.get("purchase_type", "game")
    if not isinstance(status, str):
        return "unclear"
    if status != "complete" or kind == "sub_product":
        return "nothing"
    games = row.get("game_id")
    if kind == "bundle" and any(map(is_ours, games if isinstance(games, list) else [games])):
        return ProofKind.BUNDLE_PURCHASE
    if kind == "game" and is_ours(games):
        kinds = {True: ProofKind.WEB_PURCHASE, False: ProofKind.PURCHASE}
        return kinds.get(row.get("donation", False), "unclear")
    return "unclear"


@given(st.lists(_row, max_size=5))
def test_any_purchases_are_read(rows: list[dict[str, Any]]) -> None:
    """Rows prove ownership one by one; a list is a no only if all of its rows are clear."""
    expected = [oracle(row) for row in rows]
    proven = [each for each in expected if isinstance(each, ProofKind)]

    if not proven and "unclear" in expected:
        with pytest.raises(SourceProtocolError):
            kinds(*rows)
    else:
        assert sorted(kinds(*rows)) == sorted(proven)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "key", "game_id", "owner", "status", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(_json)
def test_any_json_is_read_or_is_a_protocol_error(value: object) -> None:
    """Any JSON is read or raises `SourceProtocolError`."""
    for read in (
        lambda: read_user(value),
        lambda: read_download_key({"download_key": value}),
        lambda: read_purchases({"purchases": value}, GAME),
        lambda: read_games({"games": value}),
    ):
        try:
            read()
        except SourceProtocolError as error:
            assert error.detail  # noqa: PT017 - most values are refused, which is as good
