"""Contradictions between the settings of proofs. Each check yields a line for each that it finds."""

from collections.abc import Iterator

from service.mail_text import read_mail_text
from service.secret_text import UnusableText
from service.settings.model import Settings
from service.settings.names import Names


def issuers_differ(settings: Settings, names: Names) -> Iterator[str]:
    """Two tables for one issuer would leave it to chance which applies."""
    seen: set[str] = set()
    for number, one in enumerate(settings.oidc, start=1):
        if one.issuer in seen:
            yield f"{names.of_issuer(number, 'issuer')} is there more than once: expected one [[oidc]] for each issuer"
        seen.add(one.issuer)


def mail_is_whole(settings: Settings, names: Names) -> Iterator[str]:
    """A mail comes from somewhere, and goes by a server."""
    url, sender = names.given("mail.url"), names.given("mail.from")
    if url and not sender:
        yield f"{url[0]} is set without {names.of('mail.from')}: set both or neither"
    if sender and not url and not settings.sandbox:
        yield f"{sender[0]} is set without {names.of('mail.url')}: set both or neither"


def mail_text_is_usable(settings: Settings, names: Names) -> Iterator[str]:
    """A mail without the code would help no player."""
    try:
        read_mail_text(settings.mail.text_file)
    except UnusableText as unusable:
        yield f"{names.of('mail.text_file')} cannot be used: {unusable}"
