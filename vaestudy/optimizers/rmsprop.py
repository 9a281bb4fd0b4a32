"""RMSprop, in the form of torch.optim.RMSprop."""

from __future__ import annotations

import torch
from torch import Tensor

from vaestudy.hyperparameters import Decay, NonNegative, Positive
from vaestudy.optimizers.base import rule
from vaestudy.registry import Source

HINTON = Source("hinton2012rmsprop", "Hinton, Geoffrey and Srivastava, Nitish and Swersky, Kevin",
                "Neural Networks for Machine Learning, Lecture 6a: Overview of Mini-Batch Gradient Descent", 2012,
                "Coursera lecture notes")


@rule("rmsprop", slots=("v", "b"), source=HINTON)
def rmsprop(theta: Tensor, g: Tensor, v: Tensor, b: Tensor, t: Tensor, *, lr: Positive = 1e-2, alpha: Decay = 0.99,
            eps: NonNegative = 1e-8, momentum: Decay = 0.0, weight_decay: NonNegative = 0.0) -> tuple[Tensor, ...]:
    """RMSprop: steps scaled by a running root mean square of the gradient, with optional momentum."""
    g = g + weight_decay * theta
    v = alpha * v + (1 - alpha) * g * g
    b = momentum * b + g / (torch.sqrt(v) + eps)
    return theta - lr * b, v, b
