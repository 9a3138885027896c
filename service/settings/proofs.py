"""All that an operator can set about proofs of an address; the string under each field is its documentation."""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from service.settings.values import IssuerUrl, SecureUrl

MOST_ISSUERS = 8


class SigningAlgorithm(StrEnum):
    """The algorithms by which id tokens may be signed."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"


_ClientId: TypeAlias = Annotated[str, Meta(pattern=r"\A[!-~]{1,256}\Z")]

ClientIds: TypeAlias = Annotated[
    frozenset[_ClientId],
    Meta(min_length=1, max_length=16, extra={"expected": "a list of 1 to 16 client ids, each only once"}),
]

SigningAlgorithms: TypeAlias = Annotated[
    frozenset[SigningAlgorithm],
    Meta(min_length=1, extra={"expected": f"a list of at least one of {', '.join(SigningAlgorithm)}, each only once"}),
]


class OidcSettings(Struct, frozen=True, kw_only=True):
    """One issuer of id tokens that prove addresses."""

    issuer: IssuerUrl
    """The `iss` of its tokens, compared as a whole. Required."""
    audiences: ClientIds
    """The client ids of the studio's own applications: a token is for one of them. Required."""
    jwks_url: SecureUrl | None = None
    """The place of its public keys. Default: unset, as its `/.well-known/openid-configuration` says."""
    algorithms: SigningAlgorithms = frozenset({SigningAlgorithm.RS256})
    """The algorithms that it may sign with: `RS256`, `PS256`, `ES256`. Default: RS256 alone."""
    require_nonce: bool = False
    """Whether each question must bring the `nonce` of its token. Default: only for tokens that have one."""
    max_age_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3600
    """Seconds since it was issued for which a token proves an address. Default: an hour."""
