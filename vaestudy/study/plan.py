"""What a study will cost, before it costs anything."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from vaestudy.data import data_folder, data_sets
from vaestudy.execution import make_task
from vaestudy.records import VARIED
from vaestudy.seeding import Seeds
from vaestudy.spec import Cell, Range, Study, Workload, budgets, cells, first_rung, resolve, space
from vaestudy.trainer import Trainer


@dataclass(frozen=True)
class Line:
    """One cell's plan, over all replicates: trials to search, searched dimensions, at most so many reruns of winners,
    updates of one run."""

    cell: str
    trials: int
    dimensions: int
    confirmations: int
    updates_per_run: int

    @property
    def grad_evals(self) -> int:
        """Gradient evaluations if nothing is pruned and each update takes one."""
        return (self.trials + self.confirmations) * self.updates_per_run


@dataclass(frozen=True)
class Plan:
    """A study's plan.

    Attributes:
        target_runs: reruns of the best reference method, over all workloads.
        first_rung: the first epoch at which a trial may be pruned, None without a pruner.
    """

    name: str
    lines: tuple[Line, ...]
    target_runs: int
    epochs: int
    first_rung: int | None

    @property
    def runs(self) -> int:
        return sum(line.trials + line.confirmations for line in self.lines) + self.target_runs


def plan(study: Study) -> Plan:
    """The plan of a study; writes nothing."""
    joint = study.search.allocation == "joint"
    lines = []
    for cell in cells(study):
        trials = study.search.trials // len(study.methods) if joint else study.search.trials
        updates = study.train.epochs * steps_per_epoch(study.workloads[cell.workload])
        dimensions = len(space(study, cell.method))
        replicates = study.search.replicates
        reruns = replicates * len(budgets(study)) * study.confirm.seeds + len(VARIED) * study.confirm.sources
        lines.append(Line(cell.key, replicates * trials, dimensions, reruns, updates))
    rung = None if study.search.pruner.name == "none" else first_rung(study)
    return Plan(study.name, tuple(lines), _target_runs(study), study.train.epochs, rung)


def _target_runs(study: Study) -> int:
    return study.target.seeds * len(set(study.workloads) - set(study.target.nats)) if study.target else 0


def training_rows(workload: Workload) -> int:
    """The number of training examples of a workload."""
    rows = data_sets.find(workload.data.name).component.train_size - workload.data.validation
    return min(rows, workload.data.limit or rows)


def steps_per_epoch(workload: Workload) -> int:
    """Updates in an epoch: whole batches."""
    return training_rows(workload) // workload.batch_size


def probe(study: Study) -> dict[str, float]:
    """Seconds that one epoch of each cell takes on this machine with one thread, evaluation included.

    Each method trains two epochs with its range's middle settings; the second is timed.
    """
    return {cell.key: _epoch_seconds(study, cell) for cell in cells(study)}


def _epoch_seconds(study: Study, cell: Cell) -> float:
    workload = study.workloads[cell.workload]
    torch.set_num_threads(1)
    trainer = Trainer(make_task(workload, data_folder(), "cpu"), study.methods[cell.method].optimizer, study.seed)
    drawn = {key: _middle(entry) for key, entry in space(study, cell.method).items() if not entry.when}
    trainer.admit("probe", Seeds.same(study.seed), resolve(study, cell.method, drawn, training_rows(workload)))
    trainer.run()
    start = time.perf_counter()
    trainer.run()
    return (time.perf_counter() - start) / study.train.evaluate_every


def _middle(entry: Range) -> Any:
    if entry.choice is not None:
        return entry.choice[0]
    assert entry.bounds is not None
    low, high = entry.bounds
    middle = math.sqrt(low * high) if entry.log else (low + high) / 2
    return round(middle) if entry.int_ else middle
