"""The declared search spaces, and where in them trials lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vaestudy.analysis.families import entry
from vaestudy.analysis.frames import Records

COMPLEMENT = "one_minus_"


@dataclass(frozen=True)
class Dimension:
    """One searched key of a method.

    Attributes:
        key: as in the study file, e.g. ``one_minus_beta1`` or ``train.beta.over``.
        low, high: of a range, in the file's own terms.
        choices: of a choice, empty for a range.
        conditions: the key is searched only where each of these other dimensions has one of the values beside it.
    """

    key: str
    kind: Literal["log", "uniform", "int", "choice"]
    low: float
    high: float
    choices: tuple[Any, ...]
    conditions: tuple[tuple[Dimension, tuple[Any, ...]], ...]

    @property
    def column(self) -> str:
        """The column of the runs frame that holds its value, e.g. ``setting.beta1``."""
        return f"setting.{short(self.key)}"

    @property
    def decades(self) -> float:
        """The length of a log range in powers of ten."""
        return float(np.log10(self.high / self.low))

    def values(self, runs: pd.DataFrame) -> pd.Series[Any]:
        """The runs' values in the file's own terms; NaN where the key's condition did not hold.

        A run whose condition did not hold has a value too, the published default: nobody searched it. A stage whose
        share was drawn as 0 is left out of a run's settings; here it is 0 again.
        """
        found = runs[self.column] if self.column in runs else pd.Series(np.nan, index=runs.index)
        if 0.0 in self.choices and self.column.endswith(".share"):
            found = found.fillna(0.0)
        found = 1 - found if self.key.startswith(COMPLEMENT) else found
        for other, wanted in self.conditions:
            found = found.where(other.values(runs).map(partial(_is_one_of, wanted)).astype(bool))
        return found

    def unit(self, runs: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Where in [0, 1] the runs' values lie, ``[n]``; NaN where the key's condition did not hold."""
        values = self.values(runs)
        if self.kind == "choice":
            return values.map(self._place).to_numpy(float) / max(len(self.choices) - 1, 1)
        x, low, high = values.to_numpy(float), self.low, self.high
        if self.kind == "log":
            x, low, high = np.log(np.maximum(x, np.finfo(float).tiny)), np.log(low), np.log(high)
        return np.clip((x - low) / (high - low), 0.0, 1.0)

    def _place(self, value: Any) -> float:
        """The number of a choice, in the order of the file."""
        return next((index for index, choice in enumerate(self.choices) if _same(value, choice)), np.nan)


def _is_one_of(wanted: tuple[Any, ...], value: Any) -> bool:
    return any(_same(value, one) for one in wanted)


def _same(stored: Any, declared: Any) -> bool:
    """Whether a stored value is the declared one: a column may hold its numbers as floats, or all of it as text."""
    if isinstance(stored, str):
        return stored == str(declared)
    if pd.isna(stored):
        return False
    return bool(stored == declared) and isinstance(stored, (bool, np.bool_)) == isinstance(declared, bool)


def space(records: Records, method: str) -> list[Dimension]:
    """The dimensions of a method's declared space, by key; the shared ones included."""
    entries = {**records.study["methods"][method]["search"], **records.study["shared_search"]}
    return [_dimension(key, entries) for key in sorted(entries)]


def _dimension(key: str, entries: Mapping[str, Mapping[str, Any]]) -> Dimension:
    entry = entries[key]
    conditions = tuple(
        (_dimension(other, entries), tuple(wanted) if isinstance(wanted, list) else (wanted,))
        for other, wanted in (entry.get("when") or {}).items()
    )
    for kind in ("log", "uniform", "int"):
        if entry.get(kind):
            low, high = entry[kind]
            return Dimension(key, kind, low, high, (), conditions)
    return Dimension(key, "choice", 0.0, 1.0, tuple(entry["choice"]), conditions)


@dataclass(frozen=True)
class Declared:
    """The values that a method gives a hyperparameter of its optimizer: all from ``low`` to ``high``, or ``some``.

    Attributes:
        always: whether it has them in every trial; False where it is searched under a condition.
    """

    low: float = math.nan
    high: float = math.nan
    some: tuple[Any, ...] | None = None
    always: bool = True

    @property
    def value(self) -> Any:
        """The one value that it has; None where it is searched."""
        return self.some[0] if self.some is not None and len(self.some) == 1 else None

    @property
    def most(self) -> float:
        """The largest value."""
        return self.high if self.some is None else max(map(float, self.some))

    def admits(self, value: Any) -> bool:
        """Whether a trial can have this value, whatever else is drawn."""
        if self.some is not None:
            return self.always and any(_same(value, one) for one in self.some)
        return self.always and isinstance(value, (int, float)) and self.low <= value <= self.high

    def includes(self, other: Declared) -> bool:
        """Whether it can have every value that the other can have."""
        if other.some is not None:
            return all(self.admits(value) for value in other.some)
        return self.some is None and self.always and self.low <= other.low and other.high <= self.high


def declared(records: Records, method: str, name: str) -> Declared | None:
    """What a method declares of a hyperparameter: its range, its fixed value, or the published default; None where its
    optimizer has no such hyperparameter."""
    arm = records.study["methods"][method]
    for dimension in space(records, method):
        if dimension.key in (name, COMPLEMENT + name):
            return _searched(dimension)
    if COMPLEMENT + name in arm["fixed"]:
        return Declared(some=(1 - arm["fixed"][COMPLEMENT + name],))
    known = {**entry(records, arm["optimizer"])["defaults"], **arm["fixed"]}
    return Declared(some=(known[name],)) if name in known else None


def _searched(dimension: Dimension) -> Declared:
    complement, always = dimension.key.startswith(COMPLEMENT), not dimension.conditions
    if dimension.kind == "choice":
        return Declared(some=tuple(1 - one if complement else one for one in dimension.choices), always=always)
    low, high = dimension.low, dimension.high
    if dimension.kind == "int":
        return Declared(some=tuple(range(int(low), int(high) + 1)), always=always)
    return Declared(*((1 - high, 1 - low) if complement else (low, high)), always=always)


def rate_range(records: Records, method: str) -> tuple[float, float] | None:
    """The declared log range of the learning rate times what it multiplies, so that methods have a common scale.

    Where an optimizer sums its gradients by ``momentum``, that is 1 / (1 - momentum) steps; an average of them, as
    Adam's, is one. None where there is no such range: the rate is not searched on a log scale, or momentum is too.
    """
    momentum = declared(records, method, "momentum") or Declared(some=(0.0,))
    rates = [d for d in space(records, method) if d.key == "lr" and d.kind == "log"]
    if not rates or momentum.value is None:
        return None
    return rates[0].low / (1 - momentum.value), rates[0].high / (1 - momentum.value)


def short(key: str) -> str:
    """The name under which a run's settings hold a fixed or searched key: ``beta.over`` for ``train.beta.over``."""
    return key.removeprefix("train.").removeprefix(COMPLEMENT).replace("decoder.lr_ratio", "decoder_lr_ratio")


def unit_cube(records: Records, method: str, runs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The runs' settings in the unit cube of the method's space, ``[n, d]``."""
    columns = [dimension.unit(runs) for dimension in space(records, method)]
    return np.column_stack(columns) if columns else np.empty((len(runs), 0))
