"""All that an operator can set about proofs of an address; the string under each field is its documentation."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field

from service.secret import MailUrl
from service.settings.values import IssuerUrl, SecureUrl, SenderAddress, TextFile

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


class MailSettings(Struct, frozen=True, kw_only=True):
    """The mail server by which codes are sent that prove an address."""

    url: MailUrl | None = None
    """The mail server: `smtps://[user:password@]host[:port]`, or `smtp://` with STARTTLS, which is demanded but on
    loopback. Default: unset, no codes are mailed."""
    url_file: Path | None = None
    """A file that holds that URL. Default: unset."""
    from_address: SenderAddress | None = field(name="from", default=None)
    """The address that the mails come from. Default: unset; required with a mail server."""
    code_seconds: Annotated[int, Meta(ge=120, le=3600)] = 600
    """Seconds that a code is good for. Default: ten minutes."""
    proof_seconds: Annotated[int, Meta(ge=300, le=86_400)] = 1800
    """Seconds that a confirmed code proves the address. Default: half an hour."""
    per_minute: Annotated[int, Meta(ge=1, le=1000)] = 30
    """Mails a minute that each caller may have sent, by each replica. Default: 30."""
    text_file: TextFile | None = None
    """A file with the text of the mail, its subject in the first line, with `{code}`, `{game}` and `{minutes}` in it.
    Default: unset, a text in English."""
