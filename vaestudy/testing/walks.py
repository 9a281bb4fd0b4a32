"""Optimizers stepped on a function of their parameters, without a population around them.

Letters: K members, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vaestudy.hyperparameters import number
from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Frozen, GradFn, Hyperparameters
from vaestudy.params import Layout, Parameter
from vaestudy.testing.laws import required_arguments

LAYOUT = Layout(
    [
        Parameter("encoder.w", (4, 8)),
        Parameter("encoder.b", (16,)),
        Parameter("decoder.w", (8, 4)),
        Parameter("decoder.b", (16,)),
    ]
)
"""Matrices and vectors in both parts, without padding."""

REQUIRED: Mapping[str, Any] = {"ess": 200.0, "lr": 0.1}
"""Values for well-known hyperparameters that have no default."""


def hyperparameters(name: str, rows: int, given: Mapping[str, Any], dtype: torch.dtype) -> Hyperparameters:
    """Every hyperparameter of an optimizer as ``[K, 1]``: what is given, else its default, else a legal value."""
    schema = optimizers.find(name).hyperparameters
    defaults = {key: item.default for key, item in schema.items() if not item.required}
    values: dict[str, Any] = {**required_arguments(schema), **REQUIRED, **defaults, **given}
    return {
        key: value if isinstance(value := values[key], Tensor) else torch.full((rows, 1), number(value), dtype=dtype)
        for key in schema
    }


def gradient(loss: Callable[[Tensor], Tensor]) -> GradFn:
    """The gradient function that an optimizer is handed, of a loss from ``[K, P]`` to ``[K]``."""

    def grad_fn(at: Tensor, wanted: Sequence[bool] | None = None, /) -> tuple[Tensor, Tensor]:
        leaf = at.detach().clone().requires_grad_()
        values = loss(leaf)
        return torch.autograd.grad(values.sum(), leaf)[0], values.detach()

    return grad_fn


def row_noise(step: int, rows: Sequence[int], width: int, dtype: torch.dtype) -> Tensor:
    """Noise ``[K, P]`` that depends on each row's name and the step only."""
    return torch.stack(
        [torch.randn(width, generator=torch.Generator().manual_seed(1000 * row + step), dtype=dtype) for row in rows]
    )


def bowl(theta: Tensor) -> Tensor:
    """A quadratic function of each row, ``[K]``."""
    scales = torch.linspace(0.5, 2.0, theta.shape[-1], dtype=theta.dtype)
    return 0.5 * (scales * theta**2).sum(-1)


class Walk:
    """Some members under one optimizer, descending a bowl; their starts and their noise follow their names."""

    def __init__(self, name: str, members: list[int], poisoned: int | None = None, dtype: torch.dtype = torch.float32):
        self.members, self.poisoned, self.dtype = members, poisoned, dtype
        self.optimizer = optimizers.find(name).component(LAYOUT)
        self.hparams = dict(hyperparameters(name, len(members), {}, dtype))
        self.params = torch.cat([_start(member, dtype) for member in members])
        self.state: Any = self.optimizer.init(self.params, self.hparams)
        self.losses = torch.empty(len(members), dtype=dtype)
        self.steps = 0

    def go(self, steps: int, lr: Tensor | None = None, frozen: Frozen | None = None) -> Walk:
        """So many steps, with a rate of its own or frozen parts where they are given; a member that is poisoned has NaN
        as its loss."""
        if lr is not None:
            self.hparams["lr"] = lr
        for _ in range(steps):
            self.params, self.state, self.losses = self.optimizer.step(
                self._gradients(frozen), self.params, self.state, self.hparams, self._noise, frozen
            )
            self.steps += 1
        return self

    def row(self, member: int) -> Tensor:
        """Where a member is evaluated, ``[P]``."""
        return self.optimizer.eval_params(self.params, self.state)[self.members.index(member)].clone()

    def keep(self, members: list[int]) -> None:
        """Drops every other member."""
        rows = [self.members.index(member) for member in members]
        self.state = self.optimizer.put_rows([self.optimizer.get_row(self.state, row) for row in rows])
        self.params, self.members = self.params[rows], members
        self.hparams = {name: value[rows] for name, value in self.hparams.items()}

    def _gradients(self, frozen: Frozen | None) -> GradFn:
        inner = gradient(self._loss)

        def grad_fn(at: Tensor, wanted: Sequence[bool] | None = None, /) -> tuple[Tensor, Tensor]:
            grads, losses = inner(at)
            for k, part in enumerate(frozen or ()):
                if part is not None:
                    grads[k, LAYOUT.columns(part)] = 0.0
            return grads, losses

        return grad_fn

    def _loss(self, theta: Tensor) -> Tensor:
        factors = [float("nan") if member == self.poisoned else 1.0 for member in self.members]
        return bowl(theta) * torch.tensor(factors, dtype=theta.dtype)

    def _noise(self, draw: int = 0, /) -> Tensor:
        return row_noise(self.steps + 1000 * draw, self.members, LAYOUT.width, self.dtype)


def _start(member: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(1, LAYOUT.width, generator=torch.Generator().manual_seed(member)).to(dtype)
