"""Parameters of K members as one flat matrix, with a layout that names its columns.

Letters: K members, P columns of the flat matrix (each parameter padded to a multiple of 16 columns, so that every row
and every parameter starts on a 64-byte boundary and kernels choose the same path for each member).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
        self._widths: list[int] = []  # each parameter and the padding after it, in turn
        for parameter in self.parameters:
            self.offsets[parameter.name] = sum(self._widths)
            self._widths += [parameter.size, -parameter.size % ALIGNMENT]
        self.width = sum(self._widths)

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
        blocks = flat.split_with_sizes(self._widths, dim=1)[::2]
        return {p.name: block.view(len(flat), *p.shape) for p, block in zip(self.parameters, blocks, strict=True)}

    def pack(self, tensors: Iterable[Tensor]) -> Tensor:
        """The inverse of ``views``: one tensor ``[K, *shape]`` per parameter, in order, as a new matrix ``[K, P]``."""
        blocks: list[Tensor] = []
        for tensor, padding in zip(tensors, self._widths[1::2], strict=True):
            blocks.append(tensor.flatten(1))
            if padding:
                blocks.append(tensor.new_zeros(len(tensor), padding))
        return torch.cat(blocks, dim=1)

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """The starting parameters of one member, ``[P]`` on the CPU, drawn in the order of the layout."""
        row = torch.zeros(1, self.width, dtype=dtype)
        for parameter, view in zip(self.parameters, self.views(row).values(), strict=True):
            if parameter.bound > 0:
                view.uniform_(-parameter.bound, parameter.bound, generator=generator)
            else:
                view.copy_(torch.as_tensor(parameter.value, dtype=dtype).expand(view.shape))
        return row[0]
