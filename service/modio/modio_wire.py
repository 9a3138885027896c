"""The bodies of mod.io's answers: read by structs that name only what is used, so that large mods cost little.

A row proves that a mod is owned. That one is not is proven only by a list that is complete.
"""

from collections.abc import Collection
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from service.errors import SourceProtocolError
from service.ownership import LARGEST_ID, Player, PlayerId
from service.products import ModioGame, Product

T = TypeVar("T")


class WireModioUser(Struct, frozen=True):
    """A user as `/me` shows them; `gone` says that the account is deleted or banned."""

    player: Player
    gone: bool


class WirePurchases(Struct, frozen=True):
    """The asked products that are listed, those that are certainly not, and those about which that is unclear."""

    owned: frozenset[Product]
    not_owned: frozenset[Product]
    unclear: frozenset[Product]


class _User(Struct, frozen=True):
    id: int
    status: int | None = None
    username: object = None
    name_id: object = None


class _Row(Struct, frozen=True):
    id: int
    game_id: int


class _Page(Struct, frozen=True):
    data: list[_Row]
    result_count: int | None = None
    result_offset: int | None = None
    result_total: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything that there is stands in it, by its own counts."""
        return self.result_offset == 0 and len(self.data) == self.result_count == self.result_total

    @property
    def lies(self) -> bool:
        """Whether it contradicts its own counts."""
        listed, offset = len(self.data), self.result_offset or 0
        wrong_count = self.result_count is not None and self.result_count != listed
        wrong_total = self.result_total is not None and self.result_total < offset + listed
        return wrong_count or wrong_total or offset < 0 or len({row.id for row in self.data}) != listed


_GONE: Final = frozenset({3, 4})
"""Statuses of users: 3 is deleted, 4 is banned."""


def read_user(body: bytes) -> WireModioUser:
    """Return a user. Raises `SourceProtocolError` when there is none with a usable id."""
    user = _decode(body, _User)
    if not 1 <= user.id <= LARGEST_ID:
        raise SourceProtocolError("a user without a usable id")
    player = Player(PlayerId(user.id), username=_text(user.name_id), display_name=_text(user.username))
    return WireModioUser(player, user.status in _GONE)


def read_purchases(body: bytes, game: ModioGame, asked: Collection[Product]) -> WirePurchases:
    """Return what a list of purchases says about these products; rows of others are ignored.

    Raises `SourceProtocolError` when the list cannot be read, or contradicts its own counts.
    """
    page = _decode(body, _Page)
    if page.lies:
        raise SourceProtocolError("a list of purchases that contradicts its own counts")
    game_of = {row.id: row.game_id for row in page.data}
    owned = frozenset(product for product in asked if game_of.get(product) == game)
    others = frozenset(product for product in asked if product in game_of) - owned
    absent = frozenset(asked) - owned - others
    if page.is_complete:
        return WirePurchases(owned, not_owned=absent, unclear=others)
    return WirePurchases(owned, not_owned=frozenset(), unclear=others | absent)


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # `from None`: the text of the cause says what stood in the body.
        raise SourceProtocolError("the answer has not the form that is expected") from None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
