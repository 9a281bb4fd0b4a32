"""The comparison: per workload and budget, each method's confirmed winners with their uncertainty and their failures.

Rules of the protocol that live here: failed runs are counted, never averaged away; what is said of a method rests on
replicates of its whole search, else it is said of its winner alone; a difference is stated with its interval and with
what so many units could have seen; nobody wins where the data cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics.intervals import Interval, is_bimodal, rate_interval
from vaestudy.analysis.statistics.methods import (
    Scores,
    clustered_rate,
    critical_value,
    detectable,
    difference,
    estimate,
    leaders,
)
from vaestudy.analysis.winners import winner
from vaestudy.records import PRIMARY

FAILURES = ("diverged", "collapsed", "undertrained")
WORDS = {"elbo": "test −ELBO", "nll": "test NLL"}
"""The primary scores in words."""
ONE_SEARCH = (
    "Each method was searched once: this compares these winners, and says nothing of how another search would end "
    "(search.replicates)."
)


@dataclass(frozen=True)
class Row:
    """One method under one workload and budget; nats per example.

    Attributes:
        winners: the chosen trial's number by replicate; without a replicate in which no trial reached the cap.
        seeds: confirmation runs that ended (infrastructure failures left out); sound: those that did not fail.
        scores: the primary score by unit, in blocks of test examples, over the sound runs (``statistics.methods``).
        score: the primary score's mean over the units; nelbo, nll: of the test -ELBO and the test NLL.
        confirm_failures, search_failures: rates by failure class.
        difference: primary score minus the baseline's over common units, for all methods at once; None for the
            baseline itself.
        detectable: the smallest difference that so many units would have told apart with 80 % power.
        grad_evals: gradient evaluations spent on search within the budget, and on confirmation.
        trials: search trials by outcome, within the budget.
        settings: the winners' searched values, by key one for each replicate.
        bimodal: the units fall into two groups; read the failure rates, not the mean alone.
    """

    workload: str
    budget: int
    method: str
    winners: dict[int, int]
    seeds: int
    sound: int
    scores: Scores
    score: Interval
    nelbo: Interval
    nll: Interval
    confirm_failures: dict[str, Interval]
    search_failures: dict[str, Interval]
    difference: Interval | None
    detectable: float
    grad_evals: tuple[float, float]
    trials: dict[str, int]
    settings: dict[str, tuple[Any, ...]]
    bimodal: bool

    @property
    def failed(self) -> int:
        """Confirmation runs that failed, in whatever class."""
        return sum(rate.count for rate in self.confirm_failures.values())

    @property
    def failed_trials(self) -> int:
        """Search trials that failed, in whatever class."""
        return sum(rate.count for rate in self.search_failures.values())


@dataclass(frozen=True)
class Comparison:
    """All rows, best first within a workload and budget, and what may be said of each.

    Attributes:
        leading: the indices of the rows with the lowest primary score of their workload and budget, and of those that
            cannot be told apart from it.
        answers: one sentence or two per workload and budget.
        primary: ``elbo`` or ``nll``. unit: what statements rest on, ``replicate`` or ``seed``.
    """

    rows: tuple[Row, ...]
    leading: frozenset[int]
    answers: tuple[str, ...]
    baseline: str
    primary: str
    unit: str
    iwae_samples: int


def compare(records: Records) -> Comparison:
    """The comparison of a study's methods."""
    report, confirm = records.study["report"], records.study["confirm"]
    baseline = report["baseline"] or records.methods[0]
    rows: list[Row] = []
    answers: list[str] = []
    leading: set[int] = set()
    for workload in records.study["workloads"]:
        for budget in records.budgets:
            group = [_row(records, workload, budget, method, baseline) for method in records.methods]
            group.sort(key=lambda row: (row.score.n < 2, math.isnan(row.score.estimate), row.score.estimate))
            level = leaders({row.method: row.scores for row in group})
            leading |= {len(rows) + index for index, row in enumerate(group) if row.method in level}
            rows += group
            said = _answer(records, group, level)
            answers.append(f"{workload}, {budget_words(budget)}: {said}")
    return Comparison(
        tuple(rows),
        frozenset(leading),
        tuple(answers),
        baseline,
        report["primary"],
        records.unit,
        confirm["iwae_samples"],
    )


def budget_words(budget: int) -> str:
    """A tuning budget in words: ``best of 25 trials``, or that of nobody who tuned."""
    return f"best of {budget} trials" if budget else "published defaults"


# --- which runs -------------------------------------------------------------------------------------------------------


def winners(
    records: Records, workload: str, method: str, budget: int, metric: str = "final/val_nelbo"
) -> dict[int, int]:
    """The number of the best trial within a budget, by replicate; without those in which none reached the cap."""
    search = trials(records, workload, method)
    chosen = {r: winner(by_trial(search[search["replicate"] == r], metric), budget) for r in records.replicates}
    return {replicate: number for replicate, number in chosen.items() if number is not None}


def confirmed(records: Records, workload: str, method: str, budget: int) -> pd.DataFrame:
    """The confirmation runs of a method's winners at a budget, of all replicates, that ended otherwise than by
    infrastructure."""
    numbers = winners(records, workload, method, budget)
    runs = _of(records, workload, method, "confirm")
    return ended(runs[runs["trial"] == runs["replicate"].map(numbers)])


def trials(records: Records, workload: str, method: str) -> pd.DataFrame:
    """A method's search trials, by replicate and number."""
    return _of(records, workload, method, "search")


def ended(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that ended otherwise than by infrastructure."""
    return runs[runs["outcome"].isin(["done", "pruned", "diverged"])]


def sound(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that did not fail."""
    return runs[(runs["outcome"] == "done") & (runs["failure"] == "none")]


def _of(records: Records, workload: str, method: str, stage: str) -> pd.DataFrame:
    runs = records.runs
    return runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == stage)]


# --- what they measured -----------------------------------------------------------------------------------------------


def by_trial(search: pd.DataFrame, metric: str) -> dict[int, float]:
    """A metric of one search's trials that reached the cap, by their numbers; nothing where it was never measured."""
    if metric not in search:
        return {}
    known = search[(search["outcome"] == "done") & search[metric].notna()]
    return dict(zip(known["trial"].astype(int), known[metric].astype(float), strict=True))


def by_unit(records: Records, runs: pd.DataFrame, metric: str) -> dict[int, float]:
    """A metric's mean over the runs of each unit; without units in which it was never measured."""
    known = column(runs, metric).dropna()
    found = known.groupby(runs[records.unit]).mean()
    return dict(zip(found.index.astype(int).tolist(), found.tolist(), strict=True))


def scores(records: Records, runs: pd.DataFrame, metric: str) -> Scores:
    """A test score by unit: its blocks of test examples, means over the unit's runs; one block where none are known."""
    known = column(runs, metric).dropna()
    blocks = records.blocks(metric)
    by_run = {
        uid: blocks.get(uid, np.array([value])) for uid, value in zip(runs["uid"][known.index], known, strict=True)
    }
    units: dict[int, list[str]] = {}
    for unit, uid in zip(runs[records.unit][known.index].astype(int), by_run, strict=True):
        units.setdefault(unit, []).append(uid)
    return {unit: np.mean([by_run[uid] for uid in uids], axis=0) for unit, uids in units.items()}


def means(found: Scores) -> dict[int, float]:
    """The score of each unit, nats per example."""
    return {unit: float(blocks.mean()) for unit, blocks in found.items()}


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(records: Records, workload: str, budget: int, method: str, baseline: str) -> Row:
    runs = confirmed(records, workload, method, budget)
    search = trials(records, workload, method)
    search = search[search["trial"] < budget]
    test = {name: scores(records, sound(runs), metric) for name, metric in PRIMARY.items()}
    primary = records.study["report"]["primary"]
    ours = test[primary]
    theirs = scores(records, sound(confirmed(records, workload, baseline, budget)), PRIMARY[primary])
    critical = critical_value(len(ours.keys() & theirs.keys()), len(records.methods))
    own = method == baseline
    chosen = winners(records, workload, method, budget)
    return Row(
        workload,
        budget,
        method,
        chosen,
        len(runs),
        len(sound(runs)),
        ours,
        score=estimate(ours),
        nelbo=estimate(test["elbo"]),
        nll=estimate(test["nll"]),
        confirm_failures=_failures(runs, records.unit),
        search_failures=_failures(ended(search), "replicate" if records.unit == "replicate" else "trial"),
        difference=None if own else difference(ours, theirs, critical),
        detectable=math.nan if own else detectable(ours, theirs, critical),
        grad_evals=(_spent(search), _spent(runs)),
        trials={str(outcome): int(n) for outcome, n in search["outcome"].value_counts().items()},
        settings=_settings(records, method, search if budget else runs, chosen),
        bimodal=is_bimodal(list(by_unit(records, runs, PRIMARY[primary]).values()))
        or is_bimodal(list(means(ours).values())),
    )


def _failures(runs: pd.DataFrame, unit: str) -> dict[str, Interval]:
    """The rate of each failure class; where searches were repeated, its interval counts them rather than runs."""
    return {kind: _rate(runs["failure"] == kind, runs[unit]) for kind in FAILURES}


def _rate(counted: pd.Series[bool], units: pd.Series[int]) -> Interval:
    if units.is_unique:
        return rate_interval(int(counted.sum()), len(counted))
    return clustered_rate([(int(one.sum()), len(one)) for _, one in counted.groupby(units)])


def _spent(runs: pd.DataFrame) -> float:
    return float(column(runs, "final/grad_evals").sum())


def _settings(
    records: Records, method: str, runs: pd.DataFrame, chosen: Mapping[int, int]
) -> dict[str, tuple[Any, ...]]:
    """The searched values of the winners, by key one for each replicate in which the key applies."""
    found = runs[runs["trial"] == runs["replicate"].map(chosen)].drop_duplicates("replicate")
    keys = [key for key in records.facts["searched"][method] if f"setting.{key}" in found]
    values = {key: tuple(found[f"setting.{key}"].dropna()) for key in keys}
    return {key: value for key, value in values.items() if value}


# --- answers ----------------------------------------------------------------------------------------------------------


def _answer(records: Records, rows: Sequence[Row], level: Sequence[str]) -> str:
    """Who is ahead, or that the data cannot tell; what this rests on; whose failures the means leave out."""
    known = [row for row in rows if row.score.n >= 2]
    if len(known) < 2:
        return "not enough confirmed runs without a failure to compare methods." + _failing(rows)
    best, word = known[0], WORDS[records.study["report"]["primary"]]
    lead = f"{best.method} has the lowest mean {word}, {best.score.estimate:.2f} nats per example"
    others = [method for method in level if method != best.method]
    if others:
        units = f"{best.score.n} {records.unit}s"
        lead += f", but cannot be told apart from {_listed(others)} with {units}"
    else:
        behind = "every other method" if len(known) == len(rows) else ", ".join(row.method for row in known[1:])
        lead += f", ahead of {behind}"
    limits = "" if records.unit == "replicate" else f" {ONE_SEARCH}"
    return f"{lead}.{limits}{_failing(rows)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _failing(rows: Sequence[Row]) -> str:
    """The confirmation runs that failed, which no mean shows."""
    counts = [f"{row.method} {row.failed} of {row.seeds}" for row in rows if row.failed]
    if not counts:
        return " No confirmation run failed."
    return f" Failed, and in no mean: {', '.join(counts)}."
