"""Methods compared over replicates of their whole search: means, differences, all pairs of methods at once.

A method's scores are given by unit: the replicate where the search was repeated, the confirmation seed where it was
not. Each unit has G block values, whose plain mean is its score (nats, lower is better): block g holds the same test
examples for every unit and method. G is 1 where no blocks are known; the test examples' error is then left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from vaestudy.analysis.statistics.intervals import LEVEL, Interval, exact_ends, noncentrality, reach, students_quantile
from vaestudy.analysis.statistics.resampling import Array

Scores = Mapping[int, Array]
"""From the unit (replicate or seed) to its block values [G]."""

MIN_UNITS = 2


@dataclass(frozen=True)
class _Mean:
    """A mean over R units and G blocks with the two parts of its variance: between units, and over test examples."""

    value: float
    between: float
    examples: float
    units: int
    blocks: int


def estimate(scores: Scores, critical: float | None = None) -> Interval:
    """The method's mean over its units with its 95 % interval; unknown (NaN) ends below two units.

    With x[r, g] the value of unit r in block g, R units and G blocks, the variance of the mean is

        s^2 / R + v / G,  s^2 = var_r(mean_g x[r, g]),  v = var_g(mean_r x[r, g]).

    The first part holds what differs between units: search, seeds, evaluation noise. The second holds which test
    examples there are; they are the same for all units, so that no number of units makes it smaller. What belongs to
    a single unit and block is in both parts: the interval is at most too wide.

    Half of its length is sqrt(c^2 s^2 / R + t^2 v / G), with c = ``reach(R - 1)``, so that skewed units are covered as
    well, and Student's t at G - 1 degrees of freedom. Whatever the ratio of the parts, that covers the truth in 95 % of
    studies or more (Banerjee 1960), where Satterthwaite's degrees of freedom do not: with few units they are too many
    just where the spread is underestimated.

    Args:
        scores: by unit the block values [G]; where units differ in G, their means are taken as G = 1.
        critical: as of ``difference``.
    """
    return _interval(_mean(_stacked(list(scores.values()))), critical)


def difference(ours: Scores, theirs: Scores, critical: float | None = None) -> Interval:
    """The mean difference, ours less theirs, over the units that both have, with its interval; NaN below two of them.

    The formulas are those of ``estimate`` for the differences x[r, g] = ours[r, g] - theirs[r, g]: what a unit or a
    test example does to both methods alike is in neither part.

    Args:
        ours: by unit the block values [G].
        theirs: the other method's.
        critical: what takes the place of c, where that makes the interval longer (``critical_value``); t is then the
            quantile with the same tail probability.
    """
    return _interval(_mean(_paired(ours, theirs)), critical)


def critical_value(units: int, methods: int) -> float:
    """How many standard errors apart two of these methods must be, so that equal ones are told apart in at most 5 % of
    studies: for all m (m - 1) / 2 pairs at once, NaN below two units.

    ``simultaneous`` for the m (m - 1) / 2 pairs of m methods: Student's quantile at 1 - 0.05 / (m (m - 1)) holds
    whatever the spreads of the methods. The distribution of the largest |t| of methods of equal spread would make the
    intervals 2 to 3 % shorter (docs/decisions/0005-intervals.md).
    """
    return simultaneous(units, math.comb(methods, 2))


def simultaneous(units: int, comparisons: int) -> float:
    """How many standard errors intervals must reach that hold for so many comparisons over these units at once; NaN
    below two units.

    Student's quantile at 1 - 0.05 / (2 c) for c comparisons (Bonferroni; Dunn 1961).
    """
    if units < MIN_UNITS:
        return math.nan
    return students_quantile(1 - (1 - LEVEL) / (2 * max(comparisons, 1)), units - 1)


def differences(scores: Mapping[str, Scores]) -> dict[tuple[str, str], Interval]:
    """Every pair's difference, the first less the second, with intervals that hold for all pairs at once.

    All of them enclose their truths in 95 % of studies. Each pair has the critical value of the units that both have.
    """
    return {
        (one, other): difference(scores[one], scores[other], _critical(scores, one, other))
        for one, other in itertools.combinations(scores, 2)
    }


def leaders(scores: Mapping[str, Scores]) -> list[str]:
    """The method with the lowest mean and those that cannot be told apart from it, by rising mean.

    Told apart is a method whose difference to the best has an interval of ``differences`` above 0: equal methods are
    in at most 5 % of studies. Methods with fewer than two units are left out.
    """
    known = {name: found for name, found in scores.items() if len(found) >= MIN_UNITS}
    if not known:
        return []
    best, *others = sorted(known, key=lambda name: (estimate(known[name]).estimate, name))
    apart = {name: difference(known[name], known[best], _critical(known, name, best)) for name in others}
    return [best, *(name for name in others if not apart[name].low > 0)]


def detectable(ours: Scores, theirs: Scores, critical: float | None = None, power: float = 0.8) -> float:
    """The smallest true difference whose interval leaves out 0 with this power; NaN below two units.

    With half the interval's length h and the standard error e as found: e times the noncentrality d with
    P(T(d) > h / e) = power, for the noncentral t at Satterthwaite's degrees of freedom.
    """
    found = _mean(_paired(ours, theirs))
    if found.units < MIN_UNITS:
        return math.nan
    error = math.hypot(found.between**0.5, found.examples**0.5)
    return error * noncentrality(_half(found, critical) / error, _freedom(found), power) if error > 0 else 0.0


def clustered_rate(counts: Sequence[tuple[int, int]]) -> Interval:
    """A rate over runs that come in units, whose runs are alike: its interval counts units rather than runs.

    The exact interval of Clopper and Pearson with the effective number of runs of Korn and Graubard 1998 ("Confidence
    intervals for proportions with small expected number of positive counts", section 2.3):

        n* = p (1 - p) / v (t_0.975(n - 1) / t_0.975(R - 1))^2,  v = R / (R - 1) sum_r (x_r - p n_r)^2 / n^2

    for x_r of the n_r runs of unit r of R; at most n. Where no unit differs from another v says nothing, and n* = R: a
    unit counts as one run.

    Args:
        counts: of each unit how many runs are counted, of how many.

    Returns:
        The interval; its ``n`` is the number of runs. NaN where there are none.
    """
    known = [(x, n) for x, n in counts if n]
    total, units = sum(n for _, n in known), len(known)
    if not total:
        return Interval(math.nan, math.nan, math.nan, 0)
    rate = sum(x for x, _ in known) / total
    effective = float(units)
    variance = sum((x - rate * n) ** 2 for x, n in known) * units / max(units - 1, 1) / total**2
    if units > 1 and variance > 0:
        few, many = (students_quantile((1 + LEVEL) / 2, freedom) for freedom in (units - 1, total - 1))
        effective = min(rate * (1 - rate) / variance * (many / few) ** 2, float(total))
    return Interval(rate, *exact_ends(rate * effective, effective), total)


def _critical(scores: Mapping[str, Scores], one: str, other: str) -> float:
    return critical_value(len(scores[one].keys() & scores[other].keys()), len(scores))


def _interval(found: _Mean, critical: float | None) -> Interval:
    half = _half(found, critical)
    return Interval(found.value, found.value - half, found.value + half, found.units)


def _half(found: _Mean, critical: float | None) -> float:
    """Half the interval's length; NaN below two units."""
    if found.units < MIN_UNITS:
        return math.nan
    alone = _length(found, reach(found.units - 1), (1 + LEVEL) / 2)
    if critical is None:
        return alone
    return max(alone, _length(found, critical, float(special.stdtr(found.units - 1, critical))))


def _length(found: _Mean, units: float, share: float) -> float:
    """Banerjee's: so many standard errors of the units, and Student's quantile at this share of those of the blocks."""
    blocks = students_quantile(share, found.blocks - 1) if found.blocks > 1 else 0.0
    return math.hypot(units * found.between**0.5, blocks * found.examples**0.5)


def _freedom(found: _Mean) -> float:
    """Satterthwaite's degrees of freedom of the sum of both parts."""
    examples = found.examples**2 / (found.blocks - 1) if found.blocks > 1 else 0.0
    return (found.between + found.examples) ** 2 / (found.between**2 / (found.units - 1) + examples)


def _mean(values: Array) -> _Mean:
    """Of [R, G] values."""
    units, blocks = values.shape
    value = float(values.mean()) if units else math.nan
    if units < MIN_UNITS:
        return _Mean(value, math.nan, math.nan, units, blocks)
    between = float(values.mean(axis=1).var(ddof=1)) / units
    examples = float(values.mean(axis=0).var(ddof=1)) / blocks if blocks > 1 else 0.0
    return _Mean(value, between, examples, units, blocks)


def _paired(ours: Scores, theirs: Scores) -> Array:
    common = sorted(ours.keys() & theirs.keys())
    values = _stacked([*(ours[unit] for unit in common), *(theirs[unit] for unit in common)])
    return values[: len(common)] - values[len(common) :]


def _stacked(values: list[Array]) -> Array:
    """The units' blocks as [R, G]; their means as [R, 1] where they have unequal numbers of blocks."""
    if not values:
        return np.empty((0, 1))
    blocks = [np.asarray(row, dtype=float).reshape(-1) for row in values]
    if len({len(row) for row in blocks}) == 1:
        return np.stack(blocks)
    return np.array([[row.mean()] for row in blocks])
