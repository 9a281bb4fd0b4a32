"""Schedules: functions of training progress, for the KL weight beta(t) and for the learning rate.

Each takes ``ramp``, the progress within the schedule's own span as a tensor of any shape with values in [0, 1], and
gives weights in [0, 1]: 0 means the start value, 1 exactly the end value. ``value`` turns weights into values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.hyperparameters import Count, Fraction
from vaestudy.registry import Registry, Source

Schedule = Callable[..., Tensor]
schedules: Registry[Schedule] = Registry("schedule")

BOWMAN = Source(
    "bowman2016generating",
    "Bowman, Samuel R. and Vilnis, Luke and Vinyals, Oriol and Dai, Andrew M. and Jozefowicz, Rafal and Bengio, Samy",
    "Generating Sentences from a Continuous Space",
    2016,
    "arXiv:1511.06349",
)
SONDERBY = Source(
    "sonderby2016ladder",
    "S{\\o}nderby, Casper Kaae and Raiko, Tapani and Maal{\\o}e, Lars and S{\\o}nderby, S{\\o}ren "
    "Kaae and Winther, Ole",
    "Ladder Variational Autoencoders",
    2016,
    "arXiv:1602.02282",
)
FU = Source(
    "fu2019cyclical",
    "Fu, Hao and Li, Chunyuan and Liu, Xiaodong and Gao, Jianfeng and Celikyilmaz, Asli and Carin, Lawrence",
    "Cyclical Annealing Schedule: A Simple Approach to Mitigating {KL} Vanishing",
    2019,
    "arXiv:1903.10145",
)
SGDR = Source(
    "loshchilov2017sgdr",
    "Loshchilov, Ilya and Hutter, Frank",
    "{SGDR}: Stochastic Gradient Descent with Warm Restarts",
    2017,
    "arXiv:1608.03983",
)


def schedule(name: str, source: Source | None = None) -> Callable[[Schedule], Schedule]:
    """Registers a schedule under ``name``."""

    def register(function: Schedule) -> Schedule:
        schedules.add(name, function, function, source)
        return function

    return register


@schedule("constant")
def constant(progress: Tensor) -> Tensor:
    """The end value throughout."""
    return torch.ones_like(progress)


@schedule("linear", SONDERBY)
def linear(progress: Tensor, *, over: Fraction = 1.0) -> Tensor:
    """A straight ramp over the first ``over`` of the schedule's span, then the end value."""
    return _ramp(progress, over)


@schedule("sigmoid", BOWMAN)
def sigmoid(progress: Tensor, *, over: Fraction = 1.0) -> Tensor:
    """A logistic ramp over the first ``over`` of the schedule's span, scaled to meet both ends exactly."""
    steepness = 6.0
    low, high = torch.sigmoid(torch.tensor([-steepness, steepness], dtype=progress.dtype))
    x = _ramp(progress, over)
    return _exact_end(x, (torch.sigmoid(steepness * (2 * x - 1)) - low) / (high - low))


@schedule("cosine", SGDR)
def cosine(progress: Tensor, *, over: Fraction = 1.0) -> Tensor:
    """Half a cosine wave over the first ``over`` of the schedule's span, then the end value."""
    x = _ramp(progress, over)
    return _exact_end(x, (1 - torch.cos(math.pi * x)) / 2)


@schedule("cyclical", FU)
def cyclical(progress: Tensor, *, over: Fraction = 0.5, cycles: Count = 4) -> Tensor:
    """``cycles`` equal cycles, each a straight ramp over its first ``over``, then the end value (Fu 2019, Eq. 6-7)."""
    cycle = torch.clamp(torch.floor(progress * cycles), max=cycles - 1)
    return _ramp(progress * cycles - cycle, over)


def _ramp(progress: Tensor, over: float) -> Tensor:
    return torch.clamp(progress / over, max=1.0) if over > 0 else torch.ones_like(progress)


def _exact_end(x: Tensor, weights: Tensor) -> Tensor:
    """The weights, and exactly 1 where the ramp has ended: rounding must not leave beta short of its end value."""
    return torch.where(x < 1, weights, torch.ones_like(weights))


def value(weights: Tensor, start: float, end: float) -> Tensor:
    """``start`` where the weight is 0, exactly ``end`` where it is 1, linear between."""
    return torch.lerp(torch.full_like(weights, start), torch.full_like(weights, end), weights)


def ramp_end(name: str, *, over: float, cycles: int) -> float:
    """The share of its span after which a schedule has reached its end value for good."""
    if name == "constant":
        return 0.0
    return (cycles - 1 + over) / cycles if name == "cyclical" else over


def progress(steps: Tensor, total: int, first: int = 0) -> Tensor:
    """Progress at the given updates (0-based): 0 up to update ``first``, exactly 1 at the last of ``total``."""
    return ((steps.double() - first) / max(total - 1 - first, 1)).clamp(min=0.0, max=1.0)


def warmup(steps: Tensor, total: int, share: float) -> tuple[Tensor, Tensor]:
    """Linear warm-up over the first ``share`` of ``total`` updates (Goyal 2017, arXiv:1706.02677).

    Returns:
        The factor in (0, 1] for each update, and the progress in [0, 1] of what follows the warm-up.
    """
    length = round(share * total)
    factor = torch.clamp((steps.double() + 1) / max(length, 1), max=1.0)
    rest = torch.clamp((steps.double() - length) / max(total - 1 - length, 1), min=0.0, max=1.0)
    return factor, rest
