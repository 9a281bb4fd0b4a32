"""What runs next, and what its results mean: the search of every cell, then the reruns of its winners.

Each report goes to the run's spool first, then to the search. Whatever a killed driver left behind is picked up: a
trial that had ended in its spool is told, one that had not is run again under its own identity.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaestudy import checkpoint
from vaestudy.errors import ConflictError
from vaestudy.execution import Job
from vaestudy.records import STAGES, End, Report, Run, Spool, Stage, last_attempt, read_run, read_runs
from vaestudy.search import Ask, CellSearch, Told
from vaestudy.spec import Cell, SearchId, Study, reference_methods
from vaestudy.study.stages import Stages
from vaestudy.study.working_copy import PLAIN, WorkingCopy


@dataclass
class Unit:
    """One Optuna study and what follows from it.

    Attributes:
        of: what is searched: a cell, or in joint mode a workload with all its methods, in one replicate.
        lost: trials that the search was told of, but whose records are gone; they run again, with the same numbers.
        reruns: what the winners still have to run; None until the search has finished.
    """

    of: SearchId
    search: CellSearch
    lost: deque[Job]
    reruns: deque[Job] | None = None


class StudyQueue:
    """The run queue of a study (``execution.RunQueue``)."""

    def __init__(
        self,
        study: Study,
        study_hash: str,
        folder: Path,
        searches: Mapping[SearchId, CellSearch],
        stop_requested: Callable[[], bool],
        on_tick: Callable[[], None],
        wanted: Collection[Stage] = STAGES,
        copy: WorkingCopy = PLAIN,
    ):
        """
        Args:
            wanted: the stages to run; the others are left as they are.
            copy: what to do where the folder is the working copy of one in an object store.

        Raises:
            ConflictError: a stage other than the search is wanted alone, and a search has not finished.
        """
        self._study = study
        self._stages = Stages(study, study_hash)
        self._folder = folder
        self._stop_requested = stop_requested
        self._on_tick = on_tick
        self._wanted = frozenset(wanted)
        self._copy = copy
        self._spools: dict[str, Spool] = {}
        self.ended: dict[str, tuple[Run, End]] = {}
        self._left: list[str] = []  # begun in an earlier launch, and not ended
        for record in read_runs(folder):
            if record.end:
                self.ended[record.run.uid] = (record.run, record.end)
                self._discard(record.run.uid)
            else:
                self._left.append(record.run.uid)
        self.live: dict[str, Job] = {}
        self.updates = 0  # made in this launch, as far as reported
        self._reached: dict[str, int] = {}
        self._released: deque[list[Job]] = deque()
        self._units = deque(self._unit(*item) for item in searches.items())
        self._targets: dict[str, deque[Job] | None] = dict.fromkeys(study.workloads)
        self._check_searched()

    def _unit(self, of: SearchId, search: CellSearch) -> Unit:
        told = [trial for trial in search.told() if trial.outcome != "failed"]
        jobs = [self._trial(of, trial) for trial in told]
        lost = deque(self._missing(jobs)) if "search" in self._wanted else deque[Job]()
        return Unit(of, search, lost)

    def _trial(self, of: SearchId, trial: Ask | Told) -> Job:
        return self._stages.trial(Cell(of.workload, trial.method), trial.number, trial.drawn, of.replicate)

    def _check_searched(self) -> None:
        if "search" in self._wanted:
            return
        for unit in self._units:
            if not unit.search.finished():
                ended = len(unit.search.told())
                raise ConflictError(
                    f"the search of {unit.of.key} has ended {ended} of {self._study.search.trials} trials; what "
                    f"follows needs them all: run --stage search first"
                )

    # --- what runs next ---------------------------------------------------------------------------------------------

    def take(self, count: int) -> Sequence[Job]:
        """Up to ``count`` jobs of one cell: what was given back first, then searches in turn, so that all advance.

        Where a search has fewer, the cell's other replicates fill up.
        """
        if self._released:
            batch = self._released.popleft()
            if batch[count:]:
                self._released.appendleft(batch[count:])
            return [self._open(job) for job in batch[:count]]
        for _ in range(len(self._units)):
            self._units.rotate(-1)
            jobs = self._from_unit(self._units[-1], count)
            if jobs:
                return [*jobs, *self._from_replicates(jobs[0].run, count - len(jobs))]
        return self._from_targets(count)

    def refill(self, job: Job) -> Job | None:
        """Another job of the freed run's cell."""
        jobs = self._from_replicates(job.run, 1)
        return jobs[0] if jobs else None

    def _from_replicates(self, run: Run, count: int) -> list[Job]:
        """Up to ``count`` more jobs of a run's cell, of any replicate; of joint searches none, whose next trial may be
        another method's."""
        jobs: list[Job] = []
        for unit in self._units:
            if unit.of.workload == run.workload and unit.of.methods == (run.method,) and len(jobs) < count:
                jobs += self._from_unit(unit, count - len(jobs))
        return jobs

    @property
    def exhausted(self) -> bool:
        """Nothing to ask for, nothing to rerun, and no search in flight that reruns would follow."""
        waiting = [*(unit.reruns for unit in self._units), *self._targets.values()]
        given_back = [self._released, *(unit.lost for unit in self._units)]
        return not any(given_back) and all(jobs is not None and not jobs for jobs in waiting)

    def _from_unit(self, unit: Unit, count: int) -> list[Job]:
        jobs = self._pop(unit.lost, count)
        if not jobs and "search" in self._wanted:
            jobs = self._trials(unit, count)
        if jobs:
            return jobs
        if unit.reruns is None and unit.search.finished():
            unit.reruns = deque(self._missing(self._reruns(unit)))
        return self._pop(unit.reruns or deque(), count)

    def _from_targets(self, count: int) -> list[Job]:
        """Reruns of the best reference method of a workload whose first replicate of searches has finished."""
        for workload, jobs in self._targets.items():
            units = [unit for unit in self._units if (unit.of.workload, unit.of.replicate) == (workload, 0)]
            if jobs is None and all(unit.search.finished() for unit in units):
                jobs = self._targets[workload] = deque(self._missing(self._target_jobs(workload, units)))
            if jobs:
                return self._pop(jobs, count)
        return []

    def _pop(self, waiting: deque[Job], count: int) -> list[Job]:
        """Up to ``count`` of the first jobs that are of one method."""
        jobs: list[Job] = []
        while waiting and len(jobs) < count and (not jobs or waiting[0].run.method == jobs[0].run.method):
            jobs.append(self._open(waiting.popleft()))
        return jobs

    def _trials(self, unit: Unit, count: int) -> list[Job]:
        jobs: list[Job] = []
        while len(jobs) < count and (ask := unit.search.ask()) is not None:
            job = self._trial(unit.of, ask)
            if self._has_result(job.run.uid):
                self._tell(unit.search, ask.number, self.ended[job.run.uid][1])
                continue
            jobs.append(self._open(job))
        return jobs

    def _reruns(self, unit: Unit) -> Iterator[Job]:
        told = unit.search.told()
        for method in unit.of.methods:
            yield from self._stages.reruns(Cell(unit.of.workload, method), told, unit.of.replicate, self._wanted)

    def _target_jobs(self, workload: str, units: Sequence[Unit]) -> Iterator[Job]:
        if "target" in self._wanted:
            told = [trial for unit in units for trial in unit.search.told()]
            methods = reference_methods(self._study)
            yield from self._stages.targets(workload, {m: [t for t in told if t.method == m] for m in methods})

    def _missing(self, jobs: Iterable[Job]) -> Iterator[Job]:
        return (job for job in jobs if not self._has_result(job.run.uid))

    def _has_result(self, run_uid: str) -> bool:
        """Whether a run ended by itself, and not for want of a machine or of a call for it: it may have one again."""
        return run_uid in self.ended and self.ended[run_uid][1].outcome not in ("failed", "cancelled")

    # --- what results mean ------------------------------------------------------------------------------------------

    def report(self, job: Job, reports: Sequence[Report]) -> bool:
        """Spools the reports; asks the pruner about each; whether the run stops."""
        fresh = self._spools[job.run.uid].report(*reports)
        self._count(job.run.uid, fresh)
        if job.run.stage != "search" or self._study.search.pruner.name == "none":
            return False
        search = self._unit_of(job.run).search
        for report in fresh:
            value = report.metrics.get("val/nelbo")
            if value is not None and report.epoch > 0 and search.report(job.run.trial, report.epoch, value):
                self.end(job, self._pruned(job, report))
                return True
        return False

    def _count(self, uid: str, fresh: Sequence[Report]) -> None:
        if fresh:
            self.updates += fresh[-1].step - self._reached.get(uid, fresh[0].step)
            self._reached[uid] = fresh[-1].step

    def end(self, job: Job, end: End) -> None:
        """Spools the end, dated by the driver's clock, then tells the search."""
        end = replace(end, time=time.time())
        if job.run.stage == "confirm" and end.outcome == "done":
            self._copy.bring_pictures(job.run.uid, job.attempt)
        if not self._spools[job.run.uid].end(end):
            return
        self._discard(job.run.uid)
        del self._spools[job.run.uid], self.live[job.run.uid]
        self._reached.pop(job.run.uid, None)
        self.ended[job.run.uid] = (job.run, end)
        if job.run.stage == "search":
            self._tell(self._unit_of(job.run).search, job.run.trial, end)

    def _discard(self, uid: str) -> None:
        checkpoint.discard(self._folder / "runs" / uid)
        self._copy.discard(uid)

    def retry(self, job: Job) -> Job:
        """The job's next attempt, with a spool of its own."""
        self._spools.pop(job.run.uid).close()
        return self._open(job)

    def release(self, jobs: Sequence[Job]) -> None:
        """Takes jobs of one cell back, to give them out again, together and with no others."""
        for job in jobs:
            self._spools.pop(job.run.uid).close()
            del self.live[job.run.uid]
        self._released.append(list(jobs))

    def fail(self, job: Job, reason: str) -> None:
        """Ends the run as failed: infrastructure, not the method."""
        if job.run.uid in self.live:
            self.end(job, End("failed", 0, time.time(), reason=reason))

    def cancel_rest(self) -> None:
        """Once all that is wanted has ended: ends what an earlier launch had begun and this one had no call for, the
        reruns of a trial that was the winner before the budget grew."""
        for uid in self._left:
            record = read_run(self._folder, uid)
            if record.end is None and record.run.stage in self._wanted:
                self._cancel(record.run, record.attempt + 1)

    def _cancel(self, run: Run, attempt: int) -> None:
        spool = Spool(self._folder, run, attempt, time.time())
        reports = spool.restate()
        step = reports[-1].step if reports else 0
        end = End("cancelled", step, time.time(), reason="another trial is the winner now")
        spool.end(end)
        self._discard(run.uid)
        self.ended[run.uid] = (run, end)

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

    def _unit_of(self, run: Run) -> Unit:
        place = run.workload, run.replicate
        return next(u for u in self._units if (u.of.workload, u.of.replicate) == place and run.method in u.of.methods)
