"""What Prometheus sees of a study, through Ray: the hosts of a cluster serve what its drivers count."""

from __future__ import annotations

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge


class Meters:
    """The meters of one study; each carries its name.

    ``vaestudy_runs``: by cell and state. ``vaestudy_updates``: of all runs together, whose rate is updates per second.
    ``vaestudy_mlflow_lag_seconds``: since MLflow had everything that spools hold.
    """

    def __init__(self, study: str):
        self._tags = {"study": study}
        self._runs = Gauge(
            "vaestudy_runs", "Search trials and reruns by what became of them", ("study", "cell", "state")
        )
        self._updates = Counter("vaestudy_updates", "Updates made by all runs together", ("study",))
        self._lag = Gauge(
            "vaestudy_mlflow_lag_seconds", "Time since MLflow had everything that was measured", ("study",)
        )

    def runs(self, cell: str, states: Mapping[str, int]) -> None:
        """How many runs of a cell are in each state."""
        for state, count in states.items():
            self._runs.set(count, {**self._tags, "cell": cell, "state": state})

    def updates(self, more: int) -> None:
        """So many updates were made since the last call."""
        if more > 0:
            self._updates.inc(more, self._tags)

    def lag(self, seconds: float) -> None:
        """MLflow had everything so many seconds ago."""
        self._lag.set(seconds, self._tags)
