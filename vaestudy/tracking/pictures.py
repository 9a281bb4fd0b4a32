"""What confirmed models reconstruct and draw, on sheets for MLflow's image grid."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaestudy.outputs import read_outputs
from vaestudy.records import RunRecord
from vaestudy.tracking.rows import milliseconds
from vaestudy.tracking.stored import Picture

COLUMNS, LINES = 3, 3
"""Images of a sheet, beside and below each other; the grid's slider turns the sheets over."""

SHEET_PIXELS = 360
"""About how wide a sheet is: small images are enlarged, pixel by pixel."""


def pictures(record: RunRecord, folder: Path) -> list[Picture]:
    """The sheets of an ended run; none where its attempt's ``folder`` holds no ``outputs.npz``."""
    assert record.end is not None
    time = milliseconds(record.end.time)
    outputs = read_outputs(folder)
    return [
        Picture(kind, number, time, _name(record, kind, number), sheet)
        for kind, images in outputs.items()
        for number, sheet in enumerate(_sheets(images[: len(outputs["originals"])]), start=1)
    ]


def _name(record: RunRecord, kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{record.run.uid}/{kind}/{number}"))


def _sheets(images: npt.NDArray[np.float32]) -> list[npt.NDArray[np.uint8]]:
    size = COLUMNS * LINES
    return [_sheet(images[start : start + size]) for start in range(0, len(images), size)]


def _sheet(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Images in [0, 1] ``[n, height, width]`` as dark ink on white, grey lines between them."""
    count, height, width = images.shape
    tiles = np.full((LINES * COLUMNS, height + 1, width + 1), 0.25)
    tiles[:, 1:, 1:] = 0.0
    tiles[:count, 1:, 1:] = np.clip(images, 0.0, 1.0)
    lines = tiles.reshape(LINES, COLUMNS, height + 1, width + 1).swapaxes(1, 2)
    ink = lines.reshape(LINES * (height + 1), COLUMNS * (width + 1))
    scale = max(1, SHEET_PIXELS // ink.shape[1])
    return np.round(255 * (1.0 - ink)).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
