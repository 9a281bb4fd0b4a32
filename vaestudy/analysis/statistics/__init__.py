"""The statistics of a comparison, on plain numbers: a few lines each, on scipy where it has them."""

from vaestudy.analysis.statistics.aggregate import (
    Profile,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from vaestudy.analysis.statistics.budgets import expected_best, expected_best_band
from vaestudy.analysis.statistics.fronts import Point, hypervolume, hypervolume_interval, pareto_front
from vaestudy.analysis.statistics.intervals import (
    BIMODAL_GAP,
    LEVEL,
    Interval,
    detectable,
    detectable_difference,
    independent_difference,
    is_bimodal,
    mean_interval,
    paired_difference,
    rate_difference,
    rate_interval,
)
from vaestudy.analysis.statistics.leaders import LeaderChange, leader_changes, probability_best
from vaestudy.analysis.statistics.ranks import FriedmanTest, PairedTest, Refusal, friedman, holm, wilcoxon_holm
from vaestudy.analysis.statistics.sensitivity import GoodRegion, good_region
from vaestudy.analysis.statistics.subboxes import RankRange, SubboxRanks, subbox_ranks
from vaestudy.analysis.statistics.survival import SurvivalCurve, kaplan_meier, median_of_min
from vaestudy.analysis.statistics.variance import Component, variance_split

__all__ = [
    "BIMODAL_GAP",
    "LEVEL",
    "Component",
    "FriedmanTest",
    "GoodRegion",
    "Interval",
    "LeaderChange",
    "PairedTest",
    "Point",
    "Profile",
    "RankRange",
    "Refusal",
    "SubboxRanks",
    "SurvivalCurve",
    "detectable",
    "detectable_difference",
    "expected_best",
    "expected_best_band",
    "friedman",
    "good_region",
    "holm",
    "hypervolume",
    "hypervolume_interval",
    "independent_difference",
    "interquartile_mean",
    "is_bimodal",
    "kaplan_meier",
    "leader_changes",
    "mean_interval",
    "median_of_min",
    "normalised_score",
    "optimality_gap",
    "paired_difference",
    "pareto_front",
    "performance_profile",
    "probability_best",
    "probability_of_improvement",
    "rate_difference",
    "rate_interval",
    "subbox_ranks",
    "variance_split",
    "wilcoxon_holm",
]
