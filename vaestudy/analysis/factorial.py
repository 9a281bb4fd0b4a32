"""Optimizer x remedy: does annealing, free bits or a first stage still help once the optimizer is tuned at equal cost?

A study is a factorial where its methods fix their remedy and every optimizer meets every remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.analysis.compare import Comparison, Row
from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics import Interval, mean_interval, paired_difference

PLAIN = "none"


@dataclass(frozen=True)
class Effect:
    """What a remedy does to a tuned optimizer on a workload: test NLL with it less without it, paired by seed; nats."""

    workload: str
    optimizer: str
    remedy: str
    difference: Interval


@dataclass(frozen=True)
class Interaction:
    """How much more a remedy helps one optimizer than another: the difference of their effects, paired by seed."""

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
    factors = {
        method: (records.study["methods"][method]["optimizer"], remedy(records, method)) for method in records.methods
    }
    if None in [name for _, name in factors.values()]:
        return None
    optimizers, remedies = ({pair[index] for pair in factors.values()} for index in (0, 1))
    whole = len(set(factors.values())) == len(factors) == len(optimizers) * len(remedies)
    if not whole or len(optimizers) < 2 or len(remedies) < 2 or PLAIN not in remedies:
        return None
    rows = [row for row in comparison.rows if row.budget == records.budgets[-1]]
    ordered = sorted(rows, key=lambda row: records.methods.index(row.method))
    cells = {(row.workload, *_pair(factors[row.method])): row for row in ordered}
    effects = tuple(_effects(cells))
    return Factorial(cells, effects, tuple(_interactions(cells)))


def _pair(factors: tuple[str, str | None]) -> tuple[str, str]:
    assert factors[1] is not None
    return factors[0], factors[1]


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
    return [
        Effect(
            workload,
            optimizer,
            name,
            paired_difference(row.scores, cells[workload, optimizer, PLAIN].scores),
        )
        for (workload, optimizer, name), row in cells.items()
        if name != PLAIN
    ]


def _interactions(cells: Mapping[tuple[str, str, str], Row]) -> list[Interaction]:
    found = []
    for (workload, optimizer, name), row in cells.items():
        for (other_workload, other, other_name), theirs in cells.items():
            if name == other_name != PLAIN and workload == other_workload and optimizer < other:
                plain = cells[workload, optimizer, PLAIN].scores, cells[workload, other, PLAIN].scores
                seeds = sorted(set(row.scores) & set(theirs.scores) & set(plain[0]) & set(plain[1]))
                gaps = [(row.scores[s] - plain[0][s]) - (theirs.scores[s] - plain[1][s]) for s in seeds]
                found.append(Interaction(workload, name, optimizer, other, mean_interval(gaps)))
    return found
