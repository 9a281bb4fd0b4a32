"""Models: encoder and decoder as functions of named parameters."""

from vaestudy.models import mlp as mlp  # registers
from vaestudy.models.base import Model, models

__all__ = ["Model", "models"]
