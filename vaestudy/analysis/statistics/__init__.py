"""The statistics of a comparison, on plain numbers: a few lines each, on scipy where it has them."""

from vaestudy.analysis.statistics.budgets import best_winner, expected_best, winner
from vaestudy.analysis.statistics.fronts import Point, hypervolume, hypervolume_interval, pareto_front
from vaestudy.analysis.statistics.intervals import (
    BIMODAL_GAP,
    LEVEL,
    Interval,
    detectable_difference,
    is_bimodal,
    mean_interval,
    paired_difference,
    rate_interval,
)
from vaestudy.analysis.statistics.sensitivity import GoodRegion, good_region
from vaestudy.analysis.statistics.subboxes import RankRange, SubboxRanks, subbox_ranks
from vaestudy.analysis.statistics.variance import Component, variance_split

__all__ = [
    "BIMODAL_GAP",
    "LEVEL",
    "Component",
    "GoodRegion",
    "Interval",
    "Point",
    "RankRange",
    "SubboxRanks",
    "best_winner",
    "detectable_difference",
    "expected_best",
    "good_region",
    "hypervolume",
    "hypervolume_interval",
    "is_bimodal",
    "mean_interval",
    "paired_difference",
    "pareto_front",
    "rate_interval",
    "subbox_ranks",
    "variance_split",
    "winner",
]
