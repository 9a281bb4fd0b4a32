"""What a model is: an encoder and a decoder over named parameters, for K members at once.

A model is written once for tensors with leading axes; with ``dense`` the same lines serve one member and K of them.

Letters: K members, B batch, D data dimensions, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from vaestudy.models.affine import affine
from vaestudy.params import Layout, Parameter
from vaestudy.registry import Registry

Named = Mapping[str, Tensor]
"""Parameters by name, each ``[K, *shape]``."""


class Model(Protocol):
    """A diagonal Gaussian posterior q(z|x) and a decoder whose output a likelihood reads."""

    @property
    def latent_dim(self) -> int:
        """Z."""
        ...

    @property
    def layout(self) -> Layout:
        """Where each parameter lies in a row."""
        ...

    def encode(self, params: Named, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each ``[K, B, Z]``, from ``x`` ``[K, B, D]``."""
        ...

    def decode(self, params: Named, z: Tensor) -> Tensor:
        """The likelihood's input ``[K, B, D]`` from ``z`` ``[K, B, Z]``."""
        ...


ModelFactory = Callable[..., Model]
"""``factory(data_dim, **hyperparameters)``."""

models: Registry[ModelFactory] = Registry("model")


def dense(params: Named, name: str, x: Tensor) -> Tensor:
    """The affine layer ``name`` applied to ``x`` ``[K, B, in]``."""
    return affine(x, params[name + ".weight"], params[name + ".bias"])


def dense_parameters(name: str, inputs: int, outputs: int) -> list[Parameter]:
    """Weight and bias of an affine layer, started as torch.nn.Linear starts them (uniform, bound 1/sqrt(inputs))."""
    bound = 1 / math.sqrt(inputs)
    return [Parameter(name + ".weight", (inputs, outputs), bound), Parameter(name + ".bias", (outputs,), bound)]
