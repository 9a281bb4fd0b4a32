"""What a data set is, where its files come from, and how files are trusted.

Files lie in the folder that ``VAESTUDY_DATA`` names, else in the user's cache, where they are downloaded from their
official addresses; a file whose SHA-256 is not the pinned one is never read.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pooch

from vaestudy.errors import DataError
from vaestudy.registry import Registry, Source

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: its path in the data folder, its SHA-256, and addresses to download it from."""

    path: str
    sha256: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class DataSet:
    """Images in grey levels 0 .. ``levels``, in an official training and test part.

    Attributes:
        train_size, test_size: the number of images in each part.
        shape: height and width of one image.
        levels: the largest grey level; images divided by it lie in [0, 1].
        files: what must be on disk; none for bundled data.
        read: gives the images ``[N, height * width]`` of ``train`` or ``test``, given the data folder.
    """

    name: str
    train_size: int
    test_size: int
    shape: tuple[int, ...]
    levels: int
    files: tuple[RemoteFile, ...]
    read: Callable[[str, Path], Images]


data_sets: Registry[DataSet] = Registry("data set")


def data_set(made: DataSet, source: Source) -> DataSet:
    """Registers a data set; ``read``'s docstring is its summary."""
    data_sets.add(made.name, made, made.read, source)
    return made


def named_folder() -> Path | None:
    """The folder that ``VAESTUDY_DATA`` names."""
    named = os.environ.get("VAESTUDY_DATA")
    return Path(named).expanduser() if named else None


def data_folder() -> Path:
    """The folder that ``VAESTUDY_DATA`` names, else the user's cache."""
    return named_folder() or Path(pooch.os_cache("vaestudy"))


def fetch(made: DataSet, folder: Path) -> None:
    """Makes sure that every file of a data set is in ``folder`` and is the pinned one; downloads what is missing.

    Raises:
        DataError: a file is damaged, or missing and no address gives it.
    """
    for file in made.files:
        path = folder / file.path
        if not path.exists():
            _download(made.name, file, folder)
        _verify(path, file.sha256)


def _download(name: str, file: RemoteFile, folder: Path) -> None:
    pooch.get_logger().setLevel(logging.WARNING)
    errors = []
    for address in file.addresses:
        target = folder / file.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            pooch.retrieve(
                address,
                known_hash=f"sha256:{file.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(timeout=30, progressbar=False),
            )
            return
        except (OSError, ValueError) as error:  # no network, no space, or not the pinned bytes
            errors.append(f"{address}: {str(error).splitlines()[0][:120]}")
    raise DataError(
        f"data set {name!r}: {folder / file.path} is missing and could not be downloaded; put it there, or let "
        f"VAESTUDY_DATA name a folder that has it. Tried: {'; '.join(errors)}"
    )


def _verify(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if found != sha256:
        raise DataError(
            f"{path}: sha256 is {found[:16]}…, the pinned one is {sha256[:16]}… ({path.stat().st_size} bytes on disk): "
            "the file is damaged or another one; delete it, and it is downloaded anew"
        )
