"""From spools to data frames: one row a run, one row a measured value."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from vaestudy.analysis.pictures import load_pictures
from vaestudy.errors import DataError
from vaestudy.records import End, Report, RunRecord, read_runs

RUN_COLUMNS = [
    "uid",
    "cell",
    "workload",
    "method",
    "stage",
    "trial",
    "replicate",
    "seed",
    "varied",
    "attempt",
    "outcome",
    "failure",
    "step",
    "reason",
]
CURVES = ["val/nelbo", "val/rec", "val/kl", "cost/grad_evals", "cost/examples", "time/seconds"]
BLOCKS = [f"test/{score}_blocks/{index:03d}" for score in ("nelbo", "nll") for index in range(100)]
"""The test scores of a confirmed run in blocks of test examples."""
FACTS = ("hash", "study", "searched", "optimizers")
FRAMES = ("runs", "metrics", "pictures")
METRIC_COLUMNS = ["uid", "attempt", "step", "epoch", "metric", "value"]


@dataclass(frozen=True)
class Records:
    """A study's records as frames.

    Attributes:
        facts: ``study.json``: the resolved study, its hash, the searched keys of each method, what the registry says of
            its optimizers.
        runs: one row a run: identity, outcome, ``setting.*`` and ``final/*`` columns.
        metrics: one row a value: uid, attempt, step, epoch, metric, value.
        pictures: one row an image of a confirmed run (``pictures.load_pictures``).
    """

    facts: dict[str, Any]
    runs: pd.DataFrame
    metrics: pd.DataFrame
    pictures: pd.DataFrame

    @property
    def study(self) -> dict[str, Any]:
        """The resolved study."""
        return cast(dict[str, Any], self.facts["study"])

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the study file."""
        return list(self.study["methods"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """What every run measured at each evaluation: one row by (uid, step), the columns ``CURVES``."""
        rows = self.metrics[self.metrics["metric"].isin(CURVES)]
        table = rows.set_index(["uid", "step", "metric"])["value"].unstack("metric")
        return table.reindex(columns=CURVES)

    @property
    def replicates(self) -> range:
        """The replicates of each search, from 0."""
        return range(self.study["search"]["replicates"])

    @property
    def unit(self) -> str:
        """The column of ``runs`` that statements rest on: ``replicate``, or ``seed`` where there is one search."""
        return "replicate" if len(self.replicates) > 1 else "seed"

    def blocks(self, metric: str) -> dict[str, npt.NDArray[np.float64]]:
        """A test score, ``final/test_nelbo`` or ``final/test_nll``, in blocks of test examples ``[G]`` by run; their
        mean is the score."""
        return self._blocks.get(metric.removeprefix("final/"), {})

    @cached_property
    def _blocks(self) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
        rows = self.metrics[self.metrics["metric"].isin(BLOCKS)]
        names = rows["metric"].str[: -len("_blocks/000")].str.replace("test/", "test_")
        found: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
        for (name, uid), values in rows["value"].groupby([names, rows["uid"]]):
            found.setdefault(str(name), {})[str(uid)] = values.to_numpy()
        return found

    def curve(self, uid: str) -> pd.DataFrame:
        """One run's part of ``curves``, by step; empty for a run that measured nothing."""
        found = self.curves.xs(uid) if uid in self._measured else self.curves.iloc[:0].droplevel("uid")
        return cast(pd.DataFrame, found)

    @cached_property
    def _measured(self) -> frozenset[str]:
        return frozenset(self.curves.index.get_level_values("uid"))

    @property
    def budgets(self) -> list[int]:
        """The numbers of trials that winners are chosen from, rising; 0 stands for the published defaults."""
        confirm = self.study["confirm"]
        defaults = [0] if confirm.get("defaults") else []
        return [*defaults, *(confirm["budgets"] or [self.study["search"]["trials"]])]


def column(runs: pd.DataFrame, name: str) -> pd.Series[float]:
    """A measured column; NaN throughout where no run has it."""
    return runs[name].astype(float) if name in runs else pd.Series(np.nan, index=runs.index)


def load(folder: Path) -> Records:
    """The records of the study in ``folder``, from its spools alone.

    Raises:
        DataError: the study's facts or a spool are damaged.
    """
    facts = _facts(folder / "study.json")
    with _uncollected():  # a record is let go before the next is read: those of 10,000 runs are a million objects
        parts = sorted(map(_part, read_runs(folder)), key=lambda part: part.order)
    runs = pd.DataFrame([part.run for part in parts])
    filled = runs if len(runs) else pd.DataFrame(columns=RUN_COLUMNS)
    confirmed = [(part.run["uid"], part.run["attempt"]) for part in parts if part.run["stage"] == "confirm"]
    return Records({**facts, **_experiment(folder)}, filled, _metrics(parts), load_pictures(folder, confirmed))


def load_parquet(folder: Path) -> Records:
    """The records as ``export`` wrote them: ``study.json`` and a Parquet file for each of ``FRAMES``."""
    facts = _facts(folder / "study.json")
    runs, metrics, pictures = (pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES)
    return Records(facts, runs, metrics, pictures)


def _experiment(folder: Path) -> dict[str, str]:
    """MLflow's number of the study, where its shipper has left it: pages link to it."""
    try:
        return {"experiment": str(json.loads((folder / "shipped.json").read_text())["experiment_id"])}
    except (OSError, ValueError, KeyError):
        return {}


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a study's facts: {error}") from error
    if not isinstance(facts, dict) or not set(FACTS) <= set(facts):
        raise DataError(f"{path}: not a study's facts: expected {', '.join(FACTS)}; vaestudy resume rewrites it")
    return facts


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles of objects among those that are made here: there are none, and many to go through."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


Shape = tuple[str | tuple[str, int], ...]
"""The names of a report's metrics, and its vectors' names with their lengths: few reports have one of their own."""


@dataclass(frozen=True)
class _Part:
    """What one run gives to the frames.

    Attributes:
        evaluations: its uid, attempt, step and epoch, one a report.
        shapes: of its reports. values: of all of them, one after the other.
    """

    order: tuple[str, str, int, int, int]
    run: dict[str, Any]
    evaluations: list[tuple[str, int, int, int]]
    shapes: list[Shape]
    values: list[float]


def _part(record: RunRecord) -> _Part:
    run = record.run
    evaluations = [(run.uid, record.attempt, report.step, report.epoch) for report in record.reports]
    shapes: list[Shape] = []
    values: list[float] = []
    measured: list[Report | End] = [*record.reports]
    if record.end and record.end.vectors:
        epoch = record.reports[-1].epoch if record.reports else 0
        evaluations.append((run.uid, record.attempt, record.end.step, epoch))
        measured.append(replace(record.end, metrics={}))
    for report in measured:
        shapes.append((*report.metrics, *((name, len(vector)) for name, vector in report.vectors.items())))
        values.extend(report.metrics.values())
        for vector in report.vectors.values():
            values.extend(vector)
    return _Part(
        (run.cell, run.stage, run.replicate, run.trial, run.seed), _run_row(record), evaluations, shapes, values
    )


def _run_row(record: RunRecord) -> dict[str, Any]:
    run, end = record.run, record.end
    row: dict[str, Any] = {
        "uid": run.uid,
        "cell": run.cell,
        "workload": run.workload,
        "method": run.method,
        "stage": run.stage,
        "trial": run.trial,
        "replicate": run.replicate,
        "seed": run.seed,
        "varied": run.varied,
        "attempt": record.attempt,
        "outcome": end.outcome if end else "open",
        "failure": end.failure if end else "none",
        "step": end.step if end else 0,
        "reason": end.reason if end else "",
    }
    settings = {f"setting.{key}": value for key, value in run.settings.items()}
    return {**row, **settings, **(end.metrics if end else {})}


def _metrics(parts: Sequence[_Part]) -> pd.DataFrame:
    numbers: dict[str, int] = {}
    columns: dict[Shape, npt.NDArray[np.intp]] = {}
    for shape in {shape: None for part in parts for shape in part.shapes}:
        columns[shape] = np.array([numbers.setdefault(name, len(numbers)) for name in _names(shape)], dtype=np.intp)
    found = [columns[shape] for part in parts for shape in part.shapes]
    table = pd.DataFrame([row for part in parts for row in part.evaluations], columns=METRIC_COLUMNS[:4])
    table = table.loc[table.index.repeat([len(names) for names in found])].reset_index(drop=True)
    metric = pd.Series(list(numbers), dtype="str").take(np.concatenate([*found, np.empty(0, np.intp)]))
    values = np.concatenate([np.empty(0), *(np.array(part.values, dtype=float) for part in parts)])
    return table.assign(metric=metric.reset_index(drop=True), value=values)


def _names(shape: Shape) -> Iterator[str]:
    for entry in shape:
        if isinstance(entry, str):
            yield entry
        else:
            yield from (f"{entry[0]}/{index:03d}" for index in range(entry[1]))
