"""Data sets: sizes, splits, binarisation, and files that are not to be trusted."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from vaestudy import data
from vaestudy.data.base import DataSet, RemoteFile, fetch
from vaestudy.data.idx import read_idx
from vaestudy.errors import DataError


def digits(binarize: str = "dynamic", seed: int = 0, limit: int | None = None) -> data.Examples:
    return data.load("digits", Path(), binarize=binarize, seed=seed, validation=300, limit=limit)  # type: ignore[arg-type]


def test_digits_need_no_file_and_split_into_disjoint_parts() -> None:
    examples = digits("none")
    test = data.load_test("digits", Path(), binarize="none", seed=0)
    assert (len(examples.train), len(examples.validation), len(test)) == (1200, 300, 297)
    assert examples.shape == (8, 8)
    assert float(examples.train.min()) == 0
    assert float(examples.train.max()) == 1


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_what_is_judged_is_binary_and_the_same_every_time(binarize: str) -> None:
    first, second = digits(binarize), digits(binarize)
    assert set(first.validation.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(first.validation, second.validation)


def test_static_binarisation_draws_the_training_images_once_and_dynamic_keeps_their_means() -> None:
    assert set(digits("static").train.unique().tolist()) == {0.0, 1.0}
    assert len(digits("dynamic").train.unique()) > 2


def test_another_data_seed_gives_another_split_and_draw() -> None:
    assert not torch.equal(digits("static", seed=0).validation, digits("static", seed=1).validation)


def test_binarisation_is_unbiased() -> None:
    means, drawn = digits("dynamic").train, digits("static").train
    assert float(drawn.mean()) == pytest.approx(float(means.mean()), abs=0.005)


def test_a_limit_takes_fewer_training_images() -> None:
    assert len(digits(limit=128).train) == 128


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_sets_have_their_sizes(name: str, image_data: Path) -> None:
    examples = data.load(name, image_data, binarize="none", seed=0, validation=5000)
    assert examples.train.shape == (55_000, 784)
    assert data.load_test(name, image_data, binarize="none", seed=0).shape == (10_000, 784)


def idx(content: bytes, path: Path) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


def header(*shape: int, magic: bytes = b"\0\0\x08") -> bytes:
    return magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def test_an_idx_file_is_read(tmp_path: Path) -> None:
    path = idx(header(2, 3) + bytes(range(6)), tmp_path / "a.gz")
    assert np.array_equal(read_idx(path), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "law"),
    [
        (b"", "begins with nothing"),
        (header(2, 3, magic=b"\x01\x02\x08") + bytes(6), "begins with 0102"),
        (header(2, 3) + bytes(5), r"promises \(2, 3\), 5 bytes"),
        (header(2**31, 2**31) + bytes(5), "5 bytes follow"),
        (header(0, 28), "0 bytes follow"),
        (b"\0\0\x08\x03\0\0", "header is cut off"),
    ],
)
def test_an_idx_file_that_does_not_add_up_is_refused(content: bytes, law: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=law):
        read_idx(idx(content, tmp_path / "a.gz"))


CUT = gzip.compress(b"x" * 999, mtime=0)[:-9]  # the same at any second, for the names of the tests


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", CUT])
def test_a_file_that_is_no_gzip_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gz"):
        read_idx(path)


def remote(folder: Path, content: bytes, addresses: tuple[str, ...] = ()) -> DataSet:
    file = RemoteFile("x/a.bin", hashlib.sha256(b"right").hexdigest(), addresses)
    (folder / "x").mkdir()
    if content:
        (folder / "x" / "a.bin").write_bytes(content)
    return DataSet("x", 1, 1, (1, 1), 255, (file,), lambda part, where: np.zeros((1, 1), np.uint8))


def test_a_file_with_another_checksum_is_refused_with_both_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.bin: sha256 is .*the pinned one is .*delete it"):
        fetch(remote(tmp_path, b"wrong"), tmp_path)


def test_the_right_file_is_accepted(tmp_path: Path) -> None:
    fetch(remote(tmp_path, b"right"), tmp_path)


def test_a_missing_file_that_no_address_gives_says_where_to_put_it(tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/a.bin"
    with pytest.raises(DataError, match=r"VAESTUDY_DATA.*127\.0\.0\.1:9"):
        fetch(remote(tmp_path, b"", (address,)), tmp_path)
