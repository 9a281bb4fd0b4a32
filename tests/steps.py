"""Optimizers as the tests of single rules want them: fused or not, from a given start, with given hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Optimizer, Rule
from vaestudy.testing.walks import LAYOUT, gradient, hyperparameters, row_noise


def columns(part: str) -> slice:
    return LAYOUT.columns(part)


def made(name: str, fused: bool = True) -> Optimizer:
    optimizer = optimizers.find(name).component(LAYOUT)
    if not fused and isinstance(optimizer, Rule):
        return replace(optimizer, kernel=None)
    return optimizer


def run(
    name: str,
    start: Tensor,
    steps: int,
    loss: Callable[[Tensor], Tensor],
    given: dict[str, Any],
    fused: bool = True,
    noise: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """The parameters after so many steps from ``start`` ``[K, P]``."""
    optimizer = made(name, fused)
    params = start.clone()
    hparams = hyperparameters(name, len(start), given, start.dtype)
    state = optimizer.init(params, hparams)
    for step in range(steps):
        drawn = (
            (lambda s=step: noise(s))
            if noise
            else (lambda s=step: row_noise(s, list(range(len(start))), start.shape[1], start.dtype))
        )
        params, state, _ = optimizer.step(gradient(loss), params, state, hparams, drawn)
    return optimizer.eval_params(params, state)
