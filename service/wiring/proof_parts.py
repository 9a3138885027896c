"""The parts that read proofs of an address. Imported only where issuers are configured, or codes are mailed."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from service.cache.keys import KeyedFingerprints
from service.observability.issuer_metrics import issuer_keys_gauge
from service.observability.plain_metrics import PlainGauge
from service.proofs.address_proofs import AddressProofs
from service.proofs.id_tokens import IdTokens, Issuer
from service.proofs.issuer_keys import IssuerKeys
from service.proofs.key_documents import Documents, Get, fetch_keys
from service.settings.proofs import OidcSettings
from service.verification.question import Verifier
from service.wiring.basics import Basics
from service.wiring.upstream import user_agent

if TYPE_CHECKING:
    from service.proofs.challenges import Challenges
    from service.sandbox.id_token_issuer import IdTokenIssuer


def build_proofs(
    basics: Basics,
    verification: Verifier,
    fingerprints: KeyedFingerprints,
    *,
    challenges: "Challenges | None",
    own_issuer: "IdTokenIssuer | None" = None,
) -> AddressProofs:
    """Return the parts; no issuer is asked by that. `own_issuer` is the sandbox's, behind those that are configured."""
    tokens = IdTokens(_issuers(basics, own_issuer), clock=basics.clock)
    basics.stack.push_async_callback(tokens.close)
    return AddressProofs(
        tokens=tokens, mailed=challenges, verification=verification, fingerprints=fingerprints, clock=basics.clock
    )


def _issuers(basics: Basics, own: "IdTokenIssuer | None") -> list[Issuer]:
    issuers: list[tuple[OidcSettings, Get]] = []
    if basics.settings.oidc:
        documents = Documents(user_agent=user_agent(basics.settings))
        issuers += [(one, documents.get) for one in basics.settings.oidc]
    if own is not None:
        from service.sandbox.id_token_issuer import AUDIENCE, ISSUER, KEYS_URL  # noqa: PLC0415 - in a sandbox alone

        issuers.append((OidcSettings(issuer=ISSUER, audiences=frozenset({AUDIENCE}), jwks_url=KEYS_URL), own.document))
    if not issuers:
        return []
    ok = issuer_keys_gauge(basics.metrics)
    return [
        _issuer(one, get, basics, told=partial(_tell, ok, str(number)))
        for number, (one, get) in enumerate(issuers, start=1)
    ]


def _issuer(settings: OidcSettings, get: Get, basics: Basics, *, told: Callable[[bool], None]) -> Issuer:
    algorithms = frozenset(str(algorithm) for algorithm in settings.algorithms)
    fetch = partial(fetch_keys, get, issuer=settings.issuer, jwks_url=settings.jwks_url, algorithms=algorithms)
    return Issuer(
        name=settings.issuer,
        audiences=settings.audiences,
        algorithms=algorithms,
        keys=IssuerKeys(fetch, clock=basics.clock, told=told),
        require_nonce=settings.require_nonce,
        longest_age=timedelta(seconds=settings.max_age_seconds),
    )


def _tell(gauge: PlainGauge, issuer: str, works: bool) -> None:  # noqa: FBT001 - as `IssuerKeys` calls it
    gauge.set(1 if works else 0, issuer)
