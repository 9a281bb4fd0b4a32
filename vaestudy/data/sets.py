"""The data sets: bundled digits, MNIST, Fashion-MNIST."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from vaestudy.data.base import DataSet, Images, RemoteFile, data_set
from vaestudy.data.idx import read_idx
from vaestudy.errors import DataError
from vaestudy.registry import Source
from vaestudy.seeding import Stream, numpy_generator

DIGITS = Source(
    "alpaydin1998digits",
    "Alpaydin, E. and Kaynak, C.",
    "Optical Recognition of Handwritten Digits",
    1998,
    "10.24432/C50P49",
)
MNIST = Source(
    "lecun1998gradient",
    "LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick",
    "Gradient-Based Learning Applied to Document Recognition",
    1998,
    "10.1109/5.726791",
)
FASHION = Source(
    "xiao2017fashion",
    "Xiao, Han and Rasul, Kashif and Vollgraf, Roland",
    "{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
    2017,
    "arXiv:1708.07747",
)

DIGITS_TEST = 297


def read_digits(part: str, folder: Path) -> Images:
    """1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn; 297 of them, fixed, are the test."""
    from sklearn.datasets import load_digits  # a second to import, and only this data set needs it

    images: Images = load_digits().data.astype(np.uint8)
    images = images[numpy_generator(0, Stream.SPLIT).permutation(len(images))]
    return images[-DIGITS_TEST:] if part == "test" else images[:-DIGITS_TEST]


def _read_idx_part(part: str, folder: Path, *, name: str) -> Images:
    prefix = "t10k" if part == "test" else "train"
    images = read_idx(folder / name / f"{prefix}-images-idx3-ubyte.gz")
    if images.shape[1:] != (28, 28):
        raise DataError(f"{folder / name}: expected images of 28x28 pixels, found {images.shape[1:]}")
    return images.reshape(len(images), 784)


def read_mnist(part: str, folder: Path) -> Images:
    """70,000 handwritten digits of 28x28 pixels, 60,000 to train and 10,000 to test."""
    return _read_idx_part(part, folder, name="mnist")


def read_fashion(part: str, folder: Path) -> Images:
    """70,000 pictures of clothes of 28x28 pixels, 60,000 to train and 10,000 to test."""
    return _read_idx_part(part, folder, name="fashion-mnist")


def _idx_file(name: str, file: str, sha256: str, bases: tuple[str, ...]) -> RemoteFile:
    return RemoteFile(f"{name}/{file}", sha256, tuple(base + file for base in bases))


mnist_file = partial(
    _idx_file,
    "mnist",
    bases=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
fashion_file = partial(
    _idx_file,
    "fashion-mnist",
    bases=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)

data_set(DataSet("digits", 1500, DIGITS_TEST, (8, 8), 16, (), read_digits), DIGITS)
data_set(
    DataSet(
        "mnist",
        60_000,
        10_000,
        (28, 28),
        255,
        (
            mnist_file(
                "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            mnist_file("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ),
        read_mnist,
    ),
    MNIST,
)
data_set(
    DataSet(
        "fashion-mnist",
        60_000,
        10_000,
        (28, 28),
        255,
        (
            fashion_file(
                "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            fashion_file(
                "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
        ),
        read_fashion,
    ),
    FASHION,
)
