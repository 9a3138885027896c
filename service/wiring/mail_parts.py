"""The parts that mail codes. Imported only where they are mailed."""

from datetime import timedelta

from litestar.types import ControllerRouterHandler

from service.api.email_challenges import ChallengeService, create_challenge_routes
from service.api.routes import CallerGate
from service.cache.keys import KeyedFingerprints
from service.mail_text import read_mail_text
from service.mail_url import MailServer, read_mail_url
from service.observability.challenge_reports import ChallengeReports
from service.proofs.challenges import Challenges, Mailer
from service.proofs.code_tries import CodeTries
from service.proofs.mail_bounds import MailBounds
from service.proofs.sealed_texts import SealedTexts
from service.redis.connect import RedisClient
from service.settings.proofs import MailSettings
from service.wiring.basics import Basics


def build_challenges(
    basics: Basics, *, environment: str, redis: RedisClient | None, outbox: Mailer | None
) -> Challenges:
    """Return the part that mails codes and confirms them; `outbox` is the sandbox's, which no mail leaves."""
    settings, clock = basics.settings.mail, basics.shared_clock
    tries = CodeTries(client=redis, clock=clock)
    bounds = MailBounds(client=redis, clock=clock)
    basics.stack.push_async_callback(tries.close)
    basics.stack.push_async_callback(bounds.close)
    return Challenges(
        texts=SealedTexts(basics.keys.proofs, environment),
        key=basics.keys.proofs,
        mailer=outbox or _mailer(settings, basics),
        text=read_mail_text(settings.text_file),
        tries=tries,
        bounds=bounds,
        code_lasts=timedelta(seconds=settings.code_seconds),
        proof_lasts=timedelta(seconds=settings.proof_seconds),
        per_minute=settings.per_minute,
        clock=clock,
    )


def challenge_routes(
    basics: Basics, gate: CallerGate, fingerprints: KeyedFingerprints, challenges: Challenges
) -> list[ControllerRouterHandler]:
    """Return the endpoints by which codes are mailed and confirmed."""
    reports = ChallengeReports(basics.metrics, basics.log, fingerprints)
    return [*create_challenge_routes(gate=gate, service=ChallengeService(challenges=challenges, reports=reports))]


def mail_server_of(settings: MailSettings) -> MailServer:
    """Return the mail server that is configured."""
    server = None if settings.url is None else read_mail_url(settings.url)
    if server is None:
        raise AssertionError("settings that were checked have no mail server")
    return server


def _mailer(settings: MailSettings, basics: Basics) -> Mailer:
    from service.proofs.mailer import SmtpMailer  # noqa: PLC0415 - the sandbox has no server

    return SmtpMailer(mail_server_of(settings), sender=settings.from_address or "", clock=basics.clock)
