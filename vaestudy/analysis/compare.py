"""The comparison: per workload and budget, each method's confirmed winner with its uncertainty and its failures.

Rules of the protocol that live here: failed runs are counted, never averaged away; a difference is stated with its
interval and with what this many seeds could have seen; nobody wins where the data cannot tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics import (
    Interval, detectable_difference, is_bimodal, mean_interval, paired_difference, rate_interval, winner,
)

HEADLINE = "final/test_nll"
ELBO = "final/test_nelbo"
FAILURES = ("diverged", "collapsed")


@dataclass(frozen=True)
class Row:
    """One method under one workload and budget; nats per example.

    Attributes:
        winner: the chosen trial's number, None where no trial reached the cap.
        seeds: confirmation runs that ended (infrastructure failures left out).
        nll, nelbo: over the seeds that neither collapsed nor diverged.
        confirm_failures, search_failures: rates by failure class.
        difference: NLL minus the baseline's over common seeds; None for the baseline itself.
        detectable: the smallest difference that these seeds could have seen with 80 % power.
        grad_evals: gradient evaluations spent on search within the budget, and on confirmation.
        trials: search trials by outcome, within the budget.
        setting: the winner's searched values.
        bimodal: the seeds fall into two groups; read the failure rates, not the mean alone.
    """

    workload: str
    budget: int
    method: str
    winner: int | None
    seeds: int
    nll: Interval
    nelbo: Interval
    confirm_failures: dict[str, Interval]
    search_failures: dict[str, Interval]
    difference: Interval | None
    detectable: float
    grad_evals: tuple[float, float]
    trials: dict[str, int]
    setting: dict[str, Any]
    bimodal: bool


@dataclass(frozen=True)
class Comparison:
    """All rows, best first within a workload and budget, and what may be said of each."""

    rows: tuple[Row, ...]
    answers: tuple[str, ...]
    baseline: str
    iwae_samples: int


def compare(records: Records) -> Comparison:
    """The comparison of a study's methods."""
    baseline = records.study["report"]["baseline"] or records.methods[0]
    rows: list[Row] = []
    answers: list[str] = []
    for workload in records.study["workloads"]:
        for budget in records.budgets:
            group = [_row(records, workload, budget, method, baseline) for method in records.methods]
            group.sort(key=lambda row: (math.isnan(row.nll.estimate), row.nll.estimate))
            rows += group
            answers.append(_answer(records, workload, budget, group))
    return Comparison(tuple(rows), tuple(answers), baseline, records.study["confirm"]["iwae_samples"])


def confirmed(records: Records, workload: str, method: str, budget: int) -> tuple[int | None, pd.DataFrame]:
    """The winner's number at a budget, and its confirmation runs that ended otherwise than by infrastructure."""
    search = _of(records, workload, method, "search")
    done = search[search["outcome"] == "done"]
    scores = dict(zip(done["trial"].astype(int), done.get("final/val_nelbo", pd.Series(dtype=float)), strict=True))
    chosen = winner(scores, budget)
    runs = _of(records, workload, method, "confirm")
    return chosen, runs[(runs["trial"] == chosen) & runs["outcome"].isin(["done", "diverged"])]


def sound(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that neither diverged nor collapsed."""
    return runs[(runs["outcome"] == "done") & (runs["failure"] == "none")]


def by_seed(runs: pd.DataFrame, metric: str) -> dict[int, float]:
    """A metric by confirmation seed; nothing where it was never measured."""
    if metric not in runs:
        return {}
    known = runs[runs[metric].notna()]
    return dict(zip(known["seed"].astype(int), known[metric].astype(float), strict=True))


def _of(records: Records, workload: str, method: str, stage: str) -> pd.DataFrame:
    runs = records.runs
    return runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == stage)]


def _row(records: Records, workload: str, budget: int, method: str, baseline: str) -> Row:
    chosen, runs = confirmed(records, workload, method, budget)
    search = _of(records, workload, method, "search")
    search = search[search["trial"] < budget]
    good = sound(runs)
    nll = by_seed(good, HEADLINE)
    theirs = by_seed(sound(confirmed(records, workload, baseline, budget)[1]), HEADLINE)
    common = sorted(set(nll) & set(theirs))
    ended = search[search["outcome"].isin(["done", "pruned", "diverged"])]
    return Row(
        workload, budget, method, chosen, len(runs), mean_interval(list(nll.values())),
        mean_interval(list(by_seed(good, ELBO).values())), _failures(runs), _failures(ended),
        None if method == baseline else paired_difference(nll, theirs),
        math.nan if method == baseline else detectable_difference([nll[s] - theirs[s] for s in common]),
        (_spent(search), _spent(runs)), {str(k): int(n) for k, n in search["outcome"].value_counts().items()},
        _setting(records, method, search, chosen), is_bimodal(list(by_seed(runs, HEADLINE).values())),
    )


def _failures(runs: pd.DataFrame) -> dict[str, Interval]:
    return {kind: rate_interval(int((runs["failure"] == kind).sum()), len(runs)) for kind in FAILURES}


def _spent(runs: pd.DataFrame) -> float:
    return float(runs["final/grad_evals"].sum()) if "final/grad_evals" in runs else 0.0


def _setting(records: Records, method: str, search: pd.DataFrame, chosen: int | None) -> dict[str, Any]:
    found = search[search["trial"] == chosen]
    if not len(found):
        return {}
    row = found.iloc[0]
    keys = [key for key in records.facts["searched"][method] if f"setting.{key}" in row]
    return {key: row[f"setting.{key}"] for key in keys if pd.notna(row[f"setting.{key}"])}


def _answer(records: Records, workload: str, budget: int, rows: list[Row]) -> str:
    """One sentence: who is ahead, or that the data cannot tell."""
    place = f"{workload}, best of {budget} trials"
    known = [row for row in rows if row.nll.n >= 2]
    if len(known) < 2:
        return f"{place}: not enough confirmed runs to compare methods yet."
    best = known[0]
    nlls = {row.method: by_seed(sound(confirmed(records, workload, row.method, budget)[1]), HEADLINE) for row in known}
    level = [row.method for row in known[1:]
             if not paired_difference(nlls[best.method], nlls[row.method]).high < 0]
    reached = f"{best.nll.estimate:.2f} nats per image"
    if not level:
        return f"{place}: {best.method} reaches the lowest test NLL, {reached}, ahead of every other method."
    return (f"{place}: {best.method} has the lowest mean test NLL, {reached}, but {best.nll.n} seeds cannot tell it "
            f"apart from {', '.join(level)}.")
