"""What is simulated of verdicts: equal methods told apart, true differences found, groups of seeds seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from docs.results.coverage.cells import SHAPES, SIZES, Array, Generator, scores, standard
from vaestudy.analysis.statistics import methods
from vaestudy.analysis.statistics.intervals import detectable, is_bimodal, mean_interval

STUDIES = 4000
UNITS = (3, 5, 6, 10)


@dataclass(frozen=True)
class Share:
    """A share of simulated studies.

    Attributes:
        question: what happened in them.
        case: of methods or values.
        size: the number of replicates or values.
        shape: the distribution.
    """

    question: str
    case: str
    size: int
    shape: str
    studies: int
    share: float


# --- equal methods ----------------------------------------------------------------------------------------------------


def _plain(generator: Generator, count: int, units: int, kind: str, spreads: Array) -> list[methods.Scores]:
    values = standard(SHAPES[kind], generator, (count, units)) * spreads[:, None]
    return [dict(enumerate(row[:, None])) for row in values]


def _alike(kind: str) -> Callable[[Generator, int, int], list[methods.Scores]]:
    return lambda generator, count, units: _plain(generator, count, units, kind, np.ones(count))


def _unlike(kind: str) -> Callable[[Generator, int, int], list[methods.Scores]]:
    """Half of the methods vary four times as much as the others."""
    return lambda generator, count, units: _plain(
        generator, count, units, kind, np.where(np.arange(count) < count // 2, 4.0, 1.0)
    )


def _blocks(examples: float) -> Callable[[Generator, int, int], list[methods.Scores]]:
    return lambda generator, count, units: [scores(generator, units, "normal", examples) for _ in range(count)]


EQUAL: dict[str, Callable[[Generator, int, int], list[methods.Scores]]] = {
    **{kind: _alike(kind) for kind in SHAPES},
    "normal, unequal spreads": _unlike("normal"),
    "normal, test examples 0.05 nats": _blocks(0.05),
    "normal, test examples 0.3 nats": _blocks(0.3),
    "skewed, unequal spreads": _unlike("skewed"),
    "very skewed, unequal spreads": _unlike("very skewed"),
}
"""Methods with the same mean; the last two are beyond what any critical value of t can hold."""

QUESTIONS = {
    "some pair is told apart": lambda found: any(
        not (one.low <= 0 <= one.high) for one in methods.differences(found).values() if not math.isnan(one.low)
    ),
    "some method does not lead": lambda found: len(methods.leaders(found)) < len(found),
}


def equal_methods(question: str, count: int, units: int, shape: str, studies: int = STUDIES) -> Share:
    """How often equal methods are told apart."""
    generator = np.random.default_rng([count, units, *shape.encode()])
    told = []
    for _ in range(studies):
        drawn = EQUAL[shape](generator, count, units)
        told.append(QUESTIONS[question]({str(place): found for place, found in enumerate(drawn)}))
    return Share(question, f"{count} equal methods", units, shape, studies, float(np.mean(told)))


# --- power ------------------------------------------------------------------------------------------------------------


def power(size: int, shape: str, studies: int = STUDIES) -> Share:
    """How often a true mean of the detectable size, for the true spread, is told from 0."""
    generator = np.random.default_rng([size, *shape.encode()])
    values = np.arange(size) - (size - 1) / 2
    least = detectable(mean_interval((values / values.std(ddof=1)).tolist()))
    drawn = standard(SHAPES[shape], generator, (studies, size)) + least
    found = float(np.mean([mean_interval(row).low > 0 for row in drawn.tolist()]))
    return Share("a detectable mean is found", "power 80 %", size, shape, studies, found)


# --- two groups -------------------------------------------------------------------------------------------------------

FAR = {"two groups, 10 apart": 10.0, "two groups, 6 apart": 6.0}
ONE: dict[str, Callable[[Generator, int], Array]] = {
    "normal": lambda generator, n: generator.normal(size=n),
    "uniform": lambda generator, n: generator.uniform(size=n),
    "skewed": lambda generator, n: generator.exponential(size=n),
    "very skewed": lambda generator, n: generator.lognormal(0.0, 1.0, n),
}
NUMBERS = (4, 5, 6, 8, 10, 15, 20)


def _two(generator: Generator, n: int, apart: float) -> Array:
    """Both groups of two or more, on average four of ten in the upper one."""
    upper = min(max(int(generator.binomial(n, 0.4)), 2), n - 2)
    return apart * (np.arange(n) < upper) + generator.normal(size=n)


def two_groups(n: int, shape: str, studies: int = STUDIES) -> Share:
    """How often values are said to fall into two groups."""
    generator = np.random.default_rng([n, *shape.encode()])
    draw = ONE.get(shape) or (lambda generator, n: _two(generator, n, FAR[shape]))
    found = [is_bimodal(draw(generator, n).tolist()) for _ in range(studies)]
    case = "one group" if shape in ONE else "two groups"
    return Share("two groups are seen", case, n, shape, studies, float(np.mean(found)))


def shares() -> list[tuple[Callable[..., Share], tuple[object, ...]]]:
    """Every cell, as a function and its arguments."""
    return [
        *(
            (equal_methods, (question, count, units, shape))
            for question in QUESTIONS
            for count in (4, 7)
            for shape in EQUAL
            for units in UNITS
        ),
        *((power, (size, shape)) for shape in SHAPES for size in SIZES),
        *((two_groups, (n, shape)) for shape in (*ONE, *FAR) for n in NUMBERS),
    ]
