"""What confirmed models reconstruct and draw, kept with the records so that pages need no other file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vaestudy.outputs import read_outputs
from vaestudy.records import attempt_folder

SHOWN = 12
COLUMNS = ["uid", "kind", "index", "height", "width", "pixels"]


def load_pictures(study: Path, confirmed: Iterable[tuple[str, int]]) -> pd.DataFrame:
    """The first images of confirmed runs, which are given by uid and attempt, as 8-bit grey levels: one row an image,
    ``pixels`` row by row."""
    rows = []
    for uid, attempt in confirmed:
        outputs = read_outputs(attempt_folder(study, uid, attempt))
        rows += [_row(uid, kind, i, image) for kind, shown in outputs.items() for i, image in _first(shown)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _first(images: npt.NDArray[np.float32]) -> list[tuple[int, npt.NDArray[np.float32]]]:
    return list(enumerate(images[:SHOWN]))


def _row(uid: str, kind: str, index: int, image: npt.NDArray[np.float32]) -> tuple[object, ...]:
    levels = np.round(255 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
    return uid, kind, index, *levels.shape, levels.tobytes()


def images(pictures: pd.DataFrame, uid: str, kind: str) -> list[npt.NDArray[np.uint8]]:
    """One run's images of a kind, ``[height, width]`` each."""
    found = pictures[(pictures["uid"] == uid) & (pictures["kind"] == kind)].sort_values("index")
    return [
        np.frombuffer(pixels, dtype=np.uint8).reshape(height, width)
        for height, width, pixels in zip(found["height"], found["width"], found["pixels"], strict=True)
    ]
