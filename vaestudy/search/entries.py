"""The rows of a trial database as they lie there, for those who look after a study but do not search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from vaestudy.records import Outcome
from vaestudy.search.cell import OUTCOME, READY, Told, finish, told_of
from vaestudy.search.quiet import quiet
from vaestudy.search.storage import RetryingStorage


@dataclass(frozen=True)
class Entry:
    """A row of the trial database.

    Attributes:
        row: Optuna's number of it.
        number: of its trial; None where the settings were never drawn.
        method: the arm that was drawn, and its values by searched key.
        open: it has not been told.
        told: how it ended; None where it is open, or was ended by somebody else.
    """

    row: int
    number: int | None
    method: str
    drawn: dict[str, Any]
    open: bool
    told: Told | None


@quiet()
def entries(storage: RetryingStorage, name: str) -> list[Entry] | None:
    """The rows of the search called ``name``, oldest first; None where the database does not know it.

    Raises:
        ServiceError, DataError, DiskError: the database cannot be read.
    """
    try:
        study = optuna.load_study(study_name=name, storage=cast(BaseStorage, storage))
    except KeyError:
        return None
    return [_entry(trial) for trial in study.get_trials(deepcopy=False)]


@quiet()
def settle(
    storage: RetryingStorage, name: str, number: int, outcome: Outcome, value: float | None, reason: str
) -> None:
    """Tells the end of the trial ``number`` of the search called ``name``, if it is open."""
    database = cast(BaseStorage, storage)
    study = optuna.load_study(study_name=name, storage=database)
    trials = [trial for trial in study.get_trials(deepcopy=False) if READY in trial.user_attrs]
    row = [trial for trial in trials if trial.user_attrs[READY]["number"] == number][-1]
    if not row.state.is_finished():
        study_id = database.get_study_id_from_name(name)
        trial_id = database.get_trial_id_from_study_id_trial_number(study_id, row.number)
        finish(study, database, trial_id, row, outcome, value if outcome == "done" else None, reason)


def _entry(trial: FrozenTrial) -> Entry:
    drawn = trial.user_attrs.get(READY, {"number": None, "method": "", "drawn": {}})
    ended = trial.state.is_finished() and drawn["number"] is not None and OUTCOME in trial.user_attrs
    return Entry(trial.number, **drawn, open=not trial.state.is_finished(), told=told_of(trial) if ended else None)
