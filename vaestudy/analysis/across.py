"""Across studies: which cells of several studies are the same, how their scores differ, and what is not comparable.

Cells are aligned by the digests of their workload and method, not by name. Scores are compared only where the search
and the scoring agree too, and at equal tuning budgets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from vaestudy.analysis import definitions
from vaestudy.analysis.compare import FAILURES, Comparison, Row, compare, means
from vaestudy.analysis.definitions import Definition, Difference
from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics.intervals import LEVEL, Interval
from vaestudy.analysis.statistics.methods import Scores, difference
from vaestudy.analysis.tables import DASH, estimate, paired, rate

PAIRED, WELCH = "paired by {unit}", "Welch"
HEADER = (
    "workload",
    "trials",
    "method",
    "study",
    "score ↓ [nats]",
    "sound seeds",
    *(f"{kind} [95 %]" for kind in FAILURES),
    "Δ to the first [nats] (detectable)",
    "interval",
)


@dataclass(frozen=True)
class Line:
    """One study's score of a cell that several studies have; nats per example.

    Attributes:
        workload, method: as the first of the studies names them.
        score: the primary score over the units of the confirmation runs that did not fail.
        seeds: confirmation runs that did not fail, of all that ended.
        difference: the score minus that of the first study in which the cell is; None for that study itself.
        test: how the difference's interval was made: paired by unit, or Welch's.
    """

    workload: str
    budget: int
    method: str
    study: str
    score: Interval
    seeds: tuple[int, int]
    failures: dict[str, Interval]
    difference: Interval | None
    test: str

    def cells(self) -> tuple[str, ...]:
        """The line as text, under ``HEADER``."""
        return (
            self.workload,
            str(self.budget),
            self.method,
            self.study,
            estimate(self.score),
            "{}/{}".format(*self.seeds),
            *(rate(self.failures[kind]) for kind in FAILURES),
            self._difference(),
            self.test or DASH,
        )

    def _difference(self) -> str:
        if self.difference is None:
            return "first"
        return estimate(self.difference, signed=True) if self.test == WELCH else paired(self.difference)


@dataclass(frozen=True)
class Obstacle:
    """Why something of two studies is not comparable: the key that differs, from the first's value to the second's.

    Attributes:
        what: e.g. ``workload mnist``, ``method adam``, ``every cell``.
        key: empty where only one of the studies has it at all.
    """

    first: str
    second: str
    what: str
    key: str
    old: str
    new: str
    why: str

    def __str__(self) -> str:
        change = f"{self.key}: {self.old} -> {self.new}; " if self.key else ""
        return f"{self.first} / {self.second}, {self.what}: {change}{self.why}"


@dataclass(frozen=True)
class Across:
    """Several studies side by side: what is comparable, what is not and why, and what a reader must know."""

    lines: tuple[Line, ...]
    obstacles: tuple[Obstacle, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Entrant:
    label: str
    records: Records
    comparison: Comparison

    @property
    def study(self) -> dict[str, Any]:
        return self.records.study

    @property
    def workloads(self) -> dict[str, Definition]:
        return {name: definitions.workload(self.study, name) for name in self.study["workloads"]}

    @property
    def methods(self) -> dict[str, Definition]:
        return {name: definitions.method(self.study, name) for name in self.study["methods"]}


_Group = list[tuple[_Entrant, Row]]


def across(studies: Mapping[str, Records]) -> Across:
    """Aligns the cells of two or more studies, given by the labels under which they are shown."""
    entrants = [_Entrant(label, records, compare(records)) for label, records in studies.items()]
    pairs = list(combinations(entrants, 2))
    groups = _groups(entrants)
    return Across(
        tuple(_line(group[0], member) for group in groups for member in group),
        tuple(obstacle for one, other in pairs for obstacle in _obstacles(one, other)),
        tuple(dict.fromkeys(note for one, other in pairs for note in _notes(one, other, groups))),
    )


# --- what is comparable -----------------------------------------------------------------------------------------------


def _groups(entrants: Sequence[_Entrant]) -> list[_Group]:
    """The rows that are the same cell at the same budget, judged alike; those that at least two studies have."""
    groups: dict[tuple[str, ...], _Group] = {}
    for entrant in entrants:
        workloads, methods = _identities(entrant.workloads), _identities(entrant.methods)
        rules = definitions.conditions(entrant.study).digest
        for row in entrant.comparison.rows:
            key = (workloads[row.workload], str(row.budget), methods[row.method], rules)
            groups.setdefault(key, []).append((entrant, row))
    return [group for group in groups.values() if len(group) > 1]


def _identities(named: Mapping[str, Definition]) -> dict[str, str]:
    """The digest by name; the second of the same digest is the counterpart of the second in another study."""
    seen: Counter[str] = Counter()
    found = {}
    for name, definition in named.items():
        seen[definition.digest] += 1
        found[name] = f"{definition.digest}#{seen[definition.digest]}"
    return found


def _line(first: tuple[_Entrant, Row], member: tuple[_Entrant, Row]) -> Line:
    (one, reference), (other, row) = first, member
    difference, test = None, ""
    if member is not first:
        difference, test = _difference(row.scores, reference.scores, _same_units(one, other))
        test = test.format(unit=one.records.unit)
    return Line(
        workload=reference.workload,
        budget=row.budget,
        method=reference.method,
        study=other.label,
        score=row.score,
        seeds=(row.sound, row.seeds),
        failures=row.confirm_failures,
        difference=difference,
        test=test,
    )


def _same_units(one: _Entrant, other: _Entrant) -> bool:
    """Whether a unit means the same initialisation, order and noise in both: a run's random numbers follow from the
    study's seed and its own."""
    return bool(one.study["seed"] == other.study["seed"] and one.records.unit == other.records.unit)


def _difference(ours: Scores, theirs: Scores, same_units: bool) -> tuple[Interval, str]:
    """Ours minus theirs."""
    if same_units and len(ours.keys() & theirs.keys()) >= 2:
        return difference(ours, theirs), PAIRED
    return welch_difference(list(means(ours).values()), list(means(theirs).values())), WELCH


def welch_difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The difference of two means with Welch's interval, by Satterthwaite's degrees of freedom (Welch 1947).

    As SciPy's ``ttest_ind(equal_var=False)``, and also where all values of a sample are equal. The interval is unknown
    (NaN) where a sample has fewer than two values.
    """
    n = len(ours) + len(theirs)
    if not ours or not theirs:
        return Interval(math.nan, math.nan, math.nan, n)
    difference = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2:
        return Interval(difference, math.nan, math.nan, n)
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (ours, theirs)]
    if sum(parts) == 0.0:
        return Interval(difference, difference, difference, n)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ours, theirs), strict=True)
    )
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(sum(parts))
    return Interval(difference, difference - half, difference + half, n)


# --- what is not, and why ---------------------------------------------------------------------------------------------


def _obstacles(one: _Entrant, other: _Entrant) -> Iterator[Obstacle]:
    rules = definitions.conditions(one.study).differences(definitions.conditions(other.study))
    for found in rules:
        yield _differs(one.label, other.label, "every cell", found)
    yield from _unmatched(one.label, other.label, "workload", one.workloads, other.workloads)
    yield from _unmatched(one.label, other.label, "method", one.methods, other.methods)
    mine, theirs = set(one.records.budgets), set(other.records.budgets)
    if mine != theirs:
        common = ", ".join(map(str, sorted(mine & theirs))) or "none"
        why = f"winners of unequal tuning budgets are not compared; in common: {common}"
        old, new = (str(sorted(budgets)) for budgets in (mine, theirs))
        yield Obstacle(one.label, other.label, "tuning budget", "trials", old, new, why)


def _differs(first: str, second: str, what: str, found: Difference) -> Obstacle:
    return Obstacle(first, second, what, found.key, found.old, found.new, definitions.why(found.key))


def _unmatched(
    first: str, second: str, kind: str, mine: Mapping[str, Definition], theirs: Mapping[str, Definition]
) -> Iterator[Obstacle]:
    """What has no equal in the other study: how it differs from its namesake, or that it has none."""
    digests = [{definition.digest for definition in side.values()} for side in (mine, theirs)]
    left = [name for name in mine if mine[name].digest not in digests[1]]
    right = [name for name in theirs if theirs[name].digest not in digests[0]]
    pairs = {name: name for name in left if name in right}
    if len(left) == len(right) == 1:
        pairs = {left[0]: right[0]}  # under two names, yet nothing else can be its counterpart
    for name, namesake in pairs.items():
        what = f"{kind} {name}" if name == namesake else f"{kind} {name} / {namesake}"
        for found in mine[name].differences(theirs[namesake]):
            yield _differs(first, second, what, found)
    for label, names in ((first, [n for n in left if n not in pairs]), (second, set(right) - set(pairs.values()))):
        for name in sorted(names):
            yield Obstacle(first, second, f"{kind} {name}", "", "", "", f"only {label} has it")


# --- what a reader must know ------------------------------------------------------------------------------------------


def _notes(one: _Entrant, other: _Entrant, groups: Sequence[_Group]) -> Iterator[str]:
    pair = f"{one.label} / {other.label}"
    shared = [rows for group in groups if {one, other} <= (rows := dict(group)).keys()]
    if one.records.facts["hash"] == other.records.facts["hash"]:
        yield f"{pair}: the same study by its hash; differences come from machines, code and failures alone"
    if shared and _same_units(one, other):
        paired_by = PAIRED.format(unit=one.records.unit)
        yield f"{pair}: the same study seed, hence common random numbers: differences are {paired_by}"
    elif shared and one.study["seed"] == other.study["seed"]:
        yield f"{pair}: one has replicates of its searches, the other one search each: {WELCH}'s interval"
    elif shared:
        seeds = f"{one.study['seed']} -> {other.study['seed']}"
        yield f"{pair}: different study seeds ({seeds}), no common random numbers: {WELCH}'s interval"
    for rows in shared:
        first, second = (f"{rows[entrant].workload}/{rows[entrant].method}" for entrant in (one, other))
        if first != second:
            yield f"{pair}: {first} and {second} are the same cell under two names"
    samplers = [entrant.study["search"]["sampler"]["name"] for entrant in (one, other)]
    if samplers[0] != samplers[1] and set(samplers) <= set(definitions.INDEPENDENT):
        yield f"{pair}: samplers {samplers[0]} -> {samplers[1]}, both of stage T: comparable"
    changed = _environment(one).differences(_environment(other)) if _known(one) and _known(other) else ()
    if changed:
        listed = "; ".join(f"{found.key}: {found.old} -> {found.new}" for found in changed)
        yield f"{pair}: made under other conditions, so seconds are not compared: {listed}"
    for entrant in (one, other):
        for row in entrant.comparison.rows:
            if row.bimodal:
                cell = f"{row.workload}/{row.method}"
                unit = entrant.records.unit
                yield f"{entrant.label}: {cell}'s {unit}s fall into two groups; read its failure rates, not its mean"
        if not _known(entrant):
            yield f"{entrant.label}: code and hardware were not recorded"


def _known(entrant: _Entrant) -> bool:
    return bool(entrant.records.facts.get("environment"))


def _environment(entrant: _Entrant) -> Definition:
    return Definition(dict(definitions.leaves(entrant.records.facts["environment"])))
