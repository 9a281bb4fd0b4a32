"""From a run's record to what MLflow is told about it: tags, parameters, rows of metrics. Knows no MLflow.

Curves lie at step = epoch >= 1, summaries at step 0: MLflow draws the first as lines and the second as bars.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from vaestudy.records import PRIMARY, Report, Run, RunRecord, trial_name
from vaestudy.spec import Study, Workload, budgets, canonical, space
from vaestudy.tracking.stored import DataSet, Row, Status

PROGRESS = "cost/updates"
"""The metric that every report carries; its latest value says how far a run has been shipped."""

RUNNING = "running"
INTERRUPTED = "interrupted"
"""Values of the tag ``outcome`` beside those of ``records.Outcome``: in training, and stopped with its study."""

PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
"""MLflow cuts longer values in silence; we say so."""

SUMMARY_DECIMALS = 4
"""The table's columns are narrow; the exact values are in the spool."""

_STATUS: Mapping[str, Status] = {
    "done": "FINISHED",
    "pruned": "KILLED",
    "cancelled": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}


def ended(record: RunRecord, now: float) -> int:
    """When a run ended or was left, in milliseconds since 1970: not before its start and not after ``now`` (seconds),
    whatever the clock of its worker said."""
    last = record.end or (record.reports[-1] if record.reports else None)
    return milliseconds(max(record.started, min(last.time, now) if last else record.started))


def status(record: RunRecord) -> Status:
    """MLflow's word for a run's state."""
    return "RUNNING" if record.end is None else _STATUS[record.end.outcome]


def curve_rows(record: RunRecord, after: int) -> list[Row]:
    """The rows of all reports whose update is later than ``after``; what was measured before training is left out
    (the summary has it as ``final/l_init``)."""
    new = [report for report in record.reports if report.step > after and report.epoch > 0]
    return [row for report in new for row in _report_rows(report)]


def _report_rows(report: Report) -> Iterable[Row]:
    values = {**report.metrics, PROGRESS: float(report.step)}
    return [Row(key, value, milliseconds(report.time), report.epoch) for key, value in _finite(values).items()]


def summary_rows(record: RunRecord) -> list[Row]:
    """The rows of an ended run's summary: ``final/*`` and, from its last report, the rate of each latent dimension."""
    assert record.end is not None
    values = {**record.end.metrics, **_last_vectors(record.reports)}
    time = milliseconds(record.end.time)
    return [Row(key, round(value, SUMMARY_DECIMALS), time, 0) for key, value in _finite(values).items()]


def _last_vectors(reports: tuple[Report, ...]) -> dict[str, float]:
    rates = reports[-1].vectors.get("val/kl_per_dimension", []) if reports else []
    return {f"kl_dim/{index:02d}": value for index, value in enumerate(rates)}


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    # MLflow stores an infinity as 1.8e308, which wins every maximum.
    return {key: float(value) for key, value in values.items() if math.isfinite(value)}


def searched(study: Study, method: str) -> list[str]:
    """The settings that are searched for a method, as ``Run.settings`` names them."""
    return [canonical(name) for name in space(study, method)]


def params(study: Study, run: Run) -> dict[str, str]:
    """A run's settings under short names, with what a chart needs beside them; values that are not set are left out."""
    # A stage of no share of the training is not in the settings, but it was drawn: MLflow's charts need every axis.
    drawn = {name: 0.0 for name in searched(study, run.method) if name.endswith(".share")}
    place = {"method": run.method, "workload": run.workload, "replicate": run.replicate + 1, "seed": run.seed}
    values: dict[str, Any] = {**place, **drawn, **run.settings}
    rate = run.settings.get("lr")
    if isinstance(rate, float) and rate > 0:
        values["log10_lr"] = round(math.log10(rate), SUMMARY_DECIMALS)  # MLflow's parallel coordinates know no log axis
    return {key: _cut(_text(value), PARAM_CHARACTERS) for key, value in values.items() if value is not None}


def tags(record: RunRecord) -> dict[str, str]:
    """What a run is and how it stands, for MLflow's filters."""
    run, end = record.run, record.end
    known = {
        "role": "trial",
        "uid": run.uid,
        "stage": run.stage,
        "trial": trial_name(run.trial).removeprefix("#"),
        "replicate": str(run.replicate + 1),
        "cell": run.cell,
        "group": run.method,
        "workload": run.workload,
        "attempt": str(record.attempt),
        "outcome": end.outcome if end else RUNNING,
    }
    if end:
        known["failure"] = end.failure
    if end and end.failure != "none":
        known["group"] = f"{run.method} ({end.failure})"  # no mean may mix runs that failed with runs that did not
    if end and end.reason:
        known["error"] = end.reason
    return {key: _cut(value, TAG_CHARACTERS) for key, value in known.items()}


def data_set(workload: Workload) -> DataSet:
    """The data set of a workload."""
    section = workload.data.model_dump_json()
    return DataSet(workload.data.name, hashlib.sha256(section.encode()).hexdigest()[:8], section)


def best(study: Study, records: Iterable[RunRecord]) -> set[str]:
    """The uids of each search's winner and of its confirmation runs.

    The winner has the least ``final/val_nelbo`` of the trials that ended well within the largest budget; ties: the
    earlier one.
    """
    searches: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        if record.run.stage in ("search", "confirm"):
            searches.setdefault((record.run.cell, record.run.replicate), []).append(record)
    budget = max(budgets(study))
    numbers = {key: _winner(found, budget) for key, found in searches.items()}
    return {record.run.uid for key, found in searches.items() for record in found if record.run.trial == numbers[key]}


def _winner(search: Iterable[RunRecord], budget: int) -> int | None:
    scores = [
        (record.end.metrics["final/val_nelbo"], record.run.trial)
        for record in search
        if record.run.stage == "search"
        and record.run.trial < budget
        and record.end
        and record.end.outcome == "done"
        and "final/val_nelbo" in record.end.metrics
    ]
    return min(scores)[1] if scores else None


def primary_metric(study: Study) -> str:
    """The metric by which methods are ranked; less is better."""
    return PRIMARY[study.report.primary] if study.confirm.seeds else "final/val_nelbo"


def final_nelbo(study: Study, records: Iterable[RunRecord]) -> dict[str, list[float]]:
    """By workload, the last validation nELBO, nats per example, of every run that the learning curves show."""
    stage = "confirm" if study.confirm.seeds else "search"
    values: dict[str, list[float]] = {}
    for record in records:
        if record.run.stage == stage and record.end and "final/val_nelbo" in record.end.metrics:
            values.setdefault(record.run.workload, []).append(record.end.metrics["final/val_nelbo"])
    return values


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cut(text: str, limit: int) -> str:
    note = " ... (cut; whole in run.json)"
    return text if len(text) <= limit else text[: limit - len(note)] + note


def milliseconds(seconds: float) -> int:
    """Seconds since 1970 in MLflow's unit."""
    return round(seconds * 1000)
