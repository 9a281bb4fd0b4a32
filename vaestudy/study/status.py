"""How far a study is: the same picture live and from its records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from vaestudy.records import End, Run, read_runs
from vaestudy.spec import Study, cells
from vaestudy.study.folder import StudyFolder

State = Literal["running", "complete", "interrupted"]


@dataclass(frozen=True)
class Arm:
    """One cell's progress. Counts are of search trials but for ``confirmed`` of ``to_confirm``.

    Attributes:
        planned: trials in the budget (joint mode: of the whole workload).
        best: the lowest L_val at the cap so far, nats per example.
    """

    cell: str
    method: str
    planned: int
    done: int
    running: int
    pruned: int
    diverged: int
    failed: int
    best: float | None
    confirmed: int
    to_confirm: int

    @property
    def ended(self) -> int:
        """Search trials that have ended in whatever way."""
        return self.done + self.pruned + self.diverged + self.failed


@dataclass(frozen=True)
class Status:
    """A study's progress, cell by cell; times in seconds."""

    name: str
    state: State
    arms: tuple[Arm, ...]
    elapsed: float
    seconds_left: float | None

    @property
    def finished_runs(self) -> int:
        return sum(arm.ended + arm.confirmed for arm in self.arms)

    @property
    def planned_runs(self) -> int:
        return sum(arm.planned + arm.to_confirm for arm in self.arms)


def status(folder: StudyFolder) -> Status:
    """The status of a study from its records alone."""
    study = folder.study()
    records = list(read_runs(folder.path))
    ended = [(record.run, record.end) for record in records if record.end]
    live = [record.run for record in records if record.end is None] if folder.running else []
    arms = count(study, ended, live)
    complete = all(arm.ended >= arm.planned and arm.confirmed >= arm.to_confirm for arm in arms)
    state: State = "running" if folder.running else "complete" if complete else "interrupted"
    times = [record.started for record in records] + [end.time for _, end in ended]
    latest = time.time() if folder.running else max(times, default=0.0)
    return make(folder.name, state, arms, latest - min(times, default=latest), len(ended))


def make(name: str, state: State, arms: Sequence[Arm], elapsed: float, ended_in_elapsed: int) -> Status:
    """A status with the time left at the pace so far; None before the first run has ended."""
    left = sum(max(arm.planned - arm.ended, 0) + max(arm.to_confirm - arm.confirmed, 0) for arm in arms)
    pace = elapsed / ended_in_elapsed if ended_in_elapsed else None
    return Status(name, state, tuple(arms), elapsed, None if pace is None else left * pace)


def count(study: Study, ended: Iterable[tuple[Run, End]], live: Iterable[Run]) -> list[Arm]:
    """The cells' progress from runs that have ended and runs in flight."""
    ended, live = list(ended), list(live)
    return [_arm(study, cell.key, cell.method, ended, live) for cell in cells(study)]


def _arm(study: Study, cell: str, method: str, ended: list[tuple[Run, End]], live: list[Run]) -> Arm:
    searched = [end for run, end in ended if run.cell == cell and run.stage == "search"]
    confirmed = [run for run, end in ended if run.cell == cell and run.stage == "confirm"]
    outcomes = [end.outcome for end in searched]
    joint = study.search.allocation == "joint"
    planned = len(searched) if joint else study.search.trials
    winners = max(len({run.trial for run in confirmed}), 1)
    return Arm(
        cell,
        method,
        planned,
        outcomes.count("done"),
        sum(run.cell == cell for run in live),
        outcomes.count("pruned"),
        outcomes.count("diverged"),
        outcomes.count("failed"),
        min((end.metrics["final/val_nelbo"] for end in searched if end.outcome == "done"), default=None),
        len(confirmed),
        study.confirm.seeds * winners,
    )
