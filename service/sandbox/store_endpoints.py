"""The store's endpoints: their addresses in both dialects, and a pure step from a request and the world to an answer.

Where itch.io's documentation gives an error string but no status, the status here is our guess; the gateway decides
by the string.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, assert_never

from msgspec import Struct

from service.ownership import LARGEST_ID
from service.sandbox import jwts
from service.sandbox.store_answers import (
    Json,
    SandboxAnswer,
    StoreDialect,
    StoreRefusalError,
    listed,
    say,
    show_account,
    show_game,
    show_key,
    show_purchase,
    show_upload,
)
from service.sandbox.world import World
from service.sandbox.world_content import Account, Game, PurchaseKind


class StoreEndpoint(StrEnum):
    """An endpoint of the store, in either dialect."""

    PROFILE = "profile"
    GAMES = "games"
    CREDENTIALS = "credentials"
    DOWNLOAD_KEYS = "download_keys"
    PURCHASES = "purchases"
    LATEST = "latest"
    UPLOADS = "uploads"
    OWNERSHIP = "ownership"


class Expects(Enum):
    """The credential that an address is for."""

    EITHER = "either"
    KEY = "key"
    JWT = "jwt"
    IN_PATH = "in_path"
    NONE = "none"


class Place(Struct, frozen=True):
    """An address of the store. `shown` is the path as it may be recorded: without a key that is part of it."""

    dialect: StoreDialect
    shown: str
    endpoint: StoreEndpoint | None = None
    expects: Expects = Expects.EITHER
    game: str | None = None
    refused_version: str | None = None


_PLACES: Final = {
    StoreDialect.CURRENT: {
        "profile": StoreEndpoint.PROFILE,
        "profile/games": StoreEndpoint.GAMES,
        "credentials/info": StoreEndpoint.CREDENTIALS,
        "wharf/latest": StoreEndpoint.LATEST,
    },
    StoreDialect.SERVER_SIDE: {
        "me": StoreEndpoint.PROFILE,
        "my-games": StoreEndpoint.GAMES,
        "credentials/info": StoreEndpoint.CREDENTIALS,
        "wharf/latest": StoreEndpoint.LATEST,
    },
}
_GAME_PLACES: Final = {
    StoreDialect.CURRENT: re.compile(r"games/([^/]+)/(download_keys|purchases|uploads|ownership)"),
    StoreDialect.SERVER_SIDE: re.compile(r"game/([^/]+)/(download_keys|purchases|uploads)"),
}


def find_place(path: str) -> Place:
    """Return the address of a path; an unknown one has neither endpoint nor refused version."""
    path = path.strip("/")
    match path.split("/", 3):
        case ["api", version, credential, *rest]:
            return _find_server_side(version, credential, "".join(rest))
        case _:
            endpoint, game = _find_endpoint(StoreDialect.CURRENT, path)
            return Place(StoreDialect.CURRENT, f"/{path}", endpoint, Expects.EITHER, game)


def _find_server_side(version: str, credential: str, rest: str) -> Place:
    expects = {"key": Expects.KEY, "jwt": Expects.JWT, "x": Expects.NONE}.get(credential, Expects.IN_PATH)
    shown = f"/api/{version}/{'***' if expects is Expects.IN_PATH else credential}/{rest}"
    if version != "1":
        return Place(StoreDialect.SERVER_SIDE, shown, refused_version=version)
    endpoint, game = _find_endpoint(StoreDialect.SERVER_SIDE, rest)
    return Place(StoreDialect.SERVER_SIDE, shown, endpoint, expects, game)


def _find_endpoint(dialect: StoreDialect, path: str) -> tuple[StoreEndpoint | None, str | None]:
    if about_game := _GAME_PLACES[dialect].fullmatch(path):
        return StoreEndpoint(about_game[2]), about_game[1]
    return _PLACES[dialect].get(path), None


_SCOPE_OF: Final = {
    StoreEndpoint.PROFILE: "profile:me",
    StoreEndpoint.GAMES: "profile:games",
    StoreEndpoint.DOWNLOAD_KEYS: "game:view:purchases",
    StoreEndpoint.PURCHASES: "game:view:purchases",
    StoreEndpoint.OWNERSHIP: "game:view:ownership",
}
_JWT_SCOPES: Final = ("profile:me",)
_JWT_PARTS: Final = 3
_UNSCOPED: Final = ("profile", "game")
"""The scopes of an unscoped key: everything. The way in which itch.io lists that is our guess."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")


class StoreRequest(Struct, frozen=True):
    """The parts of a request that matter to the store. `authorization` is the header's value."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    authorization: str | None = None


class _Asker(Struct, frozen=True):
    """The account and the scopes of a credential."""

    account: Account
    scopes: tuple[str, ...]
    expires_at: datetime | None = None
    application_of: int | None = None
    """The account whose application the token was given to, None for all that is no access token."""

    def may(self, scope: str) -> bool:
        """Whether a scope, or one above it, was given."""
        return any(scope == given or scope.startswith(f"{given}:") for given in self.scopes)


class StandInStore:
    """A store that answers like itch.io from the world as it is; a refusal is an answer too, never an exception."""

    def __init__(self, *, world: World, now: Callable[[], datetime]) -> None:
        self._world = world
        self._now = now

    def answer(self, request: StoreRequest, *, deny: bool = False, key_revoked: bool = False) -> SandboxAnswer:
        """Answer a request: 1. is there such an endpoint, 2. who asks, 3. may they, 4. about which game, 5. what.

        With `deny` no player owns anything, with `key_revoked` no key of the seller's counts.
        """
        place = find_place(request.path)
        try:
            # 1.
            endpoint = _endpoint_of(place, request.method)
            # 2.
            asker = self._asker(place, request.authorization, key_revoked=key_revoked)
            # 3.
            scope = _SCOPE_OF.get(endpoint)
            if scope is not None and not asker.may(scope):
                raise StoreRefusalError(f"api key does not permit `{scope}`", status=403)
            # 4. and 5.
            return say(self._content(place, endpoint, asker, dict(request.query), deny=deny))
        except StoreRefusalError as refusal:
            return place.dialect.refuse(refusal)

    def _content(
        self, place: Place, endpoint: StoreEndpoint, asker: _Asker, query: Mapping[str, str], *, deny: bool
    ) -> dict[str, Json]:
        match endpoint:
            case StoreEndpoint.PROFILE:
                return {"user": show_account(asker.account)}
            case StoreEndpoint.GAMES:
                return {"games": listed(self._show_games(asker, place.dialect))}
            case StoreEndpoint.CREDENTIALS:
                return _show_credential(asker, place.dialect)
            case StoreEndpoint.DOWNLOAD_KEYS | StoreEndpoint.PURCHASES:
                find = self._download_key if endpoint is StoreEndpoint.DOWNLOAD_KEYS else self._purchases
                return find(self._game(place, asker), query, place.dialect, deny=deny)
            case StoreEndpoint.LATEST | StoreEndpoint.UPLOADS:
                is_latest = endpoint is StoreEndpoint.LATEST
                return self._latest(query) if is_latest else self._uploads(self._game(place, asker))
            case StoreEndpoint.OWNERSHIP:
                return {"owns": not deny and self._owns(place, asker)}
            case _:
                assert_never(endpoint)

    def _owns(self, place: Place, asker: _Asker) -> bool:
        """Whether the player owns the game: told to an application of the game's creator alone."""
        game = self._world.games.get(_integer("game_id", place.game or ""))
        # The words to others are our guess.
        if game is None or game.seller_id != asker.application_of:
            raise StoreRefusalError("invalid game")
        has_key = self._world.key_claimed_by(game.id, asker.account.id) is not None
        return has_key or bool(self._world.purchases_by(game.id, asker.account.emails))

    def _uploads(self, game: Game) -> dict[str, Json]:
        """Return the files of a game: one for each channel, and nothing else."""
        channels = [one for one in self._world.channels.values() if one.game_id == game.id]
        return {"uploads": listed([show_upload(one, number) for number, one in enumerate(channels, start=1)])}

    def _latest(self, query: Mapping[str, str]) -> dict[str, Json]:
        """Return the newest version of a channel, which everyone is told: nothing where there is none."""
        game = self._world.games.get(_integer("game_id", query.get("game_id", "")))
        if game is None or game.private:
            raise StoreRefusalError("invalid game")
        channel = self._world.channels.get((game.id, query.get("channel_name", "")))
        return {} if channel is None or channel.latest is None else {"latest": channel.latest}

    def _asker(self, place: Place, authorization: str | None, *, key_revoked: bool) -> _Asker:
        if place.endpoint is StoreEndpoint.LATEST:
            return _Asker(self._world.seller, ())  # who asks for it does not matter
        if place.expects is Expects.IN_PATH:
            # A key in the path leaks into logs: the sandbox has none that works there.
            raise StoreRefusalError("invalid key", status=401)
        scheme, _, bearer = (authorization or "").partition(" ")
        bearer = bearer.strip()
        if scheme.lower() != "bearer" or not bearer:
            raise StoreRefusalError("authentication required", status=401)
        if place.expects is Expects.JWT or (place.expects is Expects.EITHER and _looks_like_jwt(bearer)):
            return self._player(bearer)
        if (token := self._world.access_tokens.get(bearer)) is not None:
            return _Asker(self._world.account(token.user_id), token.scopes, application_of=token.application_of)
        state = self._world.seller_keys.get(bearer)
        if state is None or state.revoked or key_revoked:
            raise StoreRefusalError("invalid key", status=401)
        return _Asker(self._world.seller, _UNSCOPED if state.scopes is None else state.scopes)

    def _player(self, bearer: str) -> _Asker:
        try:
            accepted = jwts.read(bearer, now=self._now())
        except jwts.JwtRefusedError as refused:
            raise StoreRefusalError(str(refused), status=401) from None
        if not 1 <= accepted.user_id <= LARGEST_ID:
            raise StoreRefusalError("missing data", status=401)
        return _Asker(self._world.account(accepted.user_id), _JWT_SCOPES, accepted.expires_at)

    def _show_games(self, asker: _Asker, dialect: StoreDialect) -> list[Json]:
        sold = Counter(game_id for purchase in self._world.purchases.values() for game_id in purchase.game_ids)
        return [
            show_game(game, dialect, url=self._world.url_of(game), purchases=sold[game.id])
            for game in self._world.games_of(asker.account)
        ]

    def _game(self, place: Place, asker: _Asker) -> Game:
        number = _integer("game_id", place.game or "")
        game = self._world.games.get(number)
        if game is None:
            raise StoreRefusalError("invalid game_id")
        if game.seller_id != asker.account.id:
            raise StoreRefusalError("invalid game")
        return game

    def _download_key(
        self, game: Game, query: Mapping[str, str], dialect: StoreDialect, *, deny: bool
    ) -> dict[str, Json]:
        if (text := query.get("download_key")) is not None:
            key = self._world.key_named(game.id, text)
            refusal = "invalid download key"
        elif (user_id := query.get("user_id")) is not None:
            key = self._world.key_claimed_by(game.id, _integer("user_id", user_id))
            refusal = "no download key found"
        elif (email := query.get("email")) is not None:
            key = self._world.key_sent_to(game.id, email)
            refusal = "no download key found"
        else:
            raise StoreRefusalError("missing download_key, user_id or email")
        if key is None or deny:
            raise StoreRefusalError(refusal)
        owner = None if key.owner_id is None else self._world.accounts[key.owner_id]
        return {"download_key": show_key(key, owner, dialect)}

    def _purchases(self, game: Game, query: Mapping[str, str], dialect: StoreDialect, *, deny: bool) -> dict[str, Json]:
        if (user_id := query.get("user_id")) is not None:
            account = self._world.accounts.get(_integer("user_id", user_id))
            emails = account.emails if account is not None else ()
        elif (email := query.get("email")) is not None:
            emails = self._world.linked_addresses(email)
        else:
            raise StoreRefusalError("missing email or user_id")
        rows = [
            show_purchase(purchase, dialect)
            for purchase in self._world.purchases_by(game.id, emails)
            # The older API has no word for what kind of purchase it is, and knows only games.
            if not deny and (dialect is StoreDialect.CURRENT or purchase.kind is PurchaseKind.GAME)
        ]
        return {"purchases": listed(rows)}


def _endpoint_of(place: Place, method: str) -> StoreEndpoint:
    if place.refused_version is not None:
        raise StoreRefusalError(f"invalid api version: {place.refused_version}", status=404)
    if place.endpoint is None or method != "GET":
        raise StoreRefusalError("invalid api endpoint", status=404)
    return place.endpoint


def _show_credential(asker: _Asker, dialect: StoreDialect) -> dict[str, Json]:
    shown: dict[str, Json] = {"scopes": listed(asker.scopes)}
    if asker.expires_at is not None:
        shown["expires_at"] = dialect.date(asker.expires_at)
    return shown


def _looks_like_jwt(bearer: str) -> bool:
    return len(bearer.split(".")) == _JWT_PARTS


def _integer(name: str, text: str) -> int:
    """Read an id; one that is too large for itch.io cannot exist, so it becomes 0."""
    if not _INTEGER.fullmatch(text):
        raise StoreRefusalError(f"{name} must be an integer")
    number = int(text)
    return number if 0 < number <= LARGEST_ID else 0
