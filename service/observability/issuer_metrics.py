"""The metric of the issuers of id tokens, which there is only where some are configured."""

from service.observability.metrics import NAMESPACE, Metrics
from service.observability.plain_metrics import PlainGauge


def issuer_keys_gauge(metrics: Metrics) -> PlainGauge:
    """Show from now on whether issuers gave their keys, by their number in the file, and return the gauge."""
    text = "1 if the issuer gave its keys when last asked, 0 if not."
    return metrics.show(PlainGauge(f"{NAMESPACE}_issuer_keys_ok", text, ["issuer"]))
