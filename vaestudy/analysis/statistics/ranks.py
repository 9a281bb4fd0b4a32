"""Methods ranked over workloads, and pairs of methods tested over seeds, as Demsar 2006 recommends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA = 0.05
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
        statistic: Friedman's chi-squared (Demsar 2006, section 3.2.2).
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

    chi2 = 12 N / (k (k + 1)) (sum_j R_j^2 - k (k + 1)^2 / 4), F = (N - 1) chi2 / (N (k - 1) - chi2),
    CD = q_0.05 / sqrt(2) sqrt(k (k + 1) / (6 N)) for N workloads and k methods.

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
    ranks = np.mean([stats.rankdata([row[method] for method in methods]) for row in scores], axis=0)
    chi2 = 12 * n / (k * (k + 1)) * (float(ranks @ ranks) - k * (k + 1) ** 2 / 4)
    left = n * (k - 1) - chi2
    f = (n - 1) * chi2 / left if left > 1e-9 else math.inf  # every workload ranks the methods alike
    p = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return FriedmanTest(dict(zip(methods, ranks.tolist(), strict=True)), chi2, f, p, _critical_difference(n, k))


def _critical_difference(workloads: int, methods: int) -> float:
    q = float(stats.studentized_range.ppf(1 - ALPHA, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * workloads))


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test of two methods over the seeds that both have.

    Attributes:
        first: one method.
        second: the other.
        n: the seeds that both have.
        p: two-sided, of this pair alone; NaN without a common seed.
        adjusted: p after Holm's correction for all pairs.
        smallest: the smallest adjusted p that n seeds could give at all if this pair were the clearest.
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
            return f"undecidable: {self.n} common seeds cannot give an adjusted p below {self.smallest:.3g}"
        return "differ" if self.adjusted < ALPHA else "no difference found"


def wilcoxon_holm(scores: Mapping[str, Mapping[int, float]]) -> list[PairedTest]:
    """Every pair of methods tested over their common seeds, exactly where scipy can, and corrected as in Holm 1979.

    Args:
        scores: per method and seed the loss of its run.
    """
    pairs = list(itertools.combinations(scores, 2))
    seeds = {pair: sorted(set(scores[pair[0]]) & set(scores[pair[1]])) for pair in pairs}
    p = [_signed_rank([scores[a][seed] - scores[b][seed] for seed in seeds[a, b]]) for a, b in pairs]
    return [
        PairedTest(*pair, len(seeds[pair]), p_alone, adjusted, min(1.0, len(pairs) * 2.0 ** (1 - len(seeds[pair]))))
        for pair, p_alone, adjusted in zip(pairs, p, holm(p), strict=True)
    ]


def _signed_rank(differences: list[float]) -> float:
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
