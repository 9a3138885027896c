"""A world from a file: read, checked as a whole, and every mistake named."""

from collections.abc import Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from service.errors import SettingsError
from service.sandbox.bodies import pointer_in
from service.sandbox.world_content import (
    DEFAULT_SELLER_ID,
    Account,
    Channel,
    Game,
    Id,
    KeyRecord,
    Purchase,
    PurchaseKind,
    WorldContent,
)

LARGEST_FILE: Final = 10_000_000
MOST_RECORDS: Final = 100_000
_MOST_MISTAKES: Final = 20

T = TypeVar("T")


class _Lists(Struct, forbid_unknown_fields=True):
    """The world with its records unread, so that each of them is read for itself."""

    seller_id: Id = DEFAULT_SELLER_ID
    users: list[Raw] = field(default_factory=list)
    games: list[Raw] = field(default_factory=list)
    keys: list[Raw] = field(default_factory=list)
    purchases: list[Raw] = field(default_factory=list)
    channels: list[Raw] = field(default_factory=list)


def read_world(file: Path, *, configured: AbstractSet[int] = frozenset()) -> WorldContent:
    """Return the world in a file of JSON. Raises `SettingsError` with a line for each mistake.

    Its keys and purchases may name the games in it, and those that are `configured`.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SettingsError([f"the world in {file} cannot be read: {error.strerror}"]) from None
    if len(text) > LARGEST_FILE:
        raise SettingsError([f"the world in {file} is larger than {LARGEST_FILE} bytes"])
    reading = _Reading(configured)
    content = reading.read(text)
    if reading.mistakes:
        lines = [f"{file}: {mistake}" for mistake in reading.mistakes[:_MOST_MISTAKES]]
        more = len(reading.mistakes) - len(lines)
        raise SettingsError([*lines, *([f"{file}: {more} more mistakes"] if more else [])])
    return content


class _Reading:
    def __init__(self, configured: AbstractSet[int]) -> None:
        self._configured = configured
        self.mistakes: list[str] = []

    def read(self, text: bytes) -> WorldContent:
        """Return what could be read; `mistakes` says what could not."""
        try:
            lists = msgspec.json.decode(text, type=_Lists)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.mistakes.append(_line("", error))
            return WorldContent()
        count = sum(map(len, (lists.users, lists.games, lists.keys, lists.purchases, lists.channels)))
        if count > MOST_RECORDS:
            self.mistakes.append(f"it has {count} records: {MOST_RECORDS} are allowed")
            return WorldContent()
        content = WorldContent(
            seller_id=lists.seller_id,
            accounts=tuple(self._records("/users", lists.users, Account)),
            games=tuple(self._records("/games", lists.games, Game)),
            keys=tuple(self._records("/keys", lists.keys, KeyRecord)),
            purchases=tuple(self._records("/purchases", lists.purchases, Purchase)),
            channels=tuple(self._records("/channels", lists.channels, Channel)),
        )
        if not self.mistakes:
            self.mistakes.extend(_contradictions(content, self._configured))
        return content

    def _records(self, at: str, records: list[Raw], kind: type[T]) -> Iterator[T]:
        for index, record in enumerate(records):
            try:
                yield msgspec.json.decode(record, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.mistakes.append(_line(f"{at}/{index}", error))


def _line(at: str, error: Exception) -> str:
    said = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return f"{at + pointer_in(said) or '/'}: {said.partition(' - at ')[0]}"


def _contradictions(content: WorldContent, configured: AbstractSet[int]) -> Iterator[str]:
    """Yield a line for each id that exists twice, and for each game or purchase that is named and not there."""
    yield from _twice("/users", "id", (account.id for account in content.accounts))
    yield from _twice("/users", "username", (account.username for account in content.accounts))
    addresses = [
        (index, email.casefold()) for index, account in enumerate(content.accounts) for email in account.emails
    ]
    yield from _twice("/users", "emails", (email for _, email in addresses), [index for index, _ in addresses])
    yield from _twice("/games", "id", (game.id for game in content.games))
    yield from _twice("/games", "slug", ((game.seller_id, game.slug) for game in content.games))
    yield from _twice("/keys", "key", (key.text for key in content.keys))
    yield from _twice("/keys", "id", (key.id or None for key in content.keys))
    yield from _twice("/purchases", "purchase_id", (purchase.id or None for purchase in content.purchases))
    yield from _twice("/channels", "channel", ((one.game_id, one.channel) for one in content.channels))
    games = {game.id for game in content.games} | configured
    purchases = {purchase.id for purchase in content.purchases}
    for index, key in enumerate(content.keys):
        if key.game_id not in games:
            yield f"/keys/{index}/game_id: there is no such game"
        if key.purchase_id is not None and key.purchase_id not in purchases:
            yield f"/keys/{index}/purchase_id: there is no such purchase"
    for index, channel in enumerate(content.channels):
        if channel.game_id not in games:
            yield f"/channels/{index}/game_id: there is no such game"
    for index, purchase in enumerate(content.purchases):
        if not games.issuperset(purchase.game_ids):
            yield f"/purchases/{index}/game_id: there is no such game"
        if len(purchase.game_ids) > 1 and purchase.kind is not PurchaseKind.BUNDLE:
            yield f"/purchases/{index}/game_id: only a bundle holds several games"
        if not purchase.email and purchase.user_id is None:
            yield f"/purchases/{index}: a purchase needs an email or a user_id"


def _twice(at: str, field_name: str, values: Iterable[Hashable], indexes: list[int] | None = None) -> Iterator[str]:
    """Yield a line for each value that was there before; None is no value."""
    first: dict[Hashable, int] = {}
    for number, value in enumerate(values):
        index = number if indexes is None else indexes[number]
        if value is not None and first.setdefault(value, index) != index:
            yield f"{at}/{index}/{field_name}: the same as in {at}/{first[value]}"
