"""From spools to data frames: one row a run, one row a measured value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from vaestudy.analysis.pictures import load_pictures
from vaestudy.errors import DataError
from vaestudy.records import RunRecord, read_runs

RUN_COLUMNS = [
    "uid",
    "cell",
    "workload",
    "method",
    "stage",
    "trial",
    "seed",
    "varied",
    "attempt",
    "outcome",
    "failure",
    "step",
    "reason",
]
CURVES = ["val/nelbo", "val/rec", "val/kl", "cost/grad_evals", "cost/examples", "time/seconds"]
FRAMES = ("runs", "metrics", "pictures")
METRIC_COLUMNS = ["uid", "attempt", "step", "epoch", "metric", "value"]


@dataclass(frozen=True)
class Records:
    """A study's records as frames.

    Attributes:
        facts: ``study.json``: the resolved study, its hash, the searched keys of each method.
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

    def curve(self, uid: str) -> pd.DataFrame:
        """One run's part of ``curves``, by step; empty for a run that measured nothing."""
        found = self.curves.xs(uid) if uid in self._measured else self.curves.iloc[:0].droplevel("uid")
        return cast(pd.DataFrame, found)

    def curves_by_seed(self, runs: pd.DataFrame) -> dict[int, pd.DataFrame]:
        """The curves of some runs by their seeds."""
        return {int(seed): self.curve(str(uid)) for seed, uid in zip(runs["seed"], runs["uid"], strict=True)}

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
    records = sorted(read_runs(folder), key=_order)
    runs = pd.DataFrame([_run_row(record) for record in records])
    filled = runs if len(runs) else pd.DataFrame(columns=RUN_COLUMNS)
    return Records({**facts, **_experiment(folder)}, filled, _metrics(records), load_pictures(folder, records))


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
    if not isinstance(facts, dict) or not {"hash", "study", "searched"} <= set(facts):
        raise DataError(f"{path}: not a study's facts: expected hash, study, searched; vaestudy resume rewrites it")
    return facts


def _order(record: RunRecord) -> tuple[str, str, int, int]:
    run = record.run
    return run.cell, run.stage, run.trial, run.seed


def _run_row(record: RunRecord) -> dict[str, Any]:
    run, end = record.run, record.end
    row: dict[str, Any] = {
        "uid": run.uid,
        "cell": run.cell,
        "workload": run.workload,
        "method": run.method,
        "stage": run.stage,
        "trial": run.trial,
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


def _metrics(records: list[RunRecord]) -> pd.DataFrame:
    names: list[str] = []
    values: list[float] = []
    counts: list[int] = []
    for record in records:
        for report in record.reports:
            before = len(names)
            for name, value in (*report.metrics.items(), *_components(report.vectors)):
                names.append(name)
                values.append(value)
            counts.append(len(names) - before)
    evaluations = [(r.run.uid, r.attempt, report.step, report.epoch) for r in records for report in r.reports]
    table = pd.DataFrame(evaluations, columns=METRIC_COLUMNS[:4])
    found = table.loc[table.index.repeat(counts)].reset_index(drop=True)
    return found.assign(metric=pd.Series(names, dtype="str"), value=np.array(values, dtype=float))


def _components(vectors: Any) -> list[tuple[str, float]]:
    return [(f"{name}/{index:03d}", value) for name, values in vectors.items() for index, value in enumerate(values)]
