"""What Prometheus sees of a study, through Ray: the hosts of a cluster serve what its drivers count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ray.util.metrics import Counter, Gauge


@dataclass(frozen=True)
class Metric:
    """A name, what it means, and its labels."""

    name: str
    means: str
    labels: tuple[str, ...] = ("study",)
    counts: bool = False

    @property
    def served_as(self) -> str:
        """Its name in Prometheus."""
        return f"ray_{self.name}" + "_total" * self.counts


RUNS = Metric("vaestudy_runs", "Search trials and reruns by what became of them", ("study", "cell", "state"))
UPDATES = Metric("vaestudy_updates", "Updates made by all runs together", counts=True)
BACKLOG = Metric("vaestudy_spool_backlog_rows", "Rows that are measured and not in MLflow yet")
LAG = Metric("vaestudy_mlflow_lag_seconds", "Time since MLflow had everything that was measured")
METRICS = (RUNS, UPDATES, BACKLOG, LAG)


class Meters:
    """The meters of one study; each carries its name."""

    def __init__(self, study: str):
        self._tags = {"study": study}
        self._runs, self._backlog, self._lag = map(_gauge, (RUNS, BACKLOG, LAG))
        self._updates = Counter(UPDATES.name, UPDATES.means, UPDATES.labels)

    def runs(self, cell: str, states: Mapping[str, int]) -> None:
        """How many runs of a cell are in each state."""
        for state, count in states.items():
            self._runs.set(count, {**self._tags, "cell": cell, "state": state})

    def updates(self, more: int) -> None:
        """So many updates were made since the last call."""
        if more > 0:
            self._updates.inc(more, self._tags)

    def behind(self, rows: int, seconds: float) -> None:
        """MLflow lacks so many rows, and had everything so many seconds ago."""
        self._backlog.set(rows, self._tags)
        self._lag.set(seconds, self._tags)


def _gauge(metric: Metric) -> Gauge:
    return Gauge(metric.name, metric.means, metric.labels)
