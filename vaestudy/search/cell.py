"""Ask, report, tell: one Optuna study per cell, and the database the only truth about which trials exist.

A trial's *number* (0, 1, 2 ...) is kept in its user attribute ``ready``, written last, when its settings are drawn.
A database row without it was killed while its settings were being drawn: it is told FAIL and the number is given to
the next. Everything here may be repeated: a driver killed at any point goes on where the rows stand.

The rows are read once and then kept here, each read again after it was written: reading all open ones again for every
call would cost the driver of a thousand workers most of its time.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from vaestudy.errors import ConflictError
from vaestudy.records import Outcome
from vaestudy.search.pruners import trial_pruner
from vaestudy.search.quiet import quiet
from vaestudy.search.samplers import trial_sampler
from vaestudy.search.space import Spaces, draw
from vaestudy.search.storage import RetryingStorage
from vaestudy.spec.models import Search

READY, OUTCOME, REASON, STOPPED, IDENTITY = "ready", "outcome", "reason", "stopped_at", "identity"
"""User attributes: the last of the Optuna study, the others of its trials."""

STATES: dict[Outcome, TrialState] = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,  # told FAIL, TPE would not see it and propose the same region again
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Ask:
    """A trial to run.

    Attributes:
        number: its number within the cell, from 0.
        method: the arm that was drawn; in a cell, its method.
        drawn: the values by searched key, without those whose condition does not hold.
        again: it was asked for before, with these settings, and has not been told.
    """

    number: int
    method: str
    drawn: dict[str, Any]
    again: bool


@dataclass(frozen=True)
class Told:
    """A trial that has ended.

    Attributes:
        value: done: L_val at the cap; pruned: the last reported L_val (nats per example); else None.
        reason: one line, for failed.
    """

    number: int
    method: str
    drawn: dict[str, Any]
    outcome: Outcome
    value: float | None
    reason: str


class CellSearch:
    """The search of one cell, or of a workload with the method as a categorical (more than one entry in ``spaces``).

    One process at a time may hold it (the study's lock sees to that); all its calls come from that process.

    Args:
        storage: of ``open_storage``.
        name: e.g. ``quickstart/digits-mlp/adam``.
        spaces: what is searched for each method, conditions after what they depend on.
        search: the number of trials, sampler and pruner.
        seed: the study's; each trial's sampler is seeded by (seed, name, number).
        first_rung: the first epoch at which a trial may be pruned.
        epochs: what every trial may train at most; at the cap nothing is pruned any more.
        identity: the study's hash, kept in the database and compared.

    Raises:
        ConflictError: the database holds another study under this name.
        ServiceError: the database has been away for longer than the retry's deadline; so do all methods.
    """

    @quiet()
    def __init__(
        self,
        storage: RetryingStorage,
        name: str,
        *,
        spaces: Spaces,
        search: Search,
        seed: int,
        first_rung: int,
        epochs: int,
        identity: str,
    ):
        self._storage = cast(BaseStorage, storage)
        self._name = name
        self._spaces = spaces
        self._search = search
        self._seed = seed
        self._rungs = range(first_rung, epochs if search.pruner.name != "none" else first_rung)
        self._asked: set[int] = set()  # numbers given out in this process
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            direction="minimize",
            load_if_exists=True,
            pruner=trial_pruner(search.pruner, first_rung, epochs),
        )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._newest = -1  # Optuna's number of the newest row
        self._check_identity(identity)
        self._read()
        # A Hyperband pruner makes its brackets when first asked, and samplers work within a bracket: ask it at once.
        self._study.pruner.prune(self._study, create_trial(state=TrialState.RUNNING))
        self._fail_orphans()

    @quiet()
    def ask(self) -> Ask | None:
        """The next trial to run, None where there is none now: interrupted ones first, then new ones.

        ``search.trials`` are asked in all. One that fails counts as asked; ``retry_failed`` asks for it again.
        """
        interrupted = self._open - self._asked
        if interrupted:
            number = min(interrupted)
            self._asked.add(number)
            return Ask(**self._rows[number].user_attrs[READY], again=True)
        return self._ask_new(len(self._rows)) if len(self._rows) < self._search.trials else None

    @quiet()
    def report(self, number: int, epoch: int, value: float) -> bool:
        """Stores L_val after an epoch; whether the trial should stop.

        A value that is not finite is not stored. An epoch reported before keeps its value, and its verdict where
        that was to stop; a trial that has been told and runs again stops where it stopped.
        """
        row = self._rows[number]
        if number not in self._open:
            return row.state != TrialState.COMPLETE and bool(epoch >= row.user_attrs.get(STOPPED, 0))
        trial_id = self._trial_id(row)
        if math.isfinite(value) and epoch not in row.intermediate_values:
            self._storage.set_trial_intermediate_value(trial_id, epoch, value)
            row = self._read_again(row)
        values = row.intermediate_values
        if STOPPED in row.user_attrs:
            return bool(epoch >= row.user_attrs[STOPPED])
        if epoch not in self._rungs or epoch not in values or epoch < max(values) or not self._prunes(row):
            return False
        self._storage.set_trial_user_attr(trial_id, STOPPED, epoch)
        self._read_again(row)
        return True

    @quiet()
    def tell(self, number: int, outcome: Outcome, value: float | None = None, reason: str = "") -> None:
        """Ends a trial; of two tells the first stands. A cancelled trial stays open and is asked again when resumed.

        Args:
            value: L_val at the cap in nats per example, for done.
            reason: one line, for failed.

        Raises:
            ValueError: a trial that is done has no finite value.
        """
        if outcome == "cancelled":
            return
        if outcome == "done" and (value is None or not math.isfinite(value)):
            raise ValueError(f"trial {number} is done with value {value}; expected a finite one, else 'diverged'")
        if number in self._open:
            self._finish(self._rows[number], outcome, value if outcome == "done" else None, reason)
            self._read_again(self._rows[number])

    @quiet()
    def retry_failed(self) -> int:
        """Makes every failed trial be asked again, same number, same settings; how many.

        The failed row stays in the database; a new one takes its number over.
        """
        failed = {number: row for number, row in self._rows.items() if row.state == TrialState.FAIL}
        for number, row in failed.items():
            again = create_trial(
                state=TrialState.RUNNING,
                params=row.params,
                distributions=row.distributions,
                user_attrs={READY: row.user_attrs[READY]},
            )
            self._study.add_trial(again)
            self._asked.discard(number)
        self._read()
        self._fail_orphans()
        return len(failed)

    def told(self) -> list[Told]:
        """The trials that have ended, by number."""
        return [told_of(row) for number, row in sorted(self._rows.items()) if number not in self._open]

    def counts(self) -> dict[str, int]:
        """How many trials there are by outcome, and how many are ``running``."""
        tally = Counter(trial.outcome for trial in self.told())
        return {**{outcome: tally[outcome] for outcome in STATES}, "running": len(self._open)}

    def finished(self) -> bool:
        """Whether all ``search.trials`` have been asked and told."""
        return len(self._rows) >= self._search.trials and not self._open

    def _check_identity(self, identity: str) -> None:
        kept = self._study.user_attrs.get(IDENTITY)
        if kept is None and not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr(IDENTITY, identity)
            kept = identity
        if kept != identity:
            raise ConflictError(
                f"the trial database holds a study {self._name!r} of another study file (its hash {kept}, now "
                f"{identity}); go on with the unchanged file, or give the changed one a name of its own"
            )
        if self._study.direction != StudyDirection.MINIMIZE:
            raise ConflictError(f"the study {self._name!r} in the trial database maximises; L_val is minimised")

    def _ask_new(self, number: int) -> Ask:
        self._study.sampler = trial_sampler(self._search.sampler.name, self._spaces, self._seed, self._name, number)
        trial = self._study.ask()
        method, drawn = draw(trial, self._spaces)
        trial.set_user_attr(READY, {"number": number, "method": method, "drawn": drawn})
        self._asked.add(number)
        self._keep(number, self._row(trial.number))
        if trial.number > self._newest + 1:  # a try whose reply was lost made a row too
            self._fail_orphans()
        self._newest = trial.number
        return Ask(number, method, drawn, again=False)

    def _prunes(self, row: FrozenTrial) -> bool:
        return self._study.pruner.prune(self._study, row)

    def _finish(self, row: FrozenTrial, outcome: Outcome, value: float | None, reason: str) -> None:
        finish(self._study, self._storage, self._trial_id(row), row, outcome, value, reason)

    def _read(self) -> None:
        """Reads the latest database row of each number."""
        self._rows: dict[int, FrozenTrial] = {}
        self._open: set[int] = set()
        rows = self._study.get_trials(deepcopy=False)
        self._newest = max((row.number for row in rows), default=-1)
        for row in rows:
            if READY in row.user_attrs:
                self._keep(row.user_attrs[READY]["number"], row)

    def _read_again(self, row: FrozenTrial) -> FrozenTrial:
        """A row that was just written, as it is now."""
        fresh = self._row(row.number)
        self._keep(fresh.user_attrs[READY]["number"], fresh)
        return fresh

    def _row(self, optuna_number: int) -> FrozenTrial:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, optuna_number)
        return self._storage.get_trial(trial_id)

    def _keep(self, number: int, row: FrozenTrial) -> None:
        self._rows[number] = row
        (self._open.discard if row.state.is_finished() else self._open.add)(number)

    def _fail_orphans(self) -> None:
        """Tells FAIL what was never given out: killed while drawing, or made twice because a reply was lost."""
        current = {row.number for row in self._rows.values()}
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in current:
                self._finish(trial, "failed", None, "interrupted while its settings were drawn")

    def _trial_id(self, row: FrozenTrial) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, row.number)


def finish(
    study: optuna.Study,
    storage: BaseStorage,
    trial_id: int,
    row: FrozenTrial,
    outcome: Outcome,
    value: float | None,
    reason: str,
) -> None:
    """Ends an open row, whose key in the database is ``trial_id``; of two calls the first stands."""
    try:
        storage.set_trial_user_attr(trial_id, OUTCOME, outcome)
        storage.set_trial_user_attr(trial_id, REASON, reason)
        study.tell(row.number, value, state=STATES[outcome])
    except UpdateFinishedTrialError:
        pass  # an earlier try was carried out although its reply was lost


def told_of(row: FrozenTrial) -> Told:
    """How a row with settings ended."""
    outcome: Outcome = row.user_attrs[OUTCOME]
    value = row.value if outcome in ("done", "pruned") else None
    return Told(**row.user_attrs[READY], outcome=outcome, value=value, reason=row.user_attrs[REASON])
