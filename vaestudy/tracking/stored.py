"""What passes between this package and MLflow's store; plain values, so that only ``store`` imports MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vaestudy.errors import VaestudyError

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class RefusedError(VaestudyError):
    """MLflow will not take this, however often it is asked, e.g. because somebody deleted the run there."""


@dataclass(frozen=True)
class Row:
    """One measured value; ``time`` in milliseconds since 1970. A row sent twice is one row to MLflow."""

    key: str
    value: float
    time: int
    step: int


@dataclass(frozen=True)
class DataSet:
    """What MLflow is told of a data set: its name, a digest of its section of the study file, and that section."""

    name: str
    digest: str
    section: str


@dataclass(frozen=True)
class Model:
    """An entry of the Models page, and the data set that it was judged on."""

    model_id: str
    data: DataSet


@dataclass(frozen=True)
class Picture:
    """A picture for the image grid.

    Attributes:
        key: the row of the grid; step: the position of the grid's slider.
        time: milliseconds since 1970.
        uid: the same for the same picture, so that one sent twice replaces itself.
        pixels: grey levels, ``[height, width]``.
    """

    key: str
    step: int
    time: int
    uid: str
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class StoredRun:
    """What MLflow has of a run.

    Attributes:
        step: the last update that was sent, -1 for none.
        metrics: the names of its metrics.
    """

    run_id: str
    status: str
    deleted: bool
    step: int
    tags: Mapping[str, str]
    metrics: frozenset[str]
