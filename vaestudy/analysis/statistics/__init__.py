"""The statistics of a comparison, on plain numbers: a few lines each, on scipy where it has them."""

from vaestudy.analysis.statistics.budgets import expected_best, winner
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

__all__ = [
    "BIMODAL_GAP",
    "LEVEL",
    "Interval",
    "detectable_difference",
    "expected_best",
    "is_bimodal",
    "mean_interval",
    "paired_difference",
    "rate_interval",
    "winner",
]
