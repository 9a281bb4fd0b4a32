"""Parameters of K members as one flat matrix, with a layout that names its columns.

Letters: K members, P columns of the flat matrix (each parameter padded to a multiple of 16 columns, so that every row
and every parameter starts on a 64-byte boundary and kernels choose the same path for each member).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ALIGNMENT = 16
PARTS = ("encoder", "decoder")


@dataclass(frozen=True)
class Parameter:
    """One named parameter: its shape for a single member, and how it starts.

    ``name`` begins with its part, ``encoder.`` or ``decoder.``. ``bound`` > 0 draws the start uniformly from
    [-bound, bound]; 0 starts at ``value`` (a number, or one number per entry).
    """

    name: str
    shape: tuple[int, ...]
    bound: float = 0.0
    value: float | tuple[float, ...] = 0.0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Layout:
    """Where each parameter lies in a row; encoder first, decoder after it."""

    def __init__(self, parameters: Sequence[Parameter]):
        self.parameters = tuple(sorted(parameters, key=lambda p: PARTS.index(p.name.split(".")[0])))
        self.offsets: dict[str, int] = {}
        column = 0
        for parameter in self.parameters:
            self.offsets[parameter.name] = column
            column += -(-parameter.size // ALIGNMENT) * ALIGNMENT
        self.width = column

    @cached_property
    def count(self) -> int:
        """The number of true parameters of one member, padding left out."""
        return sum(parameter.size for parameter in self.parameters)

    def columns(self, part: str) -> slice:
        """The columns of ``encoder`` or ``decoder``."""
        names = [p.name for p in self.parameters if p.name.startswith(part + ".")]
        others = [self.offsets[p.name] for p in self.parameters if self.offsets[p.name] > self.offsets[names[-1]]]
        return slice(self.offsets[names[0]], min(others, default=self.width))

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Named views of a flat matrix ``[K, P]``: each ``[K, *shape]``, sharing its memory."""
        rows = flat.shape[0]
        return {
            p.name: flat[:, self.offsets[p.name] : self.offsets[p.name] + p.size].view(rows, *p.shape)
            for p in self.parameters
        }

    def pack(self, named: Mapping[str, Tensor], out: Tensor) -> Tensor:
        """Copies named tensors ``[K, *shape]`` into ``out`` ``[K, P]``; padding columns are left as they are."""
        for name, view in self.views(out).items():
            view.copy_(named[name])
        return out

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """The starting parameters of one member, ``[P]`` on the CPU, drawn in the order of the layout."""
        row = torch.zeros(1, self.width, dtype=dtype)
        for parameter, view in zip(self.parameters, self.views(row).values(), strict=True):
            if parameter.bound > 0:
                view.uniform_(-parameter.bound, parameter.bound, generator=generator)
            else:
                view.copy_(torch.as_tensor(parameter.value, dtype=dtype).expand(view.shape))
        return row[0]
