"""Adam and AdamW, in the symbols of Kingma & Ba, Algorithm 1."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vaestudy.hyperparameters import Decay, NonNegative, Positive
from vaestudy.optimizers.base import rule
from vaestudy.registry import Source

KINGMA = Source(
    "kingma2015adam",
    "Kingma, Diederik P. and Ba, Jimmy",
    "Adam: A Method for Stochastic Optimization",
    2015,
    "arXiv:1412.6980",
)
LOSHCHILOV = Source(
    "loshchilov2019decoupled",
    "Loshchilov, Ilya and Hutter, Frank",
    "Decoupled Weight Decay Regularization",
    2019,
    "arXiv:1711.05101",
)


def _fused(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float], decoupled: bool) -> None:
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
    kernel(
        [theta],
        [g],
        [slots["m"]],
        [slots["v"]],
        [],
        [torch.tensor(float(t))],
        lr=h["lr"],
        beta1=h["beta1"],
        beta2=h["beta2"],
        weight_decay=h["weight_decay"],
        eps=h["eps"],
        amsgrad=False,
        maximize=False,
    )


def _adam(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float]) -> None:
    _fused(theta, g, slots, t, h, decoupled=False)


def _adamw(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float]) -> None:
    _fused(theta, g, slots, t, h, decoupled=True)


@rule("adam", slots=("m", "v"), source=KINGMA, kernel=_adam, family="adam", contains=("sgd", "momentum"))
def adam(
    theta: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    t: Tensor,
    *,
    lr: Positive = 1e-3,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
) -> tuple[Tensor, ...]:
    """Adam: steps scaled by running moments of the gradient."""
    g = g + weight_decay * theta
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return theta - lr * m_hat / (torch.sqrt(v_hat) + eps), m, v


@rule(
    "adamw",
    slots=("m", "v"),
    source=LOSHCHILOV,
    kernel=_adamw,
    family="adam",
    contains=("sgd", "momentum", "adam"),
)
def adamw(
    theta: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    t: Tensor,
    *,
    lr: Positive = 1e-3,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-2,
) -> tuple[Tensor, ...]:
    """Adam with weight decay kept out of the moments."""
    theta = theta - lr * weight_decay * theta
    return adam(theta, g, m, v, t, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0)
