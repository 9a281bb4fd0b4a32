"""One workload's data as claims need them: which methods stand for a family, and their numbers by unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vaestudy.analysis.compare import WORDS, Comparison, Row, by_unit, confirmed, sound, trials
from vaestudy.analysis.families import KINDS, family, kind
from vaestudy.analysis.frames import Records
from vaestudy.analysis.outcomes import wider
from vaestudy.analysis.statistics.intervals import ROUNDING, Interval, rate_difference
from vaestudy.analysis.statistics.methods import Scores, detectable, difference, simultaneous
from vaestudy.analysis.targets import Reach
from vaestudy.analysis.verdicts import at_once


@dataclass(frozen=True)
class Pair:
    """The methods that stand for two families.

    Attributes:
        comparisons: how many pairs of their members there are, any of which might have been compared.
        told: of which members they are the best, in words; empty where each family has one.
    """

    one: Row
    other: Row
    comparisons: int
    told: str

    @property
    def rows(self) -> tuple[Row, Row]:
        """Both, in order."""
        return self.one, self.other


class Evidence:
    """What a study's records tell of one workload at the largest budget."""

    def __init__(self, records: Records, comparison: Comparison, reaches: Sequence[Reach], workload: str):
        self.records = records
        self.workload = workload
        self.score = WORDS[comparison.primary]
        self.replicated = comparison.unit == "replicate"
        self.reaches = {reach.method: reach for reach in reaches if reach.workload == workload}
        budget = records.budgets[-1]
        self._rows = [row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)]

    @property
    def others(self) -> list[str]:
        """The families of the study that the field has no claims about, in the order of the methods."""
        found = dict.fromkeys(family(self.records, method) for method in self.records.methods)
        return [name for name in found if name not in KINDS]

    def members(self, name: str) -> list[Row]:
        """A family's methods that have a primary score, the best first."""
        return [row for row in self._rows if row.score.n and family(self.records, row.method) == name]

    def pair(self, one: str, other: str) -> Pair | str:
        """The methods with the lowest primary score of two families, or which of the families has none."""
        ours, theirs = self.members(one), self.members(other)
        missing = [kind(name) for name, found in ((one, ours), (other, theirs)) if not found]
        if missing:
            return f"no confirmed method of {' and none of '.join(missing)}"
        return Pair(ours[0], theirs[0], len(ours) * len(theirs), best_of(ours) + best_of(theirs))

    def of_winners(self, statement: str) -> str:
        """A statement about tuned methods; where each was searched once, about these winners."""
        return statement if self.replicated else f"Of these winners: {statement}"

    def of_trials(self, statement: str) -> str:
        """A statement about search trials; where each method was searched once, about those of one search."""
        return statement if self.replicated else f"Of the trials of one search: {statement}"

    def paired(self, ours: Scores, theirs: Scores, comparisons: int) -> Interval:
        """The difference by unit, for so many comparisons at once; without an interval where no two units differ: so
        few values cannot show that they never would."""
        found = difference(ours, theirs, _critical(ours, theirs, comparisons))
        if found.high - found.low < ROUNDING:
            return Interval(found.estimate, math.nan, math.nan, found.n)
        return found

    def detectable(self, ours: Scores, theirs: Scores, comparisons: int) -> float:
        """The smallest difference that so many comparisons at once would have told apart with 80 % power."""
        return detectable(ours, theirs, _critical(ours, theirs, comparisons))

    def search(self, *methods: str) -> pd.DataFrame:
        """The ended search trials of these methods, of all replicates."""
        found = pd.concat([trials(self.records, self.workload, method) for method in methods])
        return found[found["outcome"].isin(["done", "diverged"])]

    def confirmed(self, method: str) -> pd.DataFrame:
        """The confirmation runs of a method's winners that did not fail."""
        return sound(confirmed(self.records, self.workload, method, self.records.budgets[-1]))

    def more(self, failure: str, ours: pd.DataFrame, theirs: pd.DataFrame, comparisons: int) -> Interval:
        """How much more of our search trials end in a failure class than of theirs, as a difference of shares.

        Paired by replicate where there are several, and then never surer than independent trials are (``wider``).
        """
        one, other = (search.assign(counted=search["failure"] == failure) for search in (ours, theirs))
        counts = (int(one["counted"].sum()), len(one), int(other["counted"].sum()), len(other))
        pooled = rate_difference(*counts, at_once(comparisons))
        if not self.replicated:
            return pooled
        shares = [as_scores(by_unit(self.records, search, "counted")) for search in (one, other)]
        return wider(self.paired(shares[0], shares[1], comparisons), pooled)


def best_of(members: Sequence[Row]) -> str:
    """Who stands for a family of several, in words: ``; momentum: the best of momentum, sgd``."""
    if len(members) < 2:
        return ""
    return f"; {members[0].method}: the best of {', '.join(row.method for row in members)}"


def as_scores(values: Mapping[int, float]) -> Scores:
    """Numbers by unit as scores of one block."""
    return {unit: np.array([value]) for unit, value in values.items()}


def _critical(ours: Scores, theirs: Scores, comparisons: int) -> float:
    return simultaneous(len(ours.keys() & theirs.keys()), comparisons)
