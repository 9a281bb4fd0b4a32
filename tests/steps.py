"""Stepping an optimizer on a function of its parameters, without a population around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Hyperparameters, Optimizer, Rule
from vaestudy.params import Layout, Parameter

LAYOUT = Layout(
    [
        Parameter("encoder.w", (4, 8)),
        Parameter("encoder.b", (16,)),
        Parameter("decoder.w", (8, 4)),
        Parameter("decoder.b", (16,)),
    ]
)

REQUIRED = {"ess": 200.0}
"""Values for hyperparameters that have no default."""


def columns(part: str) -> slice:
    return LAYOUT.columns(part)


def made(name: str, fused: bool = True) -> Optimizer:
    optimizer = optimizers.find(name).component(LAYOUT)
    if not fused and isinstance(optimizer, Rule):
        return Rule(optimizer.update, optimizer.slots, optimizer.hyperparameters)
    return optimizer


def hyperparameters(name: str, rows: int, given: dict[str, Any], dtype: torch.dtype) -> Hyperparameters:
    values: dict[str, Any] = {}
    for key, entry in optimizers.find(name).hyperparameters.items():
        value = given.get(key, REQUIRED[key] if entry.required else entry.default)
        values[key] = value if isinstance(value, Tensor) else torch.full((rows, 1), float(value or 0), dtype=dtype)
    return values


def gradient(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def grad_fn(at: Tensor) -> tuple[Tensor, Tensor]:
        leaf = at.detach().clone().requires_grad_()
        values = loss(leaf)
        return torch.autograd.grad(values.sum(), leaf)[0], values.detach()

    return grad_fn


def row_noise(step: int, rows: list[int], width: int, dtype: torch.dtype) -> Tensor:
    """Noise that depends on the row's name and the step only."""
    return torch.stack(
        [torch.randn(width, generator=torch.Generator().manual_seed(1000 * row + step), dtype=dtype) for row in rows]
    )


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
