"""How far a study is: the same picture live and from its records."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vaestudy.analysis.winners import best_winner, winner
from vaestudy.records import VARIED, End, Run, RunRecord, attempt_folder, read_runs
from vaestudy.spec import Cell, Study, budgets, cells, reference_methods
from vaestudy.study.folder import StudyFolder

State = Literal["running", "complete", "interrupted"]


@dataclass(frozen=True)
class Arm:
    """One cell's progress. Counts are of search trials but for ``confirmed`` of ``to_confirm``.

    Attributes:
        planned: trials in the budget (joint mode: of the whole workload).
        confirmed: reruns that have ended, of the stages confirm and sources.
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

    @property
    def states(self) -> dict[str, int]:
        """Runs by state, reruns that have ended among them."""
        counts = {name: getattr(self, name) for name in ("running", "done", "pruned", "diverged", "failed")}
        return {**counts, "confirmed": self.confirmed, "planned": self.planned + self.to_confirm}


@dataclass(frozen=True)
class Status:
    """A study's progress, cell by cell; times in seconds.

    Attributes:
        targets: target reruns that have ended, of so many.
    """

    name: str
    state: State
    arms: tuple[Arm, ...]
    targets: tuple[int, int]
    elapsed: float
    seconds_left: float | None

    @classmethod
    def load(cls, told: Mapping[str, Any]) -> Status:
        """A status as JSON tells it."""
        return cls(**{**told, "arms": tuple(Arm(**arm) for arm in told["arms"]), "targets": tuple(told["targets"])})

    @property
    def finished_runs(self) -> int:
        return sum(arm.ended + arm.confirmed for arm in self.arms) + self.targets[0]

    @property
    def planned_runs(self) -> int:
        return sum(arm.planned + arm.to_confirm for arm in self.arms) + self.targets[1]


def status(folder: StudyFolder) -> Status:
    """The status of a study from its records alone."""
    study = folder.recorded()
    records = list(read_runs(folder.path))
    ended = [(record.run, record.end) for record in records if record.end]
    live = [record.run for record in records if record.end is None] if folder.running else []
    latest = time.time() if folder.running else _latest(folder, records)
    earliest = min((record.started for record in records), default=latest)
    made = make(study, "running", ended, live, latest - earliest, len(ended))
    if folder.running:
        return made
    return replace(made, state="complete" if made.finished_runs >= made.planned_runs else "interrupted")


def _latest(folder: StudyFolder, records: Collection[RunRecord]) -> float:
    """When a study that is not running did something last, in seconds since 1970.

    Starts are told by the driver's clock, ends by the workers', any of which may be wrong: an end counts no later than
    its spool was written (in a copied folder that may be later still).
    """
    times = [record.started for record in records]
    for record in records:
        if record.end:
            spool = attempt_folder(folder.path, record.run.uid, record.attempt) / "spool.jsonl"
            times.append(min(record.end.time, spool.stat().st_mtime))
    return max(times, default=0.0)


def make(
    study: Study,
    state: State,
    ended: Collection[tuple[Run, End]],
    live: Collection[Run],
    elapsed: float,
    ended_in_elapsed: int,
) -> Status:
    """A status from runs that have ended and runs in flight, with the time left at the pace so far."""
    arms = tuple(_arm(study, cell, ended, live) for cell in cells(study))
    now = Status(study.name, state, arms, _targets(study, ended), elapsed, None)
    pace = elapsed / ended_in_elapsed if ended_in_elapsed else None
    return replace(now, seconds_left=None if pace is None else (now.planned_runs - now.finished_runs) * pace)


def _arm(study: Study, cell: Cell, ended: Collection[tuple[Run, End]], live: Collection[Run]) -> Arm:
    mine = [(run, end) for run, end in ended if run.cell == cell.key]
    outcomes = [end.outcome for run, end in mine if run.stage == "search"]
    replicates = range(study.search.replicates)
    planned = len(outcomes) if study.search.allocation == "joint" else study.search.trials * len(replicates)
    reruns = [_reruns(study, [item for item in mine if item[0].replicate == r], r == 0) for r in replicates]
    return Arm(
        cell.key,
        cell.method,
        planned,
        outcomes.count("done"),
        sum(run.cell == cell.key for run in live),
        outcomes.count("pruned"),
        outcomes.count("diverged"),
        outcomes.count("failed"),
        min(_values(mine), default=None),
        sum(done for done, _ in reruns),
        sum(to_do for _, to_do in reruns),
    )


def _reruns(study: Study, mine: Collection[tuple[Run, End]], first: bool) -> tuple[int, int]:
    """The reruns of one replicate of a cell's winners: those that have ended, and how many there will be."""
    searched = sum(run.stage == "search" for run, _ in mine)
    joint = study.search.allocation == "joint"
    scores = _scores(mine)
    winners = [winner(scores, budget) for budget in budgets(study)]
    awaited = {"confirm": set(winners) - {None}, "sources": {winners[-1]} - {None}}
    ended = [run for run, end in mine if run.trial in awaited.get(run.stage, ()) and end.outcome != "cancelled"]
    chosen = len(awaited["confirm"])
    if not joint and searched < study.search.trials:
        chosen = max(chosen, 1)
    sources = study.confirm.sources * len(VARIED) * min(chosen, 1) if first else 0
    return len(ended), study.confirm.seeds * chosen + sources


def _targets(study: Study, ended: Collection[tuple[Run, End]]) -> tuple[int, int]:
    """Target reruns that have ended and that are planned."""
    target = study.target
    if target is None:
        return 0, 0
    done = planned = 0
    for workload in set(study.workloads) - set(target.nats):
        mine = [(run, end) for run, end in ended if run.workload == workload and run.replicate == 0]
        scores = {m: _scores([item for item in mine if item[0].method == m]) for m in reference_methods(study)}
        chosen = best_winner(scores, target.trials or study.search.trials)
        reruns = [run for run, end in mine if run.stage == "target" and end.outcome != "cancelled"]
        done += sum((run.method, run.trial) == chosen for run in reruns)
        searching = sum(run.stage == "search" for run, _ in mine) < study.search.trials * len(study.methods)
        planned += target.seeds if chosen or searching else 0
    return done, planned


def _values(ended: Iterable[tuple[Run, End]]) -> list[float]:
    """L_val at the cap of the search trials that reached it."""
    return [end.metrics["final/val_nelbo"] for run, end in ended if run.stage == "search" and end.outcome == "done"]


def _scores(ended: Iterable[tuple[Run, End]]) -> dict[int, float]:
    """L_val at the cap by trial, of a search's trials that reached it."""
    return {
        run.trial: end.metrics["final/val_nelbo"]
        for run, end in ended
        if run.stage == "search" and end.outcome == "done"
    }
