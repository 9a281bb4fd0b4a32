"""RMSprop, in the form of torch.optim.RMSprop."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vaestudy.hyperparameters import Decay, NonNegative, Positive
from vaestudy.optimizers.base import rule
from vaestudy.registry import Source

HINTON = Source(
    "hinton2012rmsprop",
    "Hinton, Geoffrey and Srivastava, Nitish and Swersky, Kevin",
    "Neural Networks for Machine Learning, Lecture 6a: Overview of Mini-Batch Gradient Descent",
    2012,
    "Coursera lecture notes",
)


def _in_place(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, h: Mapping[str, float]) -> None:
    v, b = slots["v"], slots["b"]
    if h["weight_decay"] != 0:
        g = g.add(theta, alpha=h["weight_decay"])
    v.mul_(h["alpha"]).addcmul_(g, g, value=1 - h["alpha"])
    b.mul_(h["momentum"]).addcdiv_(g, v.sqrt().add_(h["eps"]))
    theta.add_(b, alpha=-h["lr"])


@rule(
    "rmsprop",
    slots=("v", "b"),
    source=HINTON,
    kernel=_in_place,
    family="rmsprop",
    contains=("sgd", "momentum"),
)
def rmsprop(
    theta: Tensor,
    g: Tensor,
    v: Tensor,
    b: Tensor,
    t: Tensor,
    *,
    lr: Positive = 1e-2,
    alpha: Decay = 0.99,
    eps: NonNegative = 1e-8,
    momentum: Decay = 0.0,
    weight_decay: NonNegative = 0.0,
) -> tuple[Tensor, ...]:
    """RMSprop: steps scaled by a running root mean square of the gradient, with optional momentum."""
    g = g + weight_decay * theta
    v = alpha * v + (1 - alpha) * g * g
    b = momentum * b + g / (torch.sqrt(v) + eps)
    return theta - lr * b, v, b
