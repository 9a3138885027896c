"""Redeem tokens, where they are taken: each is a line and a count."""

from collections.abc import Iterable

from service.observability.logs import Logging
from service.observability.metrics import NAMESPACE, Metrics
from service.observability.plain_metrics import CounterValue, PlainCounter


def redeem_counts(metrics: Metrics, reasons: Iterable[str]) -> dict[str, CounterValue]:
    """Show the counts of these reasons from now on, and return them."""
    counter = metrics.show(PlainCounter(f"{NAMESPACE}_redeem_total", "Answers about redeem tokens.", ["reason"]))
    return {str(reason): counter.labels(str(reason)) for reason in reasons}


class RedeemReports:
    """Shown in the metrics from now on: one series for each of the `reasons`."""

    def __init__(self, metrics: Metrics, log: Logging, *, reasons: Iterable[str]) -> None:
        self._counts = redeem_counts(metrics, reasons)
        self._log = log

    def report(
        self, reason: str, *, game: str, purchase_id: int | None, decision_id: str, caller: str, request_id: str
    ) -> None:
        """Count and log one answer; `purchase_id` is that of a good token, by which the studio's records name it."""
        self._counts[reason].count += 1
        self._log.logger.info(
            "redeem",
            reason=str(reason),
            game=game,
            purchase_id=purchase_id,
            decision_id=decision_id,
            caller=caller,
            request_id=request_id,
        )
