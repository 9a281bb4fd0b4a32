"""Fronts against their definition, hypervolumes against staircases by hand and a count on a grid."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.analysis.statistics.fronts import Point, hypervolume, hypervolume_interval, pareto_front

REFERENCE = (30.0, 100.0)
POINTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 120)), max_size=12)
RATES = np.linspace(2.0, 22.0, 6)
DISTORTIONS = 20.0 + 70.0 * np.exp(-RATES / 8.0)


def _beats(one: Point, other: Point) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@given(POINTS)
def test_the_front_is_what_no_other_point_beats(points: list[Point]) -> None:
    unbeaten = {point for point in points if not any(_beats(other, point) for other in points)}
    assert pareto_front(points) == sorted(unbeaten)


def test_a_staircase_has_the_area_of_its_steps() -> None:
    steps = [(10.0, 60.0), (20.0, 40.0), (25.0, 30.0)]
    assert hypervolume(steps, REFERENCE) == 20 * 40 + 10 * 20 + 5 * 10


@pytest.mark.parametrize("point", [(30.0, 0.0), (0.0, 100.0), (40.0, 0.0), (0.0, 120.0)])
def test_a_point_that_is_not_below_the_reference_adds_nothing(point: Point) -> None:
    assert hypervolume([point], REFERENCE) == 0.0
    assert hypervolume([point, (10.0, 60.0)], REFERENCE) == 800.0


def test_no_point_dominates_nothing() -> None:
    assert pareto_front([]) == []
    assert hypervolume([], REFERENCE) == 0.0


@given(POINTS)
def test_the_hypervolume_is_the_count_of_dominated_cells(points: list[Point]) -> None:
    rates, distortions = np.meshgrid(np.arange(30) + 0.5, np.arange(100) + 0.5)
    dominated = np.zeros(rates.shape, dtype=bool)
    for rate, distortion in points:
        dominated |= (rates > rate) & (distortions > distortion)
    assert hypervolume(points, REFERENCE) == dominated.sum()


@given(POINTS, st.tuples(st.integers(0, 40), st.integers(0, 120)))
def test_a_further_point_never_takes_away(points: list[Point], further: Point) -> None:
    assert hypervolume([*points, further], REFERENCE) >= hypervolume(points, REFERENCE)


def test_the_hypervolume_does_not_depend_on_the_order_or_on_repetition() -> None:
    points = list(zip(RATES.tolist(), DISTORTIONS.tolist(), strict=True))
    assert hypervolume([*points[::-1], *points], REFERENCE) == hypervolume(points, REFERENCE)


@pytest.mark.parametrize("point", [(math.nan, 1.0), (1.0, math.inf)])
def test_a_point_that_is_not_finite_is_refused(point: Point) -> None:
    with pytest.raises(ValueError, match="finite"):
        hypervolume([(1.0, 2.0), point], REFERENCE)


def test_the_interval_is_that_of_the_seeds_own_hypervolumes() -> None:
    found = hypervolume_interval({3: [(10.0, 60.0)], 5: [(20.0, 60.0)], 8: []}, REFERENCE)
    assert (found.estimate, found.n) == (400.0, 3)
    assert found.half_width == pytest.approx(6.657003 * 400.0 / math.sqrt(3))


def _seeds(rng: np.random.Generator, count: int, collapsed: float) -> npt.NDArray[np.float64]:
    """Fronts of 6 points, [count, 6, 2]: rate and distortion vary with seed and run; collapsed runs have rate 0."""
    seed_effect = rng.normal(0.0, 0.5, size=(count, 1, 2))
    noise = rng.normal(0.0, 1.0, size=(count, 6, 2))
    fronts = np.stack([RATES, DISTORTIONS], axis=-1) + seed_effect + noise
    fronts[rng.random((count, 6)) < collapsed] = (0.0, REFERENCE[1])
    return fronts


def _points(front: npt.NDArray[np.float64]) -> list[Point]:
    return [(rate, distortion) for rate, distortion in front.tolist()]


@pytest.mark.parametrize(("seeds", "collapsed"), [(3, 0.0), (5, 0.0), (10, 0.0), (20, 0.0), (10, 0.05)])
def test_the_interval_covers_the_expected_hypervolume_in_93_of_100_studies_or_more(
    seeds: int, collapsed: float
) -> None:
    rng = np.random.default_rng(11)
    truth = np.mean([hypervolume(_points(front), REFERENCE) for front in _seeds(rng, 20_000, collapsed)])
    covered = []
    for _ in range(2_000):
        fronts = dict(enumerate(map(_points, _seeds(rng, seeds, collapsed))))
        found = hypervolume_interval(fronts, REFERENCE)
        covered.append(found.low <= truth <= found.high)
    assert 0.93 <= np.mean(covered) < 0.99
