"""Optimizers: update rules for K members at once, and any torch.optim class through the lift."""

from vaestudy.optimizers import adam as _adam  # registers, as do the next three
from vaestudy.optimizers import ivon as _ivon
from vaestudy.optimizers import rmsprop as _rmsprop
from vaestudy.optimizers import sgd as _sgd
from vaestudy.optimizers.base import Optimizer, optimizers

__all__ = ["Optimizer", "optimizers"]
