"""Rate-distortion fronts: which points no other beats in both, and how much of the plane they dominate.

A point is (rate, distortion) in nats per example; less of both is better (Alemi et al. 2018, "Fixing a Broken ELBO").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from vaestudy.analysis.statistics.intervals import Interval, mean_interval

Point = tuple[float, float]


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """The points that no other point equals or beats in both coordinates, by rising rate, each once.

    Raises:
        ValueError: a coordinate is not finite.
    """
    front: list[Point] = []
    for rate, distortion in sorted(set(map(_finite, points))):
        if not front or distortion < front[-1][1]:
            front.append((rate, distortion))
    return front


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """The area (nats^2) of what lies below the reference and above at least one point, both coordinates minimised.

    A point that does not lie below the reference in both coordinates adds nothing. In two dimensions the sweep over
    the front is exact (Zitzler and Thiele 1998).

    Args:
        reference: a (rate, distortion) worse than what is compared; the same for everything that is compared.

    Raises:
        ValueError: a coordinate is not finite.
    """
    worst_rate, worst_distortion = _finite(reference)
    area, ceiling = 0.0, worst_distortion
    for rate, distortion in pareto_front(points):
        if rate < worst_rate and distortion < ceiling:
            area += (worst_rate - rate) * (ceiling - distortion)
            ceiling = distortion
    return area


def hypervolume_interval(fronts: Mapping[int, Iterable[Point]], reference: Point) -> Interval:
    """The mean hypervolume (nats^2) of one seed's points, with the interval of a mean over the seeds.

    What is estimated is the expected hypervolume of the points that one seed gives, not the hypervolume of the union
    of all seeds: the union's grows with the number of seeds and its bootstrap is biased downwards, whereas the seeds'
    own hypervolumes are independent values of one distribution.

    Args:
        fronts: by seed the points of that seed's runs under the same settings; a run that gave no point is left out
            and so dominates nothing.
        reference: as of ``hypervolume``.
    """
    return mean_interval([hypervolume(points, reference) for points in fronts.values()])


def _finite(point: Point) -> Point:
    if not all(map(math.isfinite, point)):
        raise ValueError(f"a point is a finite (rate, distortion), got {point}; leave runs that diverged out")
    return point
