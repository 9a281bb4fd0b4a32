"""Methods ranked over workloads, and pairs of methods tested over units (replicates, or seeds), as Demsar 2006
recommends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA = 0.05
ROUNDING = 1e-9
MIN_WORKLOADS = 6
"""With five workloads and five methods, mean ranks lie at most 4 apart and the critical difference is already 2.7."""


@dataclass(frozen=True)
class Refusal:
    """Why a test was not made, with the numbers that decided it."""

    reason: str


@dataclass(frozen=True)
class FriedmanTest:
    """Whether methods rank alike over the workloads, and how far apart two ranks must be.

    Attributes:
        ranks: each method's mean rank, 1 is best; ties share their mean rank.
        statistic: Friedman's chi-squared (Demsar 2006, section 3.2.2), corrected for ties (Conover 1999, section 5.8).
        f: Iman and Davenport's F of it, which is less conservative; (k - 1) and (k - 1)(N - 1) degrees of freedom.
        p: of F; small where the methods do not rank alike.
        critical_difference: two mean ranks further apart than this differ at 5 % (Nemenyi).
    """

    ranks: dict[str, float]
    statistic: float
    f: float
    p: float
    critical_difference: float


def friedman(scores: Sequence[Mapping[str, float]]) -> FriedmanTest | Refusal:
    """The Friedman test of the methods' losses, with Nemenyi's critical difference; refused below six workloads.

    With d_ij the rank of method j on workload i less (k + 1) / 2, for N workloads and k methods, and with
    B = N sum_j mean_i(d_ij)^2 and T = sum_ij d_ij^2: chi2 = N (k - 1) B / T, F = (N - 1) B / (T - B) and
    CD = q_0.05 / sqrt(2) sqrt(k (k + 1) / (6 N)).

    Args:
        scores: per workload the loss of every method, lower is better; every workload has the same methods.

    Raises:
        ValueError: a workload lacks a method that another one has.
    """
    methods = list(scores[0]) if scores else []
    for place, row in enumerate(scores):
        if set(row) != set(methods):
            raise ValueError(f"every workload needs every method: workload {place} has {sorted(row)}, not {methods}")
    n, k = len(scores), len(methods)
    if n < MIN_WORKLOADS or k < 2:
        return Refusal(f"ranks need at least {MIN_WORKLOADS} workloads and 2 methods: here are {n} and {k}")
    ranks = stats.rankdata([[row[method] for method in methods] for row in scores], axis=1)
    apart = ranks - (k + 1) / 2
    between, total = n * float((apart.mean(axis=0) ** 2).sum()), float((apart**2).sum())
    chi2 = n * (k - 1) * between / total if total else 0.0
    f = _ratio((n - 1) * between, total - between)
    p = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    means = dict(zip(methods, ranks.mean(axis=0).tolist(), strict=True))
    return FriedmanTest(means, chi2, f, p, _critical_difference(n, k))


def _ratio(between: float, within: float) -> float:
    """0 where the methods tie on every workload, inf where every workload ranks them alike."""
    if within > ROUNDING:
        return between / within
    return math.inf if between > ROUNDING else 0.0


def _critical_difference(workloads: int, methods: int) -> float:
    q = float(stats.studentized_range.ppf(1 - ALPHA, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * workloads))


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test of two methods over the units that both have.

    Attributes:
        first: one method.
        second: the other.
        n: the units that both have.
        p: two-sided, of this pair alone; NaN without a common unit.
        adjusted: p after Holm's correction for all pairs.
        smallest: the smallest adjusted p that n units could give at all if this pair were the clearest.
    """

    first: str
    second: str
    n: int
    p: float
    adjusted: float
    smallest: float

    @property
    def verdict(self) -> str:
        """What the test says, or why it cannot say anything."""
        if not self.smallest < ALPHA:
            return f"undecidable: {self.n} in common cannot give an adjusted p below {self.smallest:.3g}"
        return "differ" if self.adjusted < ALPHA else "no difference found"


def units_needed(pairs: int) -> int:
    """The fewest units at which the clearest of so many pairs can differ at 5 % after Holm's correction.

    With n units that all agree, the signed-rank test has p = 2 / 2^n: the fewest n with 2 ``pairs`` / 2^n < 0.05.
    """
    return next(n for n in itertools.count(1) if _smallest(pairs, n) < ALPHA)


def wilcoxon_holm(scores: Mapping[str, Mapping[int, float]], unit: str = "seed") -> list[PairedTest] | Refusal:
    """Every pair of methods tested over their common units (``signed_rank``), and corrected as in Holm 1979.

    Refused where no pair has the ``units_needed`` to differ after the correction.

    Args:
        scores: per method and unit its loss.
        unit: what a unit is called.
    """
    pairs = list(itertools.combinations(scores, 2))
    common = [sorted(scores[one].keys() & scores[other].keys()) for one, other in pairs]
    most, needed = max(map(len, common), default=0), units_needed(len(pairs))
    if pairs and most < needed:
        return Refusal(
            f"{most} {unit}s cannot give an adjusted p below {_smallest(len(pairs), most):.3g}; "
            f"at {len(pairs)} pair{'s' * (len(pairs) > 1)} it takes {needed} {unit}s"
        )
    p = [
        signed_rank([scores[one][each] - scores[other][each] for each in units])
        for (one, other), units in zip(pairs, common, strict=True)
    ]
    return [
        PairedTest(*pair, len(units), alone, adjusted, _smallest(len(pairs), len(units)))
        for pair, units, alone, adjusted in zip(pairs, common, p, holm(p), strict=True)
    ]


def _smallest(pairs: int, units: int) -> float:
    return min(1.0, 2 * pairs * 0.5**units)


def signed_rank(differences: Sequence[float]) -> float:
    """The two-sided p of Wilcoxon's signed-rank test, without the differences of 0; NaN where there is none at all.

    Exact up to 50 differences, with ties up to 13 (scipy).
    """
    if not differences:
        return math.nan
    return float(stats.wilcoxon(differences).pvalue) if any(differences) else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """The p-values adjusted step by step: the i-th smallest of m times (m - i + 1), never falling, at most 1.

    NaN stays NaN and still counts as a test.
    """
    order = np.argsort(p)
    steps = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
