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
    """One run's schedules over ``total`` updates."""

    def __init__(self, settings: Settings, total: int):
        self._settings = settings
        self._total = total
        self._stages = settings.train.stages
        self._bounds = torch.tensor(stage_ends(self._stages, total)[:-1] if self._stages else [], dtype=torch.int64)

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
        weights = entry.component(schedules.progress(steps, self._total), **shape)
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
