"""The words of the gateway: questions, observations and answers.

An observation is stored by the order of its fields, without their names: a new field goes to the end, with a default,
so that entries that are stored already can still be read.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, NewType, TypeAlias

from msgspec import Struct

from service.secret import Secret

GameId = NewType("GameId", int)
"""An itch.io project, 1 to 2^53-1."""

PlayerId = NewType("PlayerId", int)
"""An itch.io user, 1 to 2^53-1."""

Fingerprint = NewType("Fingerprint", bytes)
"""A keyed hash that names a question, or a credential, without revealing it."""

LARGEST_ID: Final = 2**53 - 1
"""itch.io's ids stay integers in JSON, where larger numbers lose digits (ECMA-262, Number.MAX_SAFE_INTEGER)."""


class Method(StrEnum):
    """The kind of credential that the player presented."""

    DOWNLOAD_KEY = "download_key"
    JWT = "jwt"
    EMAIL = "email"
    USER = "user"
    PASS = "pass"  # noqa: S105 - a method, no secret
    """A decision that this gateway has signed before."""
    ACCESS_TOKEN = "access_token"  # noqa: S105 - as above
    """An OAuth access token of itch.io, as browser games have it."""


class Outcome(StrEnum):
    """The gateway's answer."""

    OWNED = "owned"
    """The store proves it."""
    GRANTED = "granted"
    """The operator's own word: let this player in."""
    NOT_OWNED = "not_owned"
    """The store was asked and said no."""
    BANNED = "banned"
    """The operator's own word: keep this player out."""
    REJECTED = "rejected"
    """The credential itself is no good, which says nothing about ownership."""
    UNKNOWN = "unknown"
    """No usable answer; ask again later."""

    @property
    def allowed(self) -> bool:
        """Whether the caller may grant content."""
        return self is Outcome.OWNED or self is Outcome.GRANTED


class Reason(StrEnum):
    """The reason of an answer: a stable code, always present. Every reason belongs to one outcome, see `outcome`."""

    DOWNLOAD_KEY = "download_key"
    PURCHASE = "purchase"
    BUNDLE_PURCHASE = "bundle_purchase"
    WEB_PURCHASE = "web_purchase"

    SELLER_ACCOUNT = "seller_account"
    OPERATOR_GRANT = "operator_grant"
    PRESS = "press"

    OPERATOR_BAN = "operator_ban"

    INVALID_DOWNLOAD_KEY = "invalid_download_key"
    NO_DOWNLOAD_KEY = "no_download_key"

    MALFORMED_DOWNLOAD_KEY = "malformed_download_key"
    TEMPORARY_DOWNLOAD_LINK = "temporary_download_link"
    BUNDLE_LINK = "bundle_link"
    MALFORMED_JWT = "malformed_jwt"
    EXPIRED_JWT = "expired_jwt"
    REFUSED_JWT = "refused_jwt"
    API_KEY_NOT_ACCEPTED = "api_key_not_accepted"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    MALFORMED_PASS = "malformed_pass"  # noqa: S105 - a reason, no secret
    EXPIRED_PASS = "expired_pass"  # noqa: S105 - as above
    REFUSED_PASS = "refused_pass"  # noqa: S105 - as above
    SHARED_DOWNLOAD_KEY = "shared_download_key"
    MALFORMED_ACCESS_TOKEN = "malformed_access_token"  # noqa: S105 - as above
    REFUSED_ACCESS_TOKEN = "refused_access_token"  # noqa: S105 - as above

    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_RATE_LIMITED = "source_rate_limited"
    SOURCE_PROTOCOL = "source_protocol"
    GATEWAY_CREDENTIAL = "gateway_credential"
    GAME_NOT_ACCESSIBLE = "game_not_accessible"
    NOT_CACHED = "not_cached"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    OVERLOADED = "overloaded"
    ISSUER_UNAVAILABLE = "issuer_unavailable"

    @property
    def outcome(self) -> Outcome:
        """The outcome that this reason explains."""
        return _OUTCOME_OF[self]


_REASONS_OF: Final[dict[Outcome, tuple[Reason, ...]]] = {
    Outcome.OWNED: (Reason.DOWNLOAD_KEY, Reason.PURCHASE, Reason.BUNDLE_PURCHASE, Reason.WEB_PURCHASE),
    Outcome.GRANTED: (Reason.SELLER_ACCOUNT, Reason.OPERATOR_GRANT, Reason.PRESS),
    Outcome.BANNED: (Reason.OPERATOR_BAN,),
    Outcome.NOT_OWNED: (Reason.INVALID_DOWNLOAD_KEY, Reason.NO_DOWNLOAD_KEY),
    Outcome.REJECTED: (
        Reason.MALFORMED_DOWNLOAD_KEY,
        Reason.TEMPORARY_DOWNLOAD_LINK,
        Reason.BUNDLE_LINK,
        Reason.MALFORMED_JWT,
        Reason.EXPIRED_JWT,
        Reason.REFUSED_JWT,
        Reason.API_KEY_NOT_ACCEPTED,
        Reason.EMAIL_NOT_VERIFIED,
        Reason.MALFORMED_PASS,
        Reason.EXPIRED_PASS,
        Reason.REFUSED_PASS,
        Reason.SHARED_DOWNLOAD_KEY,
        Reason.MALFORMED_ACCESS_TOKEN,
        Reason.REFUSED_ACCESS_TOKEN,
    ),
    Outcome.UNKNOWN: (
        Reason.SOURCE_UNAVAILABLE,
        Reason.SOURCE_RATE_LIMITED,
        Reason.SOURCE_PROTOCOL,
        Reason.GATEWAY_CREDENTIAL,
        Reason.GAME_NOT_ACCESSIBLE,
        Reason.NOT_CACHED,
        Reason.DEADLINE_EXCEEDED,
        Reason.OVERLOADED,
        Reason.ISSUER_UNAVAILABLE,
    ),
}
_OUTCOME_OF: Final = {reason: outcome for outcome, reasons in _REASONS_OF.items() for reason in reasons}


class OverrideWord(StrEnum):
    """The operator's word about one player for a while."""

    GRANT = "grant"
    """Let this player in."""
    BAN = "ban"
    """Keep this player out."""

    @property
    def reason(self) -> Reason:
        """The reason of the answers that follow from it, the same as by the configuration."""
        return Reason.OPERATOR_BAN if self is OverrideWord.BAN else Reason.OPERATOR_GRANT


class CacheTier(StrEnum):
    """The source of the evidence for an answer."""

    MEMORY = "memory"
    REDIS = "redis"
    NONE = "none"
    """The store was asked for this answer, or no evidence was needed."""


class Caveat(StrEnum):
    """A warning to the caller about how far an answer can be trusted."""

    SANDBOX = "sandbox"
    """The answer came from the sandbox, not from itch.io."""
    BUNDLE_KEY_MAY_BE_UNCLAIMED = "bundle_key_may_be_unclaimed"
    """Buyers of large bundles have no key until they first open the game on itch.io."""
    EMAIL_MISSES_CLAIMED_KEYS = "email_misses_claimed_keys"
    """itch.io finds purchases by e-mail, but not keys that the account has claimed."""
    REVOCATIONS_HELD = "revocations_held"
    """itch.io says no to too many owners at once to be believed; the answer rests on what it said before."""
    SHARED_DOWNLOAD_KEY = "shared_download_key"
    """As many other players as the operator allows have shown this download key."""
    RECORD_PURCHASE_ID_BEFORE_GRANTING = "record_purchase_id_before_granting"
    """The gateway keeps no record: the same redeem token is good until it ends."""


class DownloadKey(Secret):
    """A well-formed download key; a person who has it can download the game."""

    __slots__ = ()
    method = Method.DOWNLOAD_KEY


class AppJwt(Secret):
    """A well-formed JWT as the itch.io app gives it to a game; nothing in it is verified."""

    __slots__ = ()
    method = Method.JWT
    refused = Reason.REFUSED_JWT


class Mailbox(Secret):
    """An address as the operator's lists have it: in lower case, because mail to any spelling arrives at one person."""

    __slots__ = ()


class AccessToken(Secret):
    """A well-formed OAuth access token of itch.io; it looks like an API key of a person, and has no end."""

    __slots__ = ()
    method = Method.ACCESS_TOKEN
    refused = Reason.REFUSED_ACCESS_TOKEN


class VerifiedEmail(Secret):
    """An address of which the caller, or its identity provider, says that the player controls it."""

    __slots__ = ()
    method = Method.EMAIL

    @property
    def mailbox(self) -> Mailbox:
        """The address by which the operator's word about it is found."""
        return Mailbox(self.reveal().lower())


class AssertedUser(Struct, frozen=True):
    """An itch.io user id of which the caller says that it authenticated the player itself."""

    player_id: PlayerId

    @property
    def method(self) -> Method:
        """The method by which the player was named."""
        return Method.USER


class PassHolder(AssertedUser, frozen=True):
    """The itch.io user whose pass was shown: the gateway has established then that the player is that user."""

    @property
    def method(self) -> Method:
        """The method by which the player was named."""
        return Method.PASS


class Malformed(Struct, frozen=True):
    """The player's credential is malformed, which needs no request to find out."""

    method: Method
    reason: Reason


PlayerToken: TypeAlias = AppJwt | AccessToken
"""By what the source alone can say who the player is."""
Credential: TypeAlias = DownloadKey | PlayerToken | VerifiedEmail | AssertedUser
Subject: TypeAlias = DownloadKey | VerifiedEmail | AssertedUser
"""By what the source can be asked about ownership: a token must first be turned into a player."""


class Player(Struct, frozen=True, array_like=True):
    """The human in question, as far as the store has named them."""

    id: PlayerId
    username: str | None = None
    display_name: str | None = None


class ProofKind(StrEnum):
    """A kind of proof; the operator chooses per game which of them count."""

    DOWNLOAD_KEY = "download_key"
    PURCHASE = "purchase"
    BUNDLE_PURCHASE = "bundle_purchase"
    WEB_PURCHASE = "web_purchase"


class Proof(Struct, frozen=True, array_like=True):
    """One thing the store showed that may prove ownership. `acquired_at` is in UTC."""

    kind: ProofKind
    id: int | None = None
    acquired_at: datetime | None = None


class Evidence(Struct, frozen=True, array_like=True, tag="evidence"):
    """The source's answer about one subject and one game: facts, no judgement.

    `observed_at` is when the look-up started, so that the facts are at least that recent. No `proofs` means that
    the store said no. `owner` is the owner of the download key, where it has one. `overruled` is the proof that a no
    has taken the place of; it counts only while the revocation guard holds such noes back.
    """

    observed_at: datetime
    proofs: tuple[Proof, ...] = ()
    owner: Player | None = None
    sandbox: bool = False
    overruled: "Overruled | None" = None


class Overruled(Struct, frozen=True, array_like=True):
    """The evidence that the store's noes contradict, since the instant of the first of them that may count.

    `held` says that the no beside it was held back when the store gave it.
    """

    evidence: Evidence
    since: datetime
    held: bool = False


class Identity(Struct, frozen=True, array_like=True, tag="identity"):
    """The owner of a token, by the source's answer.

    Never to be used once `expires_at` has passed, nor for another game than `only_game`, where the token names one.
    `owns` is what the source said beside it about that game, to an access token; None for a JWT.
    """

    observed_at: datetime
    player: Player
    press: bool = False
    expires_at: datetime | None = None
    only_game: GameId | None = None
    sandbox: bool = False
    owns: bool | None = None

    def expired(self, now: datetime) -> bool:
        """Whether the token has run out, and stands for no player any more."""
        return self.expires_at is not None and self.expires_at <= now


class Refusal(Struct, frozen=True, array_like=True, tag="refusal"):
    """The source refused the player's credential itself."""

    observed_at: datetime
    reason: Reason
    sandbox: bool = False


Observation: TypeAlias = Evidence | Identity | Refusal


class Decision(Struct, frozen=True):
    """An answer and its grounds. Instants are in UTC, None where the store had no part in it.

    `observed_at` is that of the oldest observation that it rests on, `proven_at` that of the evidence of ownership.
    """

    reason: Reason
    game_id: GameId
    method: Method
    player: Player | None = None
    proof: Proof | None = None
    observed_at: datetime | None = None
    fresh_until: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False
    caveats: tuple[Caveat, ...] = ()
    proven_at: datetime | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome that the reason explains."""
        return self.reason.outcome

    @property
    def allowed(self) -> bool:
        """Whether the caller may grant content."""
        return self.outcome.allowed
