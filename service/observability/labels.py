"""The closed sets of labels, and which of their combinations there can be.

A counter that exists before its first event lets `rate()` see that event.
"""

from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from itertools import product
from typing import Final, TypeAlias

from service.ownership import Method, Reason

Methods: TypeAlias = Collection[Method]

OTHER: Final = "other"
"""The label of a game that is neither configured nor learned, and of words outside a closed set."""


# Bounds, not more: a histogram child is a series per bucket. Below 2 ms lie answers from memory and Redis.
DECISION_BUCKETS: Final = (0.0001, 0.0005, 0.002, 0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 3.5, 5.0)
SOURCE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)


class SourceEndpoint(StrEnum):
    """Endpoints of the store, as labels."""

    PROFILE = "profile"
    GAMES = "games"
    CREDENTIALS = "credentials"
    DOWNLOAD_KEYS = "download_keys"
    PURCHASES = "purchases"
    LATEST = "latest"
    OWNERSHIP = "ownership"
    HUB = "hub"
    """The one endpoint of a relay."""


USUAL_ENDPOINTS: Final = (
    SourceEndpoint.PROFILE,
    SourceEndpoint.GAMES,
    SourceEndpoint.CREDENTIALS,
    SourceEndpoint.DOWNLOAD_KEYS,
    SourceEndpoint.PURCHASES,
)
"""Those that every gateway asks; the others belong to what is configured."""

OF_A_RELAY: Final = (SourceEndpoint.HUB,)


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
    """A game, or a channel of one, that is not configured."""
    UNKNOWN_DECISION = "unknown_decision"
    UNKNOWN_OVERRIDE = "unknown_override"
    TOO_MANY_OVERRIDES = "too_many_overrides"
    FORWARD_AUTH = "forward_auth"
    """A proxy, or a policy, that is not known."""
    NO_CREDENTIAL = "no_credential"
    """A player at a proxy without the one credential that the policy demands."""


FORWARD_AUTH_CAUSES: Final = (RefusalCause.FORWARD_AUTH, RefusalCause.NO_CREDENTIAL)
"""The causes that there are only where proxies ask."""

USUAL_CAUSES: Final[tuple[RefusalCause, ...]] = tuple(
    cause for cause in RefusalCause if cause not in FORWARD_AUTH_CAUSES
)


class InvalidationKind(StrEnum):
    """The origin of an invalidation: an operator, or a no that replaced a remembered yes."""

    INVALIDATED = "invalidated"
    OVERRULED = "overruled"


class BugPlace(StrEnum):
    """The work that a bug ended: a request, which got 500, or work that no request waits for alone."""

    REQUEST = "request"
    BACKGROUND = "background"


class JoinScope(StrEnum):
    """The holder of the look-up that a question joined: this process, or another replica."""

    PROCESS = "process"
    CLUSTER = "cluster"


def possible_results(endpoint: SourceEndpoint) -> Iterator[SourceResult]:
    """Yield every result that a request to this endpoint can have."""
    for result in SourceResult:
        endpoints = _ENDPOINTS_OF.get(result)
        if endpoints is None or endpoint in endpoints:
            yield result


_ABOUT_PLAYERS: Final = {SourceEndpoint.DOWNLOAD_KEYS, SourceEndpoint.PURCHASES}
_ENDPOINTS_OF: Final = {
    SourceResult.NO: _ABOUT_PLAYERS,
    SourceResult.REFUSED: {SourceEndpoint.PROFILE, SourceEndpoint.OWNERSHIP},
    SourceResult.CREDENTIAL: {*USUAL_ENDPOINTS, *OF_A_RELAY},
    SourceResult.NOT_ACCESSIBLE: {*_ABOUT_PLAYERS, SourceEndpoint.LATEST, SourceEndpoint.HUB},
}
"""The endpoints that alone can have a result; those that are not here all can."""


def usual_reasons(*, without: Iterable[Method]) -> list[Reason]:
    """Return the reasons that are shown from the start, where these methods are off."""
    seldom = {Reason.SHARED_DOWNLOAD_KEY, Reason.ISSUER_UNAVAILABLE}.union(*(_REASONS_OF[method] for method in without))
    return [reason for reason in Reason if reason not in seldom]


_REASONS_OF: Final = {
    Method.PASS: {Reason.MALFORMED_PASS, Reason.EXPIRED_PASS, Reason.REFUSED_PASS},
    Method.ACCESS_TOKEN: {Reason.MALFORMED_ACCESS_TOKEN, Reason.REFUSED_ACCESS_TOKEN},
}
"""The reasons of methods that are off until they are configured."""

OFF_AT_FIRST: Final = tuple(_REASONS_OF)
"""Those methods."""


def possible_cache_operations() -> Iterator[tuple[str, str, str]]:
    """Yield tier, operation and result of every cache operation that there can be."""
    yield from product(["memory"], ["get"], ["hit", "miss"])
    yield from product(["memory"], ["put"], ["stored", "superseded"])
    yield from product(["redis"], ["get"], ["hit", "miss", "failed", "skipped", "rejected"])
    yield from product(["redis"], ["put"], ["stored", "superseded", "failed", "skipped", "dropped"])
