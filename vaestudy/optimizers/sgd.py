"""Stochastic gradient descent: plain, with heavy-ball momentum, with Nesterov's momentum.

Form and default rate are torch.optim.SGD's; the default momentum is the least that Sutskever et al. (2013) tried.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vaestudy.hyperparameters import Decay, NonNegative, Positive
from vaestudy.optimizers.base import rule
from vaestudy.registry import Source

ROBBINS = Source(
    "robbins1951stochastic",
    "Robbins, Herbert and Monro, Sutton",
    "A Stochastic Approximation Method",
    1951,
    "10.1214/aoms/1177729586",
)
SUTSKEVER = Source(
    "sutskever2013importance",
    "Sutskever, Ilya and Martens, James and Dahl, George and Hinton, Geoffrey",
    "On the Importance of Initialization and Momentum in Deep Learning",
    2013,
)


def _fused(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float], nesterov: bool) -> None:
    # torch starts its buffer at the first gradient; ours starts at 0, and 0 * momentum + g is that gradient.
    momentum = h.get("momentum", 0.0)
    torch._fused_sgd_(
        [theta],
        [g],
        [slots["b"]] if momentum > 0 else [],
        weight_decay=h["weight_decay"],
        momentum=momentum,
        lr=h["lr"],
        dampening=0.0,
        nesterov=nesterov,
        maximize=False,
        is_first_step=False,
    )


def _plain(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float]) -> None:
    _fused(theta, g, slots, t, h, nesterov=False)


def _nesterov(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float]) -> None:
    _fused(theta, g, slots, t, h, nesterov=h["momentum"] > 0)


@rule("sgd", source=ROBBINS, kernel=_plain, family="sgd")
def sgd(
    theta: Tensor, g: Tensor, t: Tensor, *, lr: Positive = 1e-3, weight_decay: NonNegative = 0.0
) -> tuple[Tensor, ...]:
    """Stochastic gradient descent without momentum."""
    return (theta - lr * (g + weight_decay * theta),)


@rule("momentum", slots=("b",), source=SUTSKEVER, kernel=_plain, family="sgd", contains=("sgd",))
def momentum(
    theta: Tensor,
    g: Tensor,
    b: Tensor,
    t: Tensor,
    *,
    lr: Positive = 1e-3,
    momentum: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
) -> tuple[Tensor, ...]:
    """Stochastic gradient descent with heavy-ball momentum (torch.optim.SGD's form: the rate outside the buffer)."""
    b = momentum * b + g + weight_decay * theta
    return theta - lr * b, b


@rule("nesterov", slots=("b",), source=SUTSKEVER, kernel=_nesterov, family="sgd", contains=("sgd",))
def nesterov(
    theta: Tensor,
    g: Tensor,
    b: Tensor,
    t: Tensor,
    *,
    lr: Positive = 1e-3,
    momentum: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
) -> tuple[Tensor, ...]:
    """Stochastic gradient descent with Nesterov's momentum (torch.optim.SGD's form)."""
    g = g + weight_decay * theta
    b = momentum * b + g
    return theta - lr * (g + momentum * b), b
