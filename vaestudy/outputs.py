"""The images that a confirmed run leaves in its attempt's folder: ``outputs.npz``."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaestudy.errors import DataError

KINDS = ("originals", "reconstructions", "samples")
"""The same validation images for every run, what it makes of them, what it draws unasked."""

Images = npt.NDArray[np.float32]

FILE = "outputs.npz"
MAX_BYTES = 1 << 28


def save_outputs(folder: Path, images: Mapping[str, Images]) -> Path:
    """Writes the images ``[n, height, width]`` in [0, 1] of each kind; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    originals, reconstructions, samples = (images[kind] for kind in KINDS)
    np.savez_compressed(folder / FILE, originals=originals, reconstructions=reconstructions, samples=samples)
    return folder / FILE


def read_outputs(folder: Path) -> dict[str, Images]:
    """The images of each kind, ``[n, height, width]``; empty where the run left none.

    Raises:
        DataError: the file is damaged, or holds anything but images. Nothing in it is unpickled.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            found = {kind: arrays[kind] for kind in KINDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a run's images: {what}; remove it to go on without") from error
    for kind, images in found.items():
        if images.ndim != 3 or not np.issubdtype(images.dtype, np.floating):
            raise DataError(f"{path}: {kind}: {images.dtype} of {images.shape}, expected floats of (n, height, width)")
    return found
