"""The closed sets of labels, and which of their combinations there can be.

A counter that exists before its first event lets `rate()` see that event, and makes the number of series a constant.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import product
from typing import Final

from service.ownership import CacheTier, Method, Outcome, Reason

OTHER: Final = "other"
"""The label of a game that is neither configured nor learned, and of words outside a closed set."""


class SourceEndpoint(StrEnum):
    """Endpoints of the store, as labels."""

    PROFILE = "profile"
    GAMES = "games"
    CREDENTIALS = "credentials"
    DOWNLOAD_KEYS = "download_keys"
    PURCHASES = "purchases"


class SourceResult(StrEnum):
    """Results of requests to the store, as labels."""

    OK = "ok"
    NO = "no"
    """The store knows of no key or purchase."""
    REFUSED = "refused"
    """The store refused the player's credential."""
    CREDENTIAL = "credential"
    """The store refused our own key."""
    NOT_ACCESSIBLE = "not_accessible"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    PROTOCOL = "protocol"
    GATEWAY = "gateway"
    """The gateway's own trouble: the store was not asked, or not heard."""


class RefusalCause(StrEnum):
    """Causes for turning a caller away before its question was looked at."""

    NOT_AUTHENTICATED = "not_authenticated"
    NOT_PERMITTED = "not_permitted"
    RATE = "rate"
    FAILED_KEYS = "failed_keys"
    OVERLOADED = "overloaded"
    BAD_QUESTION = "bad_question"
    BAD_REQUEST = "bad_request"
    """Bytes that are no HTTP request, or one that did not arrive whole in time."""
    BODY_TOO_LARGE = "body_too_large"
    UNKNOWN_GAME = "unknown_game"


class InvalidationKind(StrEnum):
    """The origin of an invalidation: an operator, or a no that replaced a remembered yes."""

    INVALIDATED = "invalidated"
    OVERRULED = "overruled"


class JoinScope(StrEnum):
    """The holder of the look-up that a question joined: this process, or another replica."""

    PROCESS = "process"
    CLUSTER = "cluster"


_WITHOUT_A_KEY: Final = frozenset({Method.JWT, Method.EMAIL, Method.USER})
_KNOWN_PLAYER: Final = frozenset({Method.JWT, Method.USER})

_METHODS_OF: Final[dict[Reason, frozenset[Method]]] = {
    # Who shows a key is asked about that key alone; purchases are looked up by player or address.
    Reason.PURCHASE: _WITHOUT_A_KEY,
    Reason.BUNDLE_PURCHASE: _WITHOUT_A_KEY,
    Reason.WEB_PURCHASE: _WITHOUT_A_KEY,
    Reason.INVALID_DOWNLOAD_KEY: frozenset({Method.DOWNLOAD_KEY}),
    # A grant is about a player; a ban also meets the owner of a key, see `policy.decide`.
    Reason.SELLER_ACCOUNT: _KNOWN_PLAYER,
    Reason.OPERATOR_GRANT: _KNOWN_PLAYER,
    Reason.PRESS: frozenset({Method.JWT}),
    Reason.MALFORMED_DOWNLOAD_KEY: frozenset({Method.DOWNLOAD_KEY}),
    Reason.TEMPORARY_DOWNLOAD_LINK: frozenset({Method.DOWNLOAD_KEY}),
    Reason.BUNDLE_LINK: frozenset({Method.DOWNLOAD_KEY}),
    Reason.MALFORMED_JWT: frozenset({Method.JWT}),
    Reason.EXPIRED_JWT: frozenset({Method.JWT}),
    Reason.REFUSED_JWT: frozenset({Method.JWT}),
    Reason.API_KEY_NOT_ACCEPTED: frozenset({Method.JWT}),
    Reason.EMAIL_NOT_VERIFIED: frozenset({Method.EMAIL}),
}
"""With which methods a reason can occur; a reason that is not here occurs with all of them."""

_BY_SHAPE: Final = frozenset(
    {
        Reason.MALFORMED_DOWNLOAD_KEY,
        Reason.TEMPORARY_DOWNLOAD_LINK,
        Reason.BUNDLE_LINK,
        Reason.MALFORMED_JWT,
        Reason.API_KEY_NOT_ACCEPTED,
        Reason.EMAIL_NOT_VERIFIED,
    }
)
"""Refused without a look-up, so no tier had a part in it."""


def possible(method: Method, reason: Reason, cache: CacheTier) -> bool:
    """Whether a decision with these labels can be made at all."""
    if method not in _METHODS_OF.get(reason, Method):
        return False
    return cache is CacheTier.NONE or not _needs_no_evidence(method, reason)


def possible_decisions() -> Iterator[tuple[Method, Reason, CacheTier]]:
    """Yield the labels of every decision that can be made about one game."""
    for method in Method:
        for reason in Reason:
            for cache in CacheTier:
                if possible(method, reason, cache):
                    yield method, reason, cache


def possible_source_requests() -> Iterator[tuple[str, str]]:
    """Yield endpoint and result of every request to the store that there can be."""
    about_a_game = {SourceEndpoint.DOWNLOAD_KEYS, SourceEndpoint.PURCHASES}
    for endpoint, result in product(SourceEndpoint, SourceResult):
        if result in {SourceResult.NO, SourceResult.NOT_ACCESSIBLE} and endpoint not in about_a_game:
            continue
        if result is SourceResult.REFUSED and endpoint is not SourceEndpoint.PROFILE:  # whose a JWT is
            continue
        yield endpoint, result


def possible_cache_operations() -> Iterator[tuple[str, str, str]]:
    """Yield tier, operation and result of every cache operation that there can be."""
    yield from product(["memory"], ["get"], ["hit", "miss"])
    yield from product(["memory"], ["put"], ["stored", "superseded"])
    yield from product(["redis"], ["get"], ["hit", "miss", "failed", "skipped", "rejected"])
    yield from product(["redis"], ["put"], ["stored", "superseded", "failed", "skipped", "dropped"])


def _needs_no_evidence(method: Method, reason: Reason) -> bool:
    if reason in _BY_SHAPE or reason.outcome is Outcome.UNKNOWN:
        return True
    # The operator's word about a user id rests on nothing; about a JWT, on whose it is; about a key, on its owner.
    return method is Method.USER and reason.outcome in (Outcome.GRANTED, Outcome.BANNED)
