"""Optimizer x remedy: does annealing, free bits or a first stage still help once the optimizer is tuned at equal cost?

A study is a factorial where its methods fix their remedy and every optimizer meets every remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaestudy.analysis.compare import Comparison, Row
from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.methods import Scores, difference, simultaneous

PLAIN = "none"


@dataclass(frozen=True)
class Effect:
    """What a remedy does to a tuned optimizer on a workload: the primary score with it less without it, paired by
    unit, for all effects of the workload at once; nats."""

    workload: str
    optimizer: str
    remedy: str
    difference: Interval


@dataclass(frozen=True)
class Interaction:
    """How much more a remedy helps one optimizer than another: the difference of their effects, paired by
    unit, for all interactions of the workload at once; nats."""

    workload: str
    remedy: str
    optimizer: str
    other: str
    difference: Interval


@dataclass(frozen=True)
class Factorial:
    """The effects of remedies by optimizer, and the interactions of both.

    Attributes:
        cells: by (workload, optimizer, remedy) the confirmed method at the largest budget.
    """

    cells: Mapping[tuple[str, str, str], Row]
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]

    @property
    def optimizers(self) -> list[str]:
        return list(dict.fromkeys(optimizer for _, optimizer, _ in self.cells))

    @property
    def remedies(self) -> list[str]:
        return list(dict.fromkeys(remedy for _, _, remedy in self.cells))


def factorial(records: Records, comparison: Comparison) -> Factorial | None:
    """The factorial that a study's methods make, None where they make none."""
    found = {method: remedy(records, method) for method in records.methods}
    fixed = {method: name for method, name in found.items() if name is not None}
    factors = {method: (records.study["methods"][method]["optimizer"], name) for method, name in fixed.items()}
    if len(factors) < len(found) or not _is_crossed(set(factors.values()), len(factors)):
        return None
    rows = [row for row in comparison.rows if row.budget == records.budgets[-1]]
    workloads = list(records.study["workloads"])
    rows.sort(key=lambda row: (workloads.index(row.workload), records.methods.index(row.method)))
    cells = {(row.workload, *factors[row.method]): row for row in rows}
    return Factorial(cells, tuple(_effects(cells)), tuple(_interactions(cells)))


def _is_crossed(pairs: set[tuple[str, str]], methods: int) -> bool:
    """Whether every optimizer meets every remedy, and none, in a method of its own; two of each at least."""
    optimizers, remedies = {optimizer for optimizer, _ in pairs}, {name for _, name in pairs}
    whole = len(pairs) == methods == len(optimizers) * len(remedies)
    return whole and len(optimizers) > 1 and len(remedies) > 1 and PLAIN in remedies


def remedy(records: Records, method: str) -> str | None:
    """The remedies that a method fixes, joined; ``none`` where it has none, None where it searches for them."""
    study = records.study
    searched = {*study["methods"][method]["search"], *study["shared_search"]}
    if any(key.startswith(("train.beta.", "train.free_bits.", "train.stages.")) for key in searched):
        return None
    train = _train(study, method)
    found = {
        "annealing": train["beta"]["schedule"] != "constant" and train["beta"]["over"] > 0,
        "free bits": train["free_bits"]["nats"] > 0,
        "two-stage": any(0 < (stage["share"] or 0) < 1 for stage in train["stages"]),
    }
    return " + ".join(name for name, on in found.items() if on) or PLAIN


def _train(study: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The training section as a method fixes it."""
    train = study["train"]
    fixed = study["methods"][method]["fixed"]
    sections = {
        name: {key: fixed.get(f"train.{name}.{key}", value) for key, value in train[name].items()}
        for name in ("beta", "free_bits")
    }
    stages = [
        {key: fixed.get(f"train.stages.{stage['name']}.{key}", value) for key, value in stage.items()}
        for stage in train["stages"]
    ]
    return {**sections, "stages": stages}


def _effects(cells: Mapping[tuple[str, str, str], Row]) -> list[Effect]:
    remedied = [key for key in cells if key[2] != PLAIN]
    return [
        Effect(*key, _at_once(cells[key].scores, cells[key[0], key[1], PLAIN].scores, _alike(remedied, key)))
        for key in remedied
    ]


def _interactions(cells: Mapping[tuple[str, str, str], Row]) -> list[Interaction]:
    pairs = [
        (one, other)
        for one in cells
        for other in cells
        if one[0] == other[0] and one[2] == other[2] != PLAIN and one[1] < other[1]
    ]
    found = []
    for one, other in pairs:
        gains = [_less(cells[key].scores, cells[key[0], key[1], PLAIN].scores) for key in (one, other)]
        count = _alike([first for first, _ in pairs], one)
        found.append(Interaction(one[0], one[2], one[1], other[1], _at_once(gains[0], gains[1], count)))
    return found


def _alike(keys: Sequence[tuple[str, str, str]], key: tuple[str, str, str]) -> int:
    """How many of the keys are of the same workload."""
    return sum(other[0] == key[0] for other in keys)


def _less(ours: Scores, theirs: Scores) -> Scores:
    return {unit: ours[unit] - theirs[unit] for unit in ours.keys() & theirs.keys()}


def _at_once(ours: Scores, theirs: Scores, comparisons: int) -> Interval:
    """The difference, with an interval that holds for so many comparisons at once."""
    return difference(ours, theirs, simultaneous(len(ours.keys() & theirs.keys()), comparisons))
