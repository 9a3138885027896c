"""Metrics of the requests to the store, for each endpoint that the gateway may ask as it is configured."""

from collections.abc import Iterable

from service.observability.labels import OTHER, SourceEndpoint, possible_results
from service.observability.plain_metrics import CounterValue, HistogramValue, PlainCounter, PlainHistogram


class SourceMetrics:
    """Counts and times requests to these endpoints. Words that are not shown count as `other`, and are not lost."""

    def __init__(self, *, requests: PlainCounter, seconds: PlainHistogram, endpoints: Iterable[SourceEndpoint]) -> None:
        self._requests_total = requests
        self._seconds_total = seconds
        self._requests: dict[tuple[str, str], CounterValue] = {}
        self._seconds: dict[str, HistogramValue] = {}
        self._other = requests.labels(OTHER, OTHER)
        for endpoint in endpoints:
            self.show(endpoint)

    def show(self, endpoint: SourceEndpoint) -> None:
        """Show from now on what comes of requests to this endpoint."""
        self._seconds[endpoint] = self._seconds_total.labels(endpoint)
        for result in possible_results(endpoint):
            self._requests[endpoint, result] = self._requests_total.labels(endpoint, result)

    def request(self, endpoint: str, result: str, *, seconds: float) -> None:
        """Count one request, in the words of `SourceEndpoint` and `SourceResult`."""
        self._requests.get((endpoint, result), self._other).count += 1
        if endpoint in self._seconds:
            self._seconds[endpoint].observe(seconds)
