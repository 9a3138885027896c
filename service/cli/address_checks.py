"""The checks of `doctor` that are about proofs of addresses: the mail server, and the issuers of id tokens.

Imported only where there is something to check.
"""

from service.cli.findings import Finding, FindingLevel
from service.clock import SystemClock
from service.errors import IssuerUnavailable
from service.proofs.key_documents import Documents, fetch_keys
from service.proofs.mail_failures import MailUnavailable
from service.proofs.mailer import SmtpMailer
from service.settings.proofs import MailSettings, OidcSettings
from service.wiring.mail_parts import mail_server_of

_HINTS = {
    "timeout": "it does not answer within five seconds: check host and port, and that the gateway may connect there",
    "535": "check the user and the password in mail.url; both are percent-encoded",
    "534": "the server wants another way to log in: ask its operator for a user that may log in by password",
    "SMTPConnectError": "check host and port in mail.url, and that the gateway may connect there",
}
_HINT = (
    "check mail.url: smtps:// for a port where TLS begins at once, usually 465, and smtp:// for STARTTLS, usually 587;"
    " the certificate has to be trusted, and for that host"
)


async def examine_mail(settings: MailSettings) -> Finding:
    """Find out whether the mail server lets the gateway in. Nothing is sent."""
    server = mail_server_of(settings)
    mailer = SmtpMailer(server, sender=settings.from_address or "", clock=SystemClock())
    try:
        await mailer.check()
    except MailUnavailable as unavailable:
        why = str(unavailable)
        return Finding("mail", FindingLevel.PROBLEM, f"the mail server lets nobody in: {why}", _HINTS.get(why, _HINT))
    way = "over TLS" if server.tls_first or server.starts_tls else "on this machine, without TLS"
    who = "with user and password" if server.user is not None else "without a user"
    return Finding("mail", FindingLevel.OK, f"the mail server lets the gateway in, {way}, {who}; nothing was sent")


async def examine_issuer(settings: OidcSettings, number: int, documents: Documents) -> Finding:
    """Find out whether an issuer gives its keys."""
    check = f"issuer {number}"
    algorithms = frozenset(str(algorithm) for algorithm in settings.algorithms)
    try:
        keys = await fetch_keys(
            documents.get, issuer=settings.issuer, jwks_url=settings.jwks_url, algorithms=algorithms
        )
    except IssuerUnavailable as unavailable:
        hint = "check issuer, jwks_url and algorithms of this [[oidc]] table, and that the gateway may connect there"
        return Finding(check, FindingLevel.PROBLEM, unavailable.detail, hint)
    return Finding(check, FindingLevel.OK, f"{settings.issuer} gives {len(keys)} usable keys")
