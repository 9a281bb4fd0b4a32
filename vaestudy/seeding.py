"""Random streams and identities: every number is a pure function of (seed, stream, step).

A member's random numbers depend neither on K nor on its slot nor on its neighbours, and a checkpoint need store no
generator state: the step is enough. The same seed gives every method the same initialisation, data order and latent
noise (common random numbers, protocol rule on seeds).

Letters: K members.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """The independent streams of one seed."""

    INIT = 0
    ORDER = 1
    BINARIZE = 2
    LATENT = 3
    WEIGHTS = 4
    SPLIT = 5
    EVALUATE = 6


@dataclass(frozen=True)
class Seeds:
    """One run's seeds: of initialisation, of data order with binarisation, of noise (latent and in the weights)."""

    init: int
    order: int
    noise: int

    @classmethod
    def same(cls, seed: int) -> Seeds:
        """One seed for everything; the streams are independent all the same."""
        return cls(seed, seed, seed)

    @classmethod
    def varying(cls, varied: str, seed: int, rest: int) -> Seeds:
        """``seed`` for what varies (``all``, or one of init, order, noise), ``rest`` for the others."""
        init, order, noise = (seed if varied in ("all", name) else rest for name in ("init", "order", "noise"))
        return cls(init, order, noise)


def mix(*parts: int | str) -> int:
    """A 63-bit integer that depends on every part and on their order (BLAKE2b)."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def uid(study_hash: str, cell: str, trial: int, seed: int) -> str:
    """The identity of a run, known before any work: 16 hexadecimal digits."""
    text = f"{study_hash}/{cell}/{trial}/{seed}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def numpy_generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """A NumPy generator at the start of one (seed, stream, step)."""
    return np.random.Generator(np.random.Philox(key=mix(seed, stream.name, step)))


def permutation(seed: int, epoch: int, size: int) -> Tensor:
    """The order of ``size`` examples in one epoch, int64 ``[size]``."""
    return torch.from_numpy(numpy_generator(seed, Stream.ORDER, epoch).permutation(size))


class Noise:
    """Standard normal and uniform draws of K members at one step, one row a member."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self._seeds = tuple(seeds)
        self._generator = torch.Generator(device=device)
        self._device = device

    def normal(self, stream: Stream, steps: Sequence[int], *shape: int, dtype: torch.dtype) -> Tensor:
        """Standard normals ``[K, *shape]``; row k is a function of (seed k, stream, steps[k]) alone."""
        out = torch.empty(len(self._seeds), *shape, device=self._device, dtype=dtype)
        for row, seed, step in zip(out, self._seeds, steps, strict=True):
            row.normal_(generator=self._generator.manual_seed(mix(seed, stream.name, step)))
        return out

    def uniform(self, stream: Stream, steps: Sequence[int], *shape: int, dtype: torch.dtype) -> Tensor:
        """Uniforms on [0, 1), ``[K, *shape]``, keyed like ``normal``."""
        out = torch.empty(len(self._seeds), *shape, device=self._device, dtype=dtype)
        for row, seed, step in zip(out, self._seeds, steps, strict=True):
            row.uniform_(generator=self._generator.manual_seed(mix(seed, stream.name, step)))
        return out
