"""The count of players who show a download key, where that is counted: it has no series anywhere else."""

from service.key_use import KeyUse
from service.observability.metrics import Metrics
from service.observability.plain_metrics import PlainCounter


class KeyUses:
    """Shown in the metrics from now on."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counter = metrics.show(
            PlainCounter(
                "ownership_gateway_key_players_total",
                "Answers about download keys whose players are counted.",
                ("game", "result"),
            )
        )

    def count(self, game: str, use: KeyUse) -> None:
        """Count one; `game` is its label. All results of a game are shown from its first one on."""
        label = self._metrics.label_of(game)
        values = {each: self._counter.labels(label, str(each)) for each in KeyUse}
        values[use].count += 1
