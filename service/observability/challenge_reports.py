"""Codes that are mailed, where they are: each is a line and a count, with the name of the address for the log."""

from enum import StrEnum

from service.observability.logs import Logging
from service.observability.metrics import NAMESPACE, Metrics
from service.observability.plain_metrics import CounterValue, PlainCounter
from service.ownership import GameId, VerifiedEmail
from service.verification.interfaces import Fingerprints


class ChallengeResult(StrEnum):
    """The results of asking for a code, and of typing one in."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    WRONG_CODE = "wrong_code"
    """Also a code for a challenge that has ended, or has no tries left, or is none."""
    LIMITED = "limited"
    FAILED = "failed"
    """The mail server has not taken the mail."""


def challenge_counts(metrics: Metrics) -> dict[ChallengeResult, CounterValue]:
    """Show the counts of the results from now on, and return them."""
    text = "Codes mailed, and codes typed in."
    counter = metrics.show(PlainCounter(f"{NAMESPACE}_challenges_total", text, ["result"]))
    return {result: counter.labels(str(result)) for result in ChallengeResult}


class ChallengeReports:
    """Shown in the metrics from now on."""

    def __init__(self, metrics: Metrics, log: Logging, fingerprints: Fingerprints) -> None:
        self._counts = challenge_counts(metrics)
        self._log = log
        self._fingerprints = fingerprints
        self._works = True

    def report(
        self,
        result: ChallengeResult,
        *,
        caller: str,
        request_id: str,
        game_id: GameId | None,
        address: VerifiedEmail | None,
        why: str | None = None,
    ) -> None:
        """Count and log one; `address` is None where the text of the challenge is none of ours."""
        self._counts[result].count += 1
        subject = None if address is None else self._fingerprints.of_credential(address)
        self._log.logger.info(
            "challenge", result=result, caller=caller, game=game_id, subject=subject, why=why, request_id=request_id
        )

    def mail_refused(self, address: VerifiedEmail, *, request_id: str) -> None:
        """Log that the mail server takes no mail for an address; the caller does not learn it."""
        subject = self._fingerprints.of_credential(address)
        self._log.logger.info("mail_refused", subject=subject, request_id=request_id)

    def mail_server(self, why: str | None) -> None:
        """Take note why the mail server has not taken a mail, None if it has; each change is a line."""
        if why is not None and self._works:
            self._log.logger.warning("mail_server_lost", why=why, hint="nobody can have a code mailed")
        elif why is None and not self._works:
            self._log.logger.info("mail_server_found")
        self._works = why is None
