"""Optimizers: update rules for K members at once, and any torch.optim class through the lift."""

from vaestudy.optimizers import adam as adam  # importing registers, here and in the next four lines
from vaestudy.optimizers import ivon as ivon
from vaestudy.optimizers import rmsprop as rmsprop
from vaestudy.optimizers import sgd as sgd
from vaestudy.optimizers import torch_optim as torch_optim
from vaestudy.optimizers.base import Optimizer, optimizers

__all__ = ["Optimizer", "optimizers"]
