"""Claims about search trials: how many rates are good, how many trials diverge or collapse.

They need independent trials (stage T). Where searches were repeated a claim is paired by replicate, for the trials of a
replicate share a tuning seed; of one search the trials are independent draws under one seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from vaestudy.analysis.design_audits import independent
from vaestudy.analysis.evidence import Evidence, Pair, as_scores
from vaestudy.analysis.families import optimizer_of
from vaestudy.analysis.frames import column
from vaestudy.analysis.outcomes import Sensitivity, scaled, sensitivity, wider
from vaestudy.analysis.spaces import rate_range
from vaestudy.analysis.statistics.aggregate import probability_of_improvement
from vaestudy.analysis.statistics.intervals import Interval, independent_difference
from vaestudy.analysis.verdicts import Answer, Asked, Question, at_once, spread

NEVER = 1e300
"""The loss of a trial that has none, larger than any; infinities cannot be subtracted."""

ROUNDING = 1e-9
"""How far apart the logarithms of equal ends may lie: 1 / (1 - 0.9) is not 10."""

STAGE_P = "the search trials are not independent (stage P)"

REMEDIES = {
    "annealing": "KL annealing prevents collapse",
    "free bits": "Free bits prevent collapse",
    "two-stage": "Two-stage training prevents collapse",
}


# --- good learning rates ----------------------------------------------------------------------------------------------


def rate_sensitivity(data: Evidence) -> Asked:
    """Whether SGD's kind has fewer decades of good rates than Adam's kind, over the same range on a common scale."""
    pair = _searched(data, "sgd", "adam")
    if isinstance(pair, str):
        return pair
    found = [sensitivity(data.records, data.workload, row.method) for row in pair.rows]
    if not all(one.regions for one in found):
        return "it needs log-uniform learning rates of both"
    common = _common({row.method: rate_range(data.records, row.method) for row in pair.rows})
    if isinstance(common, str):
        return common
    low, high = common

    def answer(comparisons: int) -> Answer:
        narrower = scaled(_narrower(data, found, comparisons), math.log10(high / low))
        means = [one.region.decades.estimate for one in found if one.region]
        told = ", ".join(f"{row.method} {mean:.2f}" for row, mean in zip(pair.rows, means, strict=True))
        words = f"decades of good rates from {low:.3g} to {high:.3g}: {told}; difference {spread(narrower)}"
        return Answer(narrower, words + pair.told)

    return Question(answer, below=True, comparisons=pair.comparisons)


def _searched(data: Evidence, one: str, other: str) -> Pair | str:
    """The methods of two families whose trials can be compared, or why there are none."""
    pair = data.pair(one, other)
    return pair if isinstance(pair, str) or independent(data.records) else STAGE_P


def _common(ranges: Mapping[str, tuple[float, float] | None]) -> tuple[float, float] | str:
    """The range that all methods' rates have, or what keeps them from being compared."""
    known = {method: found for method, found in ranges.items() if found}
    if len(known) < len(ranges):
        unknown = " and ".join(sorted(set(ranges) - set(known)))
        return f"the rate times 1 / (1 − momentum) has no declared range where momentum is searched: {unknown}"
    first = next(iter(known.values()))
    if np.allclose(np.log(list(known.values())), np.log(first), rtol=0, atol=ROUNDING):
        return first
    told = ", ".join(f"{method} {low:.3g} to {high:.3g}" for method, (low, high) in known.items())
    return f"the declared rates have other ranges, times 1 / (1 − momentum) where there is one: {told}"


def _narrower(data: Evidence, found: Sequence[Sensitivity], comparisons: int) -> Interval:
    """The share of good rates of the first method less that of the second."""
    pooled = independent_difference(*(one.pooled(at_once(comparisons)) for one in found))
    if not data.replicated:
        return pooled
    ours, theirs = (as_scores({r: region.share.estimate for r, region in one.regions.items()}) for one in found)
    return wider(data.paired(ours, theirs, comparisons), pooled)


# --- RMSprop ----------------------------------------------------------------------------------------------------------


def fragile(data: Evidence) -> Asked:
    """Whether more trials of RMSprop's kind diverge than of Adam's kind."""
    pair = _searched(data, "rmsprop", "adam")
    if isinstance(pair, str):
        return pair

    def answer(comparisons: int) -> Answer:
        ours, theirs = (data.search(row.method) for row in pair.rows)
        more = data.more("diverged", ours, theirs, comparisons)
        told = f"diverged trials, {pair.one.method} less {pair.other.method}: {spread(more, percent=True)}"
        return Answer(more, told + pair.told)

    return Question(answer, comparisons=pair.comparisons)


def non_stationary(data: Evidence) -> Asked:
    """Whether trials of RMSprop's kind gain on those of Adam's kind where beta is annealed."""
    pair = _searched(data, "rmsprop", "adam")
    if isinstance(pair, str):
        return pair
    if math.isnan(_gain(data, pair, 1).low):
        return "it needs 5 trials of each with annealing and 5 without"

    def answer(comparisons: int) -> Answer:
        gain = _gain(data, pair, comparisons)
        told = f"P(a trial of {pair.one.method} beats one of {pair.other.method}), annealed less not: {spread(gain)}"
        return Answer(gain, told + pair.told)

    return Question(answer, comparisons=pair.comparisons)


def _gain(data: Evidence, pair: Pair, comparisons: int) -> Interval:
    """How much likelier a trial of the one beats one of the other where beta is annealed than where it is not."""
    level = at_once(comparisons)
    annealed, constant = (
        {replicate: _chance(data, pair, [replicate], on, level) for replicate in data.records.replicates}
        for on in (True, False)
    )
    everywhere = (_chance(data, pair, data.records.replicates, on, level) for on in (True, False))
    pooled = independent_difference(*everywhere)
    if not data.replicated:
        return pooled
    ours, theirs = (
        as_scores({r: chance.estimate for r, chance in found.items() if chance.n}) for found in (annealed, constant)
    )
    return wider(data.paired(ours, theirs, comparisons), pooled)


def _chance(data: Evidence, pair: Pair, replicates: Sequence[int], annealed: bool, level: float) -> Interval:
    ours, theirs = (_utilities(data, row.method, replicates, annealed) for row in pair.rows)
    return probability_of_improvement([ours], [theirs], level)


def _utilities(data: Evidence, method: str, replicates: Sequence[int], annealed: bool) -> list[float]:
    search = data.search(method)
    search = search[search["replicate"].isin(replicates) & (_remedied(search, "annealing") == annealed)]
    return [-min(loss, NEVER) for loss in column(search, "final/val_nelbo").fillna(NEVER)]


# --- remedies ---------------------------------------------------------------------------------------------------------


def prevents_collapse(data: Evidence, remedy: str) -> Asked:
    """Whether fewer trials collapse with a remedy than without it, over the optimizers that were tried with both."""
    search = data.search(*data.records.methods)
    on = _remedied(search, remedy)
    optimizers = search["method"].map(lambda method: optimizer_of(data.records, method))
    tried = [name for name in optimizers.unique() if 0 < on[optimizers == name].mean() < 1]
    if not tried:
        return "no optimizer has search trials with it and without it"
    if not independent(data.records):
        return STAGE_P
    methods = ", ".join(search["method"][optimizers.isin(tried)].unique())
    with_it, without = (search[optimizers.isin(tried) & (on == wanted)] for wanted in (True, False))

    def answer(comparisons: int) -> Answer:
        less = data.more("collapsed", with_it, without, comparisons)
        told = f"collapsed trials of {methods}, with it less without: {spread(less, percent=True)}"
        return Answer(less, told)

    return Question(answer, below=True)


def _remedied(search: pd.DataFrame, remedy: str) -> pd.Series[bool]:
    if remedy == "annealing":
        ramps = search.get("setting.beta.schedule", pd.Series("constant", index=search.index)) != "constant"
        return ramps & (column(search, "setting.beta.over") > 0)
    if remedy == "free bits":
        return column(search, "setting.free_bits.nats") > 0
    stages = [name for name in search if str(name).startswith("setting.stages.") and str(name).endswith(".share")]
    shares = [column(search, str(name)).between(0, 1, inclusive="neither") for name in stages]
    return pd.concat(shares, axis=1).any(axis=1) if shares else pd.Series(False, index=search.index)
