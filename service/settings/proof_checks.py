"""Contradictions between the settings of proofs. Each check yields a line for each that it finds."""

from collections.abc import Iterator

from service.settings.model import Settings
from service.settings.names import Names


def issuers_differ(settings: Settings, names: Names) -> Iterator[str]:
    """Two tables for one issuer would leave it to chance which applies."""
    seen: set[str] = set()
    for number, one in enumerate(settings.oidc, start=1):
        if one.issuer in seen:
            yield f"{names.of_issuer(number, 'issuer')} is there more than once: expected one [[oidc]] for each issuer"
        seen.add(one.issuer)
