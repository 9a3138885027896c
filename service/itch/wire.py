"""The bodies of the store's answers, read strictly where they prove something, and tolerantly elsewhere.

Empty lists arrive as `{}` (itchio/itch.io #1301), absent fields are left out, and `game_id` may be a list. A row that
cannot be understood is never counted as absent: it may be the one that proves ownership.
"""

from typing import Final

from msgspec import Struct

from service.errors import SourceProtocolError
from service.itch.classification import JsonObject
from service.itch.dialect import read_date
from service.ownership import LARGEST_ID, GameId, Player, PlayerId, Proof, ProofKind


class WireUser(Struct, frozen=True):
    """A user as `/profile` and a key's `owner` show them."""

    player: Player
    press: bool


class WireKey(Struct, frozen=True):
    """A download key as the store shows it; `owner` is None until it is claimed."""

    text: str
    game_id: int
    proof: Proof
    owner: Player | None


class WireGame(Struct, frozen=True):
    """One of the games that a key can see."""

    id: GameId
    title: str
    url: str

    @property
    def slug(self) -> str:
        """The last part of the game's address."""
        return self.url.rstrip("/").rpartition("/")[2]


def read_user(value: object) -> WireUser:
    """Return a user. Raises `SourceProtocolError` when there is none with a usable id."""
    if not isinstance(value, dict) or (number := read_id(value.get("id"))) is None:
        raise SourceProtocolError("a user without a usable id")
    player = Player(PlayerId(number), read_text(value.get("username")), read_text(value.get("display_name")))
    return WireUser(player, value.get("press_user") is True)


def read_download_key(body: JsonObject) -> WireKey:
    """Return the one key of a `download_keys` answer. Raises `SourceProtocolError` when there is no usable one."""
    value = body.get("download_key")
    if not isinstance(value, dict):
        raise SourceProtocolError("neither a download key nor an error")
    text, game_id = value.get("key"), read_id(value.get("game_id"))
    if not isinstance(text, str) or game_id is None:
        raise SourceProtocolError("a download key without its text or its game")
    owner = value.get("owner")
    proof = Proof(ProofKind.DOWNLOAD_KEY, read_id(value.get("id")), read_date(value.get("created_at")))
    return WireKey(text, game_id, proof, read_user(owner).player if owner not in (None, {}, []) else None)


def read_purchases(body: JsonObject, game_id: GameId) -> tuple[Proof, ...]:
    """Return the proofs in a `purchases` answer for this game.

    Raises `SourceProtocolError` when nothing proves it and a row cannot be understood, or is about another game.
    """
    rows = read_list(body.get("purchases"))
    if rows is None:
        raise SourceProtocolError("neither purchases nor an error")
    proofs: list[Proof] = []
    unclear: SourceProtocolError | None = None
    for row in rows:
        try:
            proof = _proof(row, game_id)
        except SourceProtocolError as error:
            unclear = error
            continue
        if proof is not None:
            proofs.append(proof)
    if not proofs and unclear is not None:
        raise unclear
    return tuple(sorted(proofs, key=lambda proof: _STRENGTH.index(proof.kind)))


def read_games(body: JsonObject) -> list[WireGame]:
    """Return the games that a key can see. Raises `SourceProtocolError` when the list cannot be read."""
    rows = read_list(body.get("games"))
    if rows is None:
        raise SourceProtocolError("neither games nor an error")
    games = []
    for row in rows:
        number = read_id(row.get("id")) if isinstance(row, dict) else None
        if not isinstance(row, dict) or number is None:
            raise SourceProtocolError("a game without a usable id")
        games.append(WireGame(GameId(number), read_text(row.get("title")) or "", read_text(row.get("url")) or ""))
    return games


def read_owns(body: JsonObject) -> bool:
    """Return whether the player owns the game. Raises `SourceProtocolError` for all but `{"owns": true or false}`."""
    owns = body.get("owns")
    if not isinstance(owns, bool) or len(body) != 1:
        raise SourceProtocolError("neither that the player owns the game nor that not")
    return owns


def read_latest(body: JsonObject) -> str | None:
    """Return the newest version of a channel, None for one that has none. Raises `SourceProtocolError`."""
    value = body.get("latest", "")
    if not isinstance(value, str) or len(value) > _LONGEST_VERSION or not value.isprintable():
        raise SourceProtocolError("a version that is no short text")
    return value or None


_LONGEST_VERSION: Final = 128
_STRENGTH: Final = (ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE, ProofKind.WEB_PURCHASE)


def _proof(row: object, game_id: GameId) -> Proof | None:
    """Return the proof of one purchase, None for one that by its nature proves nothing about the base game."""
    if not isinstance(row, dict):
        raise SourceProtocolError("a purchase that is no object")
    status = row.get("status", "complete")
    if not isinstance(status, str):
        raise SourceProtocolError("a purchase of which it is unclear whether it is complete")
    if status != "complete" or row.get("purchase_type") == "sub_product":
        return None
    games = row.get("game_id")
    number, acquired_at = read_id(row.get("id")), read_date(row.get("created_at"))
    match row.get("purchase_type", "game"):
        case "game" if read_id(games) == game_id:
            kind = ProofKind.WEB_PURCHASE if _is_donation(row) else ProofKind.PURCHASE
            return Proof(kind, number, acquired_at)
        case "bundle" if game_id in [
            read_id(one) for one in (read_list(games) if read_id(games) is None else [games]) or []
        ]:
            return Proof(ProofKind.BUNDLE_PURCHASE, number, acquired_at)
        case _:
            raise SourceProtocolError("a purchase of an unknown type, or of another game")


def _is_donation(row: JsonObject) -> bool:
    donation = row.get("donation", False)
    if not isinstance(donation, bool):
        raise SourceProtocolError("a purchase of which it is unclear whether it is a donation")
    return donation


def read_list(value: object) -> list[object] | None:
    """Return a list, None for anything that is none; an empty one arrives as `{}`."""
    if value == {}:
        return []
    return value if isinstance(value, list) else None


def read_id(value: object) -> int | None:
    """Return an id: an integer, or the digits of one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:  # noqa: PLR2004 - 2^53
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
        return None
    return value


def read_text(value: object) -> str | None:
    """Return a text, None for anything that is none."""
    return value if isinstance(value, str) else None
