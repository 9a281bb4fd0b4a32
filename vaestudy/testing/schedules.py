"""The laws of schedules: weights in [0, 1] that depend on their own progress and end at exactly 1."""

from __future__ import annotations

from functools import partial

import torch

from vaestudy.schedules import Schedule, schedules
from vaestudy.testing.laws import Law, described, law, near, require, required_arguments

KIND = "schedule"
AT = torch.linspace(0, 1, 257, dtype=torch.float64)


@law(KIND)
def described_by_its_signature(name: str) -> None:
    """It is described and its defaults are legal."""
    described(schedules.find(name))


@law(KIND)
def bounded(name: str) -> None:
    """Its weights lie between the start and the end value."""
    weights = _made(name)(AT)
    outside = weights[~((weights >= 0) & (weights <= 1))]
    require(not len(outside), f"{len(outside)} of {len(AT)} weights are not in [0, 1], e.g. {outside[:1].tolist()}")


@law(KIND)
def ends_at_one(name: str) -> None:
    """It is exactly at its end value at the last update."""
    last = float(_made(name)(AT)[-1])
    require(last == 1, f"its last weight is {last!r}, not 1")


@law(KIND)
def pointwise(name: str) -> None:
    """A weight depends on its own progress only, and has its type."""
    function = _made(name)
    for dtype in (torch.float32, torch.float64):
        at = AT.to(dtype)[:256]
        together = function(at.view(16, 16))
        form = f"{together.dtype} of {tuple(together.shape)}"
        require(form == f"{dtype} of (16, 16)", f"progress of {dtype} of (16, 16) gives weights of {form}")
        alone = torch.stack([function(point) for point in at]).view(16, 16)
        near(together, alone, 4 * torch.finfo(dtype).eps, "a weight beside others")


def _made(name: str) -> Schedule:
    entry = schedules.find(name)
    return partial(entry.component, **required_arguments(entry.hyperparameters))


schedule_laws: tuple[Law, ...] = (described_by_its_signature, bounded, ends_at_one, pointwise)
"""In the order in which they are tried."""
