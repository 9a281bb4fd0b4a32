"""From a data set to the tensors that a run trains on and is judged by.

Letters: N examples, D pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaestudy.data.base import Images, data_sets, fetch
from vaestudy.errors import DataError
from vaestudy.seeding import Stream, numpy_generator

Binarize = Literal["none", "static", "dynamic"]
Means = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """Training and validation images of a workload; the test part is not here (``load_test``).

    Attributes:
        train: ``[N, D]`` in [0, 1]: 0 or 1 where binarised statically, the Bernoulli means where dynamically.
        validation: ``[M, D]``; 0 or 1 where binarised at all, the draw fixed by the data seed.
        dynamic: whether training images are to be binarised anew at every use (Burda 2015; Salakhutdinov 2008).
        shape: height and width of one image.
    """

    train: Tensor
    validation: Tensor
    dynamic: bool
    shape: tuple[int, ...]

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device."""
        return Examples(self.train.to(device), self.validation.to(device), self.dynamic, self.shape)

    @property
    def data_dim(self) -> int:
        """D, the number of pixels."""
        return self.train.shape[1]


def load(
    name: str, folder: Path, *, binarize: Binarize, seed: int, validation: int, limit: int | None = None
) -> Examples:
    """The training and validation images; which rows validate, and every fixed binarisation, come from ``seed``.

    Raises:
        DataError: a file is missing, damaged or not what it claims to be.
    """
    images, levels = _read(name, "train", folder)
    order = numpy_generator(seed, Stream.SPLIT).permutation(len(images))
    held, rest = order[:validation], order[validation:][:limit]
    train = _means(images[rest], levels)
    if binarize == "static":
        train = _draw(train, seed, part=1)
    return Examples(
        torch.from_numpy(train),
        _evaluation(images[held], levels, binarize, seed, part=2),
        binarize == "dynamic",
        data_sets.find(name).component.shape,
    )


def load_test(name: str, folder: Path, *, binarize: Binarize, seed: int) -> Tensor:
    """The test images ``[N, D]``, binarised by a fixed draw where the workload is binarised; for confirmation only."""
    images, levels = _read(name, "test", folder)
    return _evaluation(images, levels, binarize, seed, part=3)


def _read(name: str, part: str, folder: Path) -> tuple[Images, int]:
    made = data_sets.find(name).component
    fetch(made, folder)
    images = made.read(part, folder)
    expected = made.test_size if part == "test" else made.train_size
    if len(images) != expected:
        raise DataError(f"data set {name!r}: expected {expected} {part} images, found {len(images)} in {folder}")
    return images, made.levels


def _evaluation(images: Images, levels: int, binarize: Binarize, seed: int, part: int) -> Tensor:
    means = _means(images, levels)
    return torch.from_numpy(means if binarize == "none" else _draw(means, seed, part))


def _means(images: Images, levels: int) -> Means:
    means = images.astype(np.float32)
    means /= np.float32(levels)  # in place, as below: every worker loads the data before its first trial
    return means


def _draw(means: Means, seed: int, part: int) -> Means:
    uniform = numpy_generator(seed, Stream.BINARIZE, part).random(means.shape, dtype=np.float32)
    np.less(uniform, means, out=uniform, casting="unsafe")
    return uniform
