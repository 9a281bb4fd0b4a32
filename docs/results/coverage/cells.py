"""What is simulated for the coverage table: a study of each kind, the interval made of it and the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from vaestudy.analysis.across import welch_difference
from vaestudy.analysis.statistics import methods
from vaestudy.analysis.statistics.aggregate import interquartile_mean, optimality_gap, probability_of_improvement
from vaestudy.analysis.statistics.budgets import expected_best_band
from vaestudy.analysis.statistics.intervals import Interval, independent_difference, mean_interval, paired_difference
from vaestudy.analysis.statistics.leaders import probability_best
from vaestudy.analysis.statistics.survival import kaplan_meier
from vaestudy.analysis.statistics.variance import variance_interval

Array = npt.NDArray[np.float64]
Generator = np.random.Generator
Draw = Callable[[Generator, tuple[int, ...]], Array]
Study = Callable[[Generator, int, str], Interval]
Truth = Callable[[int, str], float]

SIZES = (3, 5, 6, 10, 20)
REPLICATES = (3, 5, 6, 10)
RESAMPLES = 600


@dataclass(frozen=True)
class Shape:
    """A distribution of scores.

    Attributes:
        draw: from a generator and a shape.
        mean: of it.
        variance: of it.
    """

    draw: Draw
    mean: float
    variance: float


def groups(rare: float) -> Shape:
    """Two groups, ten standard deviations apart."""
    return Shape(
        lambda generator, shape: generator.normal(10.0 * (generator.random(shape) < rare), 1.0),
        10 * rare,
        1 + 100 * rare * (1 - rare),
    )


def one_group(shape: str, size: int) -> float:
    """The chance that so many values all come from one of the two groups of a shape: then no interval can tell."""
    if not shape.startswith("bimodal"):
        return 0.0
    rare = int(shape.split()[1]) / 10
    return float(rare**size + (1 - rare) ** size)


SHAPES: dict[str, Shape] = {
    "normal": Shape(lambda generator, shape: generator.normal(0.0, 1.0, shape), 0.0, 1.0),
    "bimodal, 5 in 10": groups(0.5),
    "bimodal, 3 in 10": groups(0.3),
    "skewed": Shape(lambda generator, shape: generator.exponential(1.0, shape), 1.0, 1.0),
    "very skewed": Shape(
        lambda generator, shape: generator.lognormal(0.0, 1.0, shape), math.exp(0.5), (math.e - 1) * math.e
    ),
}
"""Exponential is called skewed, lognormal with sigma = 1 very skewed."""


# --- one method or two ------------------------------------------------------------------------------------------------


def _mean(generator: Generator, size: int, kind: str) -> Interval:
    return mean_interval(SHAPES[kind].draw(generator, (size,)).tolist())


def _paired(generator: Generator, size: int, kind: str) -> Interval:
    """Seeds move both methods alike; of their own, one has this shape and the other is normal, with half its spread."""
    shape, common = SHAPES[kind], generator.normal(0.0, 5.0, size)
    ours = common + shape.draw(generator, (size,))
    theirs = common + generator.normal(0.0, math.sqrt(shape.variance) / 2, size)
    return paired_difference(dict(enumerate(ours.tolist())), dict(enumerate(theirs.tolist())))


def _unpaired(generator: Generator, size: int, kind: str) -> Interval:
    """Of a shape and a normal mean of three times its spread and twice as many values."""
    ours = mean_interval(SHAPES[kind].draw(generator, (size,)).tolist())
    theirs = mean_interval(generator.normal(0.0, 3 * math.sqrt(SHAPES[kind].variance), 2 * size).tolist())
    return independent_difference(ours, theirs)


def _welch(generator: Generator, size: int, kind: str) -> Interval:
    theirs = generator.normal(0.0, math.sqrt(SHAPES[kind].variance) / 2, size)
    return welch_difference(SHAPES[kind].draw(generator, (size,)).tolist(), theirs.tolist())


def _spread(generator: Generator, size: int, kind: str) -> Interval:
    return variance_interval(SHAPES[kind].draw(generator, (size,)).tolist())


def _mean_of(size: int, kind: str) -> float:
    return SHAPES[kind].mean


# --- methods over replicates ------------------------------------------------------------------------------------------

SEEDS, BLOCKS = 5, 100
REPLICATE, SEED = 0.2, 0.15
"""Standard deviations in nats, of a replicate's search and of a seed."""


def scores(generator: Generator, replicates: int, kind: str, examples: float) -> methods.Scores:
    """A method's scores of 100 blocks: replicates and five seeds of each have the shape, its test examples are normal.

    Args:
        generator: of the draws.
        replicates: of the search.
        kind: of ``SHAPES``; scaled to a standard deviation of 0.2 nats over replicates and 0.15 over seeds.
        examples: standard deviation over test sets of the method's mean, in nats.
    """
    shape = SHAPES[kind]
    searches = REPLICATE * standard(shape, generator, (replicates,))
    seeds = SEED * standard(shape, generator, (replicates, SEEDS)).mean(axis=1)
    own = generator.normal(0.0, examples * math.sqrt(BLOCKS), BLOCKS)
    own_of_each = generator.normal(0.0, 0.1, (replicates, BLOCKS))
    return dict(enumerate((searches + seeds)[:, None] + own + own_of_each))


def standard(shape: Shape, generator: Generator, size: tuple[int, ...]) -> Array:
    """Values of a shape with mean 0 and standard deviation 1."""
    return (shape.draw(generator, size) - shape.mean) / math.sqrt(shape.variance)


def _estimate(generator: Generator, replicates: int, kind: str, examples: float) -> Interval:
    return methods.estimate(scores(generator, replicates, kind, examples))


def _difference(generator: Generator, replicates: int, kind: str, examples: float) -> Interval:
    theirs = scores(generator, replicates, "normal", examples)
    return methods.difference(scores(generator, replicates, kind, examples), theirs)


# --- aggregates over workloads ----------------------------------------------------------------------------------------

UTILITIES: dict[str, Callable[[Generator, int], Array]] = {
    "at the target": lambda g, n: g.normal(1.0, 0.1, n),
    "below it": lambda g, n: g.normal(0.7, 0.1, n),
    "wide": lambda g, n: g.normal(0.8, 0.3, n),
    "skewed": lambda g, n: np.maximum(1.05 - g.exponential(0.2, n), 0.0),
    "lognormal": lambda g, n: g.lognormal(0.0, 0.5, n),
    "two of ten collapsed": lambda g, n: np.where(g.random(n) < 0.2, 0.0, g.normal(1.0, 0.1, n)),
}
THREE = ("at the target", "below it", "wide")
THREE_SKEWED = ("skewed", "below it", "skewed")
WORKLOADS: dict[int, dict[str, Sequence[str]]] = {
    1: {"normal": ("below it",), "bimodal, 2 in 10": ("two of ten collapsed",), "skewed": ("skewed",)},
    3: {"normal": THREE, "bimodal, 2 in 10": ("two of ten collapsed", "below it", "wide"), "skewed": THREE_SKEWED},
}


def strata(generator: Generator, kinds: Sequence[str], runs: int) -> list[list[float]]:
    """Runs of a method on workloads of these kinds."""
    return [UTILITIES[kind](generator, runs).tolist() for kind in kinds]


def _iqm(generator: Generator, runs: int, kind: str, workloads: int) -> Interval:
    return interquartile_mean(strata(generator, WORKLOADS[workloads][kind], runs), resamples=RESAMPLES)


def _gap(generator: Generator, runs: int, kind: str, workloads: int) -> Interval:
    return optimality_gap(strata(generator, WORKLOADS[workloads][kind], runs), resamples=RESAMPLES)


@lru_cache
def _population(kinds: tuple[str, ...]) -> Array:
    generator = np.random.default_rng(0)
    return np.concatenate([UTILITIES[kind](generator, 1_000_000) for kind in kinds])


def _true_iqm(runs: int, kind: str, workloads: int) -> float:
    return float(stats.trim_mean(_population(tuple(WORKLOADS[workloads][kind])), 0.25))


def _true_gap(runs: int, kind: str, workloads: int) -> float:
    return float(np.maximum(1 - _population(tuple(WORKLOADS[workloads][kind])), 0).mean())


RIVALS: dict[str, tuple[str, str]] = {
    "normal": ("wide", "below it"),
    "bimodal, 2 in 10": ("two of ten collapsed", "below it"),
    "skewed": ("at the target", "skewed"),
}


def _improvement(generator: Generator, runs: int, kind: str, workloads: int) -> Interval:
    ours, theirs = (strata(generator, [name] * workloads, runs) for name in RIVALS[kind])
    return probability_of_improvement(ours, theirs)


@lru_cache
def _true_improvement(runs: int, kind: str, workloads: int) -> float:
    generator = np.random.default_rng(0)
    ours, theirs = (np.sort(UTILITIES[name](generator, 1_000_000)) for name in RIVALS[kind])
    below = np.searchsorted(theirs, ours, "left") + np.searchsorted(theirs, ours, "right")
    return float(below.mean()) / 2 / len(theirs)


# --- tuning budgets and times -----------------------------------------------------------------------------------------

LOSSES: dict[str, Callable[[Generator, int], Array]] = {
    "normal": lambda g, n: g.normal(30.0, 1.0, n),
    "bimodal, 4 in 10": lambda g, n: np.where(
        g.random(n) < 0.4, 52.9 + 0.05 * g.normal(size=n), 28.0 + g.lognormal(0.0, 1.0, n)
    ),
    "skewed": lambda g, n: 25.0 + g.lognormal(1.0, 0.8, n),
}


def _budget(trials: int, share: float) -> int:
    """0 stands for a budget of one trial."""
    return max(int(trials * share), 1)


def _best(generator: Generator, trials: int, kind: str, share: float) -> Interval:
    band = expected_best_band(LOSSES[kind](generator, trials).tolist(), resamples=500)
    return _at(band, _budget(trials, share), trials)


def _at(band: Array, budget: int, n: int) -> Interval:
    low, estimate, high = band[:, budget - 1].tolist()
    return Interval(estimate, low, high, n)


@lru_cache
def _true_best(trials: int, kind: str, share: float) -> float:
    generator, budget = np.random.default_rng(0), _budget(trials, share)
    return float(LOSSES[kind](generator, 200_000 * budget).reshape(-1, budget).min(axis=1).mean())


def _three(generator: Generator, trials: int, kind: str) -> dict[str, Array]:
    """Three methods, of which the second varies less and the third more."""
    centre = {"normal": 30.0, "bimodal, 4 in 10": 30.0, "skewed": 27.7}[kind]
    return {
        name: centre + shift + scale * (LOSSES[kind](generator, trials) - centre)
        for name, (shift, scale) in {"a": (0.0, 1.0), "b": (0.2, 0.5), "c": (0.5, 1.5)}.items()
    }


def _leads(generator: Generator, trials: int, kind: str, share: float) -> Interval:
    drawn = {name: losses.tolist() for name, losses in _three(generator, trials, kind).items()}
    return _at(probability_best(drawn, resamples=100)["a"], _budget(trials, share), trials)


@lru_cache
def _true_lead(trials: int, kind: str, share: float) -> float:
    budget = _budget(trials, share)
    drawn = _three(np.random.default_rng(0), 200_000 * budget, kind)
    best = {name: losses.reshape(-1, budget).min(axis=1) for name, losses in drawn.items()}
    return float(np.mean(best["a"] < np.minimum(best["b"], best["c"])))


WATCHES = {"heavy censoring": 1.5, "light censoring": 4.0, "no censoring": 1e9}


def _median(generator: Generator, runs: int, kind: str) -> Interval:
    """Of exponential times, each watched for a uniform time; the interval is one of ranks, so that shape is nothing."""
    times, ends = generator.exponential(1.0, runs), generator.uniform(0.5, WATCHES[kind], runs)
    return kaplan_meier(np.minimum(times, ends).tolist(), (times <= ends).tolist()).median


# --- the cells --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """An interval and how it is simulated.

    Attributes:
        name: of the interval, with what distinguishes the case.
        study: draws a study of a size and shape and gives its interval.
        truth: what the interval should enclose, by size and shape.
        sizes: the numbers of values, replicates or trials.
        shapes: the distributions.
        studies: how many are simulated.
    """

    name: str
    study: Study
    truth: Truth
    sizes: Sequence[int]
    shapes: Sequence[str]
    studies: int = 4000


def kinds() -> Iterator[Kind]:
    """Every interval."""
    all_shapes = tuple(SHAPES)
    yield Kind("mean", _mean, _mean_of, SIZES, all_shapes)
    yield Kind("paired difference", _paired, _mean_of, SIZES, all_shapes)
    yield Kind("difference of independent means", _unpaired, _mean_of, SIZES, all_shapes)
    yield Kind("difference of unpaired means (Welch)", _welch, _mean_of, SIZES, all_shapes)
    for examples in (0.05, 0.3):
        told = f"test examples {examples:g} nats"
        estimate, difference = partial(_estimate, examples=examples), partial(_difference, examples=examples)
        yield Kind(f"method's mean over replicates, {told}", estimate, lambda *_: 0.0, REPLICATES, all_shapes)
        yield Kind(f"difference of methods over replicates, {told}", difference, lambda *_: 0.0, REPLICATES, all_shapes)
    yield Kind("spread (variance)", _spread, lambda _, kind: SHAPES[kind].variance, (*SIZES, 50), all_shapes)
    for workloads, by_shape in WORKLOADS.items():
        told = f"{workloads} workload{'s' * (workloads > 1)}"
        for name, study, truth in (
            ("interquartile mean", _iqm, _true_iqm),
            ("optimality gap", _gap, _true_gap),
            ("probability of improvement", _improvement, _true_improvement),
        ):
            made, true = partial(study, workloads=workloads), partial(truth, workloads=workloads)
            yield Kind(f"{name}, {told}", made, true, (5, 6, 10, 20), tuple(by_shape), studies=2000)
    for name, share in (("1 trial", 0.0), ("a fifth of the trials", 0.2), ("half of the trials", 0.5)):
        best, truth = partial(_best, share=share), partial(_true_best, share=share)
        yield Kind(f"expected best of {name}", best, truth, (25, 50), tuple(LOSSES), studies=1000)
    for name, share in (("1 trial", 0.0), ("a fifth of the trials", 0.2)):
        leads, truth = partial(_leads, share=share), partial(_true_lead, share=share)
        yield Kind(f"chance to be best of {name}", leads, truth, (25, 50), tuple(LOSSES), studies=500)
    yield Kind("median time", _median, lambda *_: math.log(2), (5, 6, 10, 20), tuple(WATCHES), studies=2000)


@dataclass(frozen=True)
class Coverage:
    """How often an interval of one size and shape encloses the truth.

    Attributes:
        stated: the share of studies that have an interval.
        covered: of these, the share whose interval encloses the truth; NaN where there is none.
        one_group: the share of studies whose values all come from one of two groups.
    """

    interval: str
    size: int
    shape: str
    studies: int
    stated: float
    covered: float
    one_group: float


def coverage(kind: Kind, size: int, shape: str, studies: int | None = None) -> Coverage:
    """One cell of the table; the same on every call."""
    count = studies or kind.studies
    generator, truth = np.random.default_rng([size, *kind.name.encode(), *shape.encode()]), kind.truth(size, shape)
    found = [kind.study(generator, size, shape) for _ in range(count)]
    stated = [one for one in found if not math.isnan(one.low)]
    inside = [one.low <= truth <= one.high for one in stated]
    share = float(np.mean(inside)) if inside else math.nan
    return Coverage(kind.name, size, shape, count, len(stated) / count, share, one_group(shape, size))
