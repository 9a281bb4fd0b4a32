"""What a run's settings say for each of its updates: learning rate, beta, what is frozen.

Everything that is a function of training progress is tabulated an epoch ahead, so that the training step only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from vaestudy import schedules
from vaestudy.params import PARTS
from vaestudy.spec import Settings
from vaestudy.spec.models import Phase


@dataclass(frozen=True)
class Moments:
    """Values for a stretch of S updates: ``lr`` and ``beta`` in float64 ``[S]``; ``frozen`` as an index into PARTS,
    -1 for none, ``[S]``."""

    lr: Tensor
    beta: Tensor
    frozen: Tensor


class Timeline:
    """One run's schedules over ``total`` updates; a stage whose share is 0 is left out.

    The schedule of beta starts when the last stage that sets its own beta has ended (the final stage, which goes on to
    the end of training, left aside): its progress is 0 at the first update after that stage and 1 at the last of
    training, so that ``over`` is a share of what is left. Before that, where no stage sets it, beta stands at the
    schedule's first value. Without such a stage the schedule takes the whole of training.
    """

    def __init__(self, settings: Settings, total: int):
        self._settings = settings
        self._total = total
        self._stages = tuple(phase for phase in settings.train.stages if phase.share != 0)
        ends = stage_ends(self._stages, total) if self._stages else []
        self._bounds = torch.tensor(ends[:-1], dtype=torch.int64)
        self._beta_starts = _end_of_own_betas(self._stages, ends)

    def at(self, start: int, count: int) -> Moments:
        """The values for updates ``start`` .. ``start + count - 1``, 0-based."""
        steps = torch.arange(start, start + count)
        stage = torch.searchsorted(self._bounds, steps, right=True)
        return Moments(self._rate(steps), self._beta(steps, stage), self._frozen(stage))

    def _rate(self, steps: Tensor) -> Tensor:
        train = self._settings.train
        factor, rest = schedules.warmup(steps, self._total, train.warmup)
        weights = schedules.schedules.find(train.schedule).component(rest)
        decay = schedules.value(weights, 1.0, 1.0 if train.schedule == "constant" else train.final_lr_ratio)
        lr = self._settings.hyperparameters["lr"]
        assert isinstance(lr, (int, float))
        return lr * factor * decay

    def _beta(self, steps: Tensor, stage: Tensor) -> Tensor:
        beta = self._settings.train.beta
        entry = schedules.schedules.find(beta.schedule)
        given = {"over": beta.over, "cycles": beta.cycles}
        shape = {name: given[name] for name in entry.hyperparameters if name in given}
        weights = entry.component(schedules.progress(steps, self._total, self._beta_starts), **shape)
        values = schedules.value(weights, beta.start, beta.end)
        for index, phase in enumerate(self._stages):
            if phase.beta is not None:
                values = torch.where(stage == index, phase.beta, values)
        return values

    def _frozen(self, stage: Tensor) -> Tensor:
        if not self._stages:
            return torch.full_like(stage, -1)
        codes = [-1 if phase.freeze == "none" else PARTS.index(phase.freeze) for phase in self._stages]
        return torch.tensor(codes)[stage]


def stage_ends(stages: tuple[Phase, ...], total: int) -> list[int]:
    """The update before which each stage ends; the last ends with training."""
    shares = list(accumulate(phase.share or 0.0 for phase in stages))
    return [*(round(share * total) for share in shares[:-1]), total]


def _end_of_own_betas(stages: tuple[Phase, ...], ends: list[int]) -> int:
    """The update before which the last stage with a beta of its own ends, the final stage left aside; 0 without one.

    A stage too short for a single update sets nothing.
    """
    starts = [0, *ends]
    before_final = list(zip(stages, starts, ends, strict=False))[:-1]
    return max((end for phase, start, end in before_final if phase.beta is not None and end > start), default=0)
