"""Optimizers as the tests of single rules want them: fused or not, from a given start, with given hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
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
    noise: Callable[[int, int], Tensor] | None = None,
) -> Tensor:
    """The parameters after so many steps from ``start`` ``[K, P]``; ``noise`` is of a step and a draw in it."""
    optimizer = made(name, fused)
    params = start.clone()
    hparams = hyperparameters(name, len(start), given, start.dtype)
    state = optimizer.init(params, hparams)
    for step in range(steps):
        drawn = partial(noise, step) if noise else partial(own_noise, len(start), start.shape[1], start.dtype, step)
        params, state, _ = optimizer.step(gradient(loss), params, state, hparams, drawn)
    return optimizer.eval_params(params, state)


def own_noise(members: int, width: int, dtype: torch.dtype, step: int, draw: int = 0) -> Tensor:
    return row_noise(step + 1000 * draw, list(range(members)), width, dtype)
