"""Callers: each is known by the SHA-256 of its token, and has the rights that the operator gave it."""

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service.errors import NotAuthenticated, NotPermitted
from service.limits.caller_limits import CallerBounds, CallerLimits
from service.ownership import GameId
from service.rights import Right

TOKEN_PREFIX: Final = "ogw_"  # noqa: S105 - the recognisable part of every token, for secret scanners
_SCHEME: Final = b"bearer "
_LONGEST_HEADER: Final = 512


class Caller(Struct, frozen=True):
    """A game server. `games` is None for all; without `limits` it is not limited.

    The limits are those of its name: they stay when the configuration is another, which may give it other `bounds`.
    """

    name: str
    rights: frozenset[Right]
    games: frozenset[GameId] | None = None
    limits: CallerLimits | None = None
    bounds: CallerBounds | None = None

    def require(self, *rights: Right) -> None:
        """Raise `NotPermitted`, which names the first that is missing, unless the caller has all of these rights."""
        for right in rights:
            if right not in self.rights:
                raise NotPermitted(f"the right {right}")

    def require_any(self, *rights: Right) -> None:
        """Raise `NotPermitted`, which names them, unless the caller has one of these rights."""
        if self.rights.isdisjoint(rights):
            raise NotPermitted(f"the right {' or '.join(rights)}")

    def require_game(self, game_id: GameId) -> None:
        """Raise `NotPermitted` unless the caller may ask about the game."""
        if self.games is not None and game_id not in self.games:
            raise NotPermitted("this game")

    def ask(self) -> None:
        """Spend one question. Raises `TooManyQuestions` when the caller is over its rate."""
        if self.limits is not None:
            self.limits.ask()


LOCAL_CALLER: Final = Caller("local", frozenset(Right))
"""The caller of a gateway without configured callers, which listens on loopback or a Unix socket only."""


class CallerDirectory:
    """All callers, by the digest of their token. An empty directory knows only the local caller."""

    def __init__(self, callers: Iterable[tuple[bytes, Caller]]) -> None:
        self._callers = dict(callers)

    def __bool__(self) -> bool:
        """Whether any caller is configured."""
        return bool(self._callers)

    def limits(self) -> dict[str, CallerLimits]:
        """Return the limits of each caller, by its name."""
        return {caller.name: caller.limits for caller in self._callers.values() if caller.limits is not None}

    def identify(self, authorization: bytes | None) -> Caller:
        """Return the caller with this `Authorization` header. Raises `NotAuthenticated` if its token is unknown."""
        if not self._callers:
            return LOCAL_CALLER
        if authorization is None or len(authorization) > _LONGEST_HEADER:
            raise NotAuthenticated
        scheme, token = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
        if scheme.lower() != _SCHEME:
            raise NotAuthenticated(
                'the Authorization header lacks the scheme: expected "Bearer", a space, and the token'
            )
        return self.of_token(token)

    def of_token(self, token: bytes) -> Caller:
        """Return the caller with this token. Raises `NotAuthenticated` if it is unknown."""
        # Looked up, not compared with each: the time tells at most something about a digest, whose sender cannot choose
        # it and knows it already, and nothing about a token; and a stranger costs the same with any number of callers.
        caller = self._callers.get(hashlib.sha256(token.strip(b" ")).digest())
        if caller is None:
            raise NotAuthenticated
        if caller.limits is not None and caller.bounds is not None:
            caller.limits.keep_to(caller.bounds)
        return caller
