"""The declared search spaces, and where in them trials lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vaestudy.analysis.frames import Records

COMPLEMENT = "one_minus_"


@dataclass(frozen=True)
class Dimension:
    """One searched key of a method.

    Attributes:
        key: as in the study file, e.g. ``one_minus_beta1`` or ``train.beta.over``.
        column: of the runs frame that holds its value, e.g. ``setting.beta1``.
        low, high: of a range, in the file's own terms.
        choices: of a choice, empty for a range.
    """

    key: str
    column: str
    kind: Literal["log", "uniform", "int", "choice"]
    low: float
    high: float
    choices: tuple[Any, ...]

    @property
    def decades(self) -> float:
        """The length of a log range in powers of ten."""
        return float(np.log10(self.high / self.low))

    def values(self, runs: pd.DataFrame) -> pd.Series[Any]:
        """The runs' values in the file's own terms; NaN where the key's condition did not hold.

        A stage whose share was drawn as 0 is left out of a run's settings; here it is 0 again.
        """
        found = runs[self.column] if self.column in runs else pd.Series(np.nan, index=runs.index)
        if 0.0 in self.choices and self.column.endswith(".share"):
            found = found.fillna(0.0)
        return 1 - found if self.key.startswith(COMPLEMENT) else found

    def unit(self, runs: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Where in [0, 1] the runs' values lie, ``[n]``; NaN where the key's condition did not hold."""
        values = self.values(runs)
        if self.kind == "choice":
            places = {str(choice): index for index, choice in enumerate(self.choices)}
            return values.map(lambda value: places.get(str(value), np.nan)).to_numpy(float) / max(len(places) - 1, 1)
        x, low, high = values.to_numpy(float), self.low, self.high
        if self.kind == "log":
            x, low, high = np.log(np.maximum(x, np.finfo(float).tiny)), np.log(low), np.log(high)
        return np.clip((x - low) / (high - low), 0.0, 1.0)


def space(records: Records, method: str) -> list[Dimension]:
    """The dimensions of a method's declared space, by key; the shared ones included."""
    found = {**records.study["methods"][method]["search"], **records.study["shared_search"]}
    return [_dimension(key, entry) for key, entry in sorted(found.items())]


def _dimension(key: str, entry: dict[str, Any]) -> Dimension:
    column = "setting." + key.removeprefix("train.").removeprefix(COMPLEMENT).replace("decoder.lr", "decoder_lr")
    for kind in ("log", "uniform", "int"):
        if entry.get(kind):
            low, high = entry[kind]
            return Dimension(key, column, kind, low, high, ())
    return Dimension(key, column, "choice", 0.0, 1.0, tuple(entry["choice"]))


def unit_cube(records: Records, method: str, runs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The runs' settings in the unit cube of the method's space, ``[n, d]``."""
    columns = [dimension.unit(runs) for dimension in space(records, method)]
    return np.column_stack(columns) if columns else np.empty((len(runs), 0))
