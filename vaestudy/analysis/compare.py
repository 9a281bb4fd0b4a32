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
from vaestudy.analysis.statistics.intervals import (
    Interval,
    detectable_difference,
    is_bimodal,
    mean_interval,
    paired_difference,
    rate_interval,
)
from vaestudy.analysis.winners import winner

HEADLINE = "final/test_nll"
ELBO = "final/test_nelbo"
FAILURES = ("diverged", "collapsed")


@dataclass(frozen=True)
class Row:
    """One method under one workload and budget; nats per example.

    Attributes:
        winner: the chosen trial's number, None where no trial reached the cap.
        seeds: confirmation runs that ended (infrastructure failures left out).
        scores: test NLL by seed, of the seeds that neither collapsed nor diverged.
        nll, nelbo: over those seeds.
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
    scores: dict[int, float]
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

    @property
    def failed(self) -> int:
        """Confirmation runs that diverged or collapsed."""
        return sum(rate.count for rate in self.confirm_failures.values())

    @property
    def failed_trials(self) -> int:
        """Search trials that diverged or collapsed."""
        return sum(rate.count for rate in self.search_failures.values())


@dataclass(frozen=True)
class Comparison:
    """All rows, best first within a workload and budget, and what may be said of each.

    Attributes:
        leading: the indices of the rows with the lowest NLL of their workload and budget, and of those that their
            seeds cannot tell apart from it.
        answers: one sentence or two per workload and budget.
    """

    rows: tuple[Row, ...]
    leading: frozenset[int]
    answers: tuple[str, ...]
    baseline: str
    iwae_samples: int


def compare(records: Records) -> Comparison:
    """The comparison of a study's methods."""
    baseline = records.study["report"]["baseline"] or records.methods[0]
    rows: list[Row] = []
    answers: list[str] = []
    leading: set[int] = set()
    for workload in records.study["workloads"]:
        for budget in records.budgets:
            group = [_row(records, workload, budget, method, baseline) for method in records.methods]
            group.sort(key=lambda row: (row.nll.n < 2, math.isnan(row.nll.estimate), row.nll.estimate))
            level = _leaders(group)
            leading |= {len(rows) + index for index, row in enumerate(group) if row in level}
            rows += group
            answers.append(f"{workload}, {budget_words(budget)}: {_answer(group, level)}")
    iwae_samples = records.study["confirm"]["iwae_samples"]
    return Comparison(tuple(rows), frozenset(leading), tuple(answers), baseline, iwae_samples)


def budget_words(budget: int) -> str:
    """A tuning budget in words: ``best of 25 trials``, or that of nobody who tuned."""
    return f"best of {budget} trials" if budget else "published defaults"


def confirmed(records: Records, workload: str, method: str, budget: int) -> tuple[int | None, pd.DataFrame]:
    """The winner's number at a budget, and its confirmation runs that ended otherwise than by infrastructure."""
    search = trials(records, workload, method)
    chosen = winner(by_trial(search, "final/val_nelbo"), budget)
    runs = _of(records, workload, method, "confirm")
    return chosen, ended(runs[runs["trial"] == chosen])


def trials(records: Records, workload: str, method: str) -> pd.DataFrame:
    """A method's search trials, by number."""
    return _of(records, workload, method, "search")


def ended(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that ended otherwise than by infrastructure."""
    return runs[runs["outcome"].isin(["done", "pruned", "diverged"])]


def sound(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that neither diverged nor collapsed."""
    return runs[(runs["outcome"] == "done") & (runs["failure"] == "none")]


def by_trial(search: pd.DataFrame, metric: str) -> dict[int, float]:
    """A metric of the trials that reached the cap, by their numbers; nothing where it was never measured."""
    return _by(search[search["outcome"] == "done"], "trial", metric)


def by_seed(runs: pd.DataFrame, metric: str) -> dict[int, float]:
    """A metric by confirmation seed; nothing where it was never measured."""
    return _by(runs, "seed", metric)


def _by(runs: pd.DataFrame, key: str, metric: str) -> dict[int, float]:
    if metric not in runs:
        return {}
    known = runs[runs[metric].notna()]
    return dict(zip(known[key].astype(int), known[metric].astype(float), strict=True))


def _of(records: Records, workload: str, method: str, stage: str) -> pd.DataFrame:
    runs = records.runs
    return runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == stage)]


def _row(records: Records, workload: str, budget: int, method: str, baseline: str) -> Row:
    chosen, runs = confirmed(records, workload, method, budget)
    search = trials(records, workload, method)
    search = search[search["trial"] < budget]
    scores, nelbos = by_seed(sound(runs), HEADLINE), by_seed(sound(runs), ELBO)
    theirs = by_seed(sound(confirmed(records, workload, baseline, budget)[1]), HEADLINE)
    own = method == baseline
    return Row(
        workload,
        budget,
        method,
        chosen,
        len(runs),
        scores,
        nll=mean_interval(list(scores.values())),
        nelbo=mean_interval(list(nelbos.values())),
        confirm_failures=_failures(runs),
        search_failures=_failures(ended(search)),
        difference=None if own else paired_difference(scores, theirs),
        detectable=math.nan if own else detectable_difference(scores, theirs),
        grad_evals=(_spent(search), _spent(runs)),
        trials={str(outcome): int(n) for outcome, n in search["outcome"].value_counts().items()},
        setting=_setting(records, method, search if budget else runs, chosen),
        bimodal=is_bimodal(list(by_seed(runs, HEADLINE).values())) or is_bimodal(list(scores.values())),
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


def _leaders(rows: list[Row]) -> list[Row]:
    """The row with the lowest mean NLL and those whose difference to it has an interval that reaches 0."""
    known = [row for row in rows if row.nll.n >= 2]
    level = [row for row in known[1:] if not paired_difference(known[0].scores, row.scores).high < 0]
    return [*known[:1], *level]


def _answer(rows: list[Row], level: list[Row]) -> str:
    """Who is ahead, or that the data cannot tell; and whose failures the means leave out."""
    known = [row for row in rows if row.nll.n >= 2]
    if len(known) < 2:
        return "not enough confirmed runs that neither diverged nor collapsed to compare methods." + _failing(rows)
    best, *others = level
    lead = f"{best.method} has the lowest mean test NLL, {best.nll.estimate:.2f} nats per image"
    if others:
        names = ", ".join(row.method for row in others)
        return f"{lead}, but cannot be told apart from {names} at {best.nll.n} seeds.{_failing(rows)}"
    behind = "every other method" if len(known) == len(rows) else ", ".join(row.method for row in known[1:])
    return f"{lead}, ahead of {behind}.{_failing(rows)}"


def _failing(rows: list[Row]) -> str:
    """The confirmation runs that failed, which no mean shows."""
    counts = [f"{row.method} {row.failed} of {row.seeds}" for row in rows if row.failed]
    if not counts:
        return " No confirmation run collapsed or diverged."
    return f" Collapsed or diverged, and in no mean: {', '.join(counts)}."
