"""What runs next, and what its results mean: the search of every cell, then the confirmation of its winners.

Each report goes to the run's spool first, then to the search. Whatever a killed driver left behind is picked up: a
trial that had ended in its spool is told, one that had not is run again under its own identity.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaestudy.analysis import winner
from vaestudy.execution import Job
from vaestudy.records import End, Report, Run, Spool, last_attempt, read_runs
from vaestudy.search import CellSearch, Told
from vaestudy.seeding import uid
from vaestudy.spec import Cell, Settings, Study, resolve
from vaestudy.study.plan import training_rows

TUNING_SEED = 0
"""Every trial of a search trains under this seed; confirmation seeds count from 1."""


@dataclass
class Unit:
    """One Optuna study and what follows from it: a cell, or in joint mode a workload with all methods.

    Attributes:
        confirming: the confirmation runs still to start; None until the search has finished.
    """

    workload: str
    methods: tuple[str, ...]
    search: CellSearch
    confirming: deque[Job] | None = None


class StudyQueue:
    """The run queue of a study (``execution.RunQueue``)."""

    def __init__(
        self,
        study: Study,
        study_hash: str,
        folder: Path,
        searches: Mapping[str, CellSearch],
        stop_requested: Callable[[], bool],
        on_tick: Callable[[], None],
    ):
        self._study = study
        self._hash = study_hash
        self._folder = folder
        self._stop_requested = stop_requested
        self._on_tick = on_tick
        self._spools: dict[str, Spool] = {}
        self.ended: dict[str, tuple[Run, End]] = {
            record.run.uid: (record.run, record.end) for record in read_runs(folder) if record.end
        }
        self.live: dict[str, Job] = {}
        self._units = deque(self._unit(key, search) for key, search in searches.items())

    def _unit(self, key: str, search: CellSearch) -> Unit:
        workload, _, method = key.partition("/")
        return Unit(workload, (method,) if method else tuple(self._study.methods), search)

    # --- what runs next ---------------------------------------------------------------------------------------------

    def take(self, count: int) -> Sequence[Job]:
        """Up to ``count`` jobs of one cell, cells in turn so that all advance together."""
        for _ in range(len(self._units)):
            self._units.rotate(-1)
            jobs = self._from_unit(self._units[-1], count)
            if jobs:
                return jobs
        return []

    def refill(self, job: Job) -> Job | None:
        """Another job of the freed run's cell."""
        unit = next(u for u in self._units if u.workload == job.run.workload and job.run.method in u.methods)
        jobs = self._from_unit(unit, 1) if len(unit.methods) == 1 else []
        return jobs[0] if jobs else None

    @property
    def exhausted(self) -> bool:
        """Nothing to ask for, nothing to confirm, and no search in flight that a confirmation would follow."""
        return all(unit.confirming is not None and not unit.confirming for unit in self._units)

    def _from_unit(self, unit: Unit, count: int) -> list[Job]:
        jobs = self._trials(unit, count)
        if jobs:
            return jobs
        if unit.confirming is None and unit.search.finished():
            unit.confirming = deque(self._confirmation(unit))
        confirming = unit.confirming or deque()
        same = [confirming.popleft() for _ in range(min(count, len(confirming)))]
        rest = [job for job in same if job.run.method != same[0].run.method]
        confirming.extendleft(reversed(rest))
        return [self._open(job) for job in same if job.run.method == same[0].run.method]

    def _trials(self, unit: Unit, count: int) -> list[Job]:
        jobs: list[Job] = []
        while len(jobs) < count and (ask := unit.search.ask()) is not None:
            cell = Cell(unit.workload, ask.method)
            settings = self._settings(cell, ask.drawn)
            run = Run(
                uid(self._hash, cell.key, ask.number, TUNING_SEED),
                cell.key,
                cell.workload,
                cell.method,
                "search",
                ask.number,
                TUNING_SEED,
                settings.flat(),
            )
            if self._has_result(run.uid):
                self._tell(unit.search, ask.number, self.ended[run.uid][1])
                continue
            jobs.append(self._open(Job(run, settings, 0)))
        return jobs

    def _confirmation(self, unit: Unit) -> Iterator[Job]:
        """Each method's winner at each budget under each fresh seed; one run where budgets share a winner."""
        told = unit.search.told()
        for method in unit.methods:
            cell = Cell(unit.workload, method)
            for trial in self._winners(cell, told):
                settings = self._settings(cell, trial.drawn)
                for seed in range(1, self._study.confirm.seeds + 1):
                    run = Run(
                        uid(self._hash, cell.key, trial.number, seed),
                        cell.key,
                        cell.workload,
                        method,
                        "confirm",
                        trial.number,
                        seed,
                        settings.flat(),
                    )
                    if not self._has_result(run.uid):
                        yield Job(run, settings, 0)

    def _winners(self, cell: Cell, told: Sequence[Told]) -> list[Told]:
        scores = {t.number: t.value for t in told if t.method == cell.method and t.outcome == "done"}
        budgets = self._study.confirm.budgets or (self._study.search.trials,)
        numbers = {winner(scores, budget) for budget in budgets}
        return [t for t in told if t.number in numbers]

    def _has_result(self, run_uid: str) -> bool:
        """Whether a run ended otherwise than by its infrastructure's failure, which is worth another attempt."""
        return run_uid in self.ended and self.ended[run_uid][1].outcome != "failed"

    def _settings(self, cell: Cell, drawn: Mapping[str, object]) -> Settings:
        return resolve(self._study, cell.method, drawn, training_rows(self._study.workloads[cell.workload]))

    # --- what results mean ------------------------------------------------------------------------------------------

    def report(self, job: Job, reports: Sequence[Report]) -> bool:
        """Spools the reports; asks the pruner about each; whether the run stops."""
        fresh = self._spools[job.run.uid].report(*reports)
        if job.run.stage == "confirm" or self._study.search.pruner.name == "none":
            return False
        search = self._search_of(job.run)
        for report in fresh:
            value = report.metrics.get("val/nelbo")
            if value is not None and report.epoch > 0 and search.report(job.run.trial, report.epoch, value):
                self.end(job, self._pruned(job, report))
                return True
        return False

    def end(self, job: Job, end: End) -> None:
        """Spools the end, then tells the search."""
        if not self._spools[job.run.uid].end(end):
            return
        del self._spools[job.run.uid], self.live[job.run.uid]
        self.ended[job.run.uid] = (job.run, end)
        if job.run.stage == "search":
            self._tell(self._search_of(job.run), job.run.trial, end)

    def retry(self, job: Job) -> Job:
        """The job's next attempt, with a spool of its own."""
        self._spools.pop(job.run.uid).close()
        return self._open(job)

    def fail(self, job: Job, reason: str) -> None:
        """Ends the run as failed: infrastructure, not the method."""
        if job.run.uid in self.live:
            self.end(job, End("failed", 0, time.time(), reason=reason))

    @property
    def stopping(self) -> bool:
        return self._stop_requested()

    def tick(self) -> None:
        self._on_tick()

    def close(self) -> None:
        """Closes the spools of runs that were left where they are."""
        for spool in self._spools.values():
            spool.close()

    def _open(self, job: Job) -> Job:
        attempt = last_attempt(self._folder, job.run.uid) + 1
        self.ended.pop(job.run.uid, None)
        self._spools[job.run.uid] = Spool(self._folder, job.run, attempt, time.time())
        opened = Job(job.run, job.settings, attempt)
        self.live[job.run.uid] = opened
        return opened

    def _pruned(self, job: Job, report: Report) -> End:
        summary = {
            "final/epochs": float(report.epoch),
            "final/grad_evals": report.metrics["cost/grad_evals"],
            "final/train_seconds": report.metrics["time/seconds"],
            "final/val_nelbo": report.metrics["val/nelbo"],
        }
        return End("pruned", report.step, time.time(), metrics=summary)

    def _tell(self, search: CellSearch, number: int, end: End) -> None:
        search.tell(number, end.outcome, end.metrics.get("final/val_nelbo"), end.reason)

    def _search_of(self, run: Run) -> CellSearch:
        return next(u.search for u in self._units if u.workload == run.workload and run.method in u.methods)
