"""The main path: lock the study, search and confirm on Ray, write tables, let MLflow catch up."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from vaestudy import data
from vaestudy.errors import ConflictError, InterruptedStudyError, ServiceError, UnsuccessfulError
from vaestudy.evaluation import Samples
from vaestudy.execution import Common, Meters, check, check_shared, connect, disconnect, execute
from vaestudy.records import STAGES, Stage, check_links
from vaestudy.search import CellSearch, RetryingStorage, open_storage
from vaestudy.seeding import mix
from vaestudy.spec import SearchId, Study, first_rung, searches, space, study_hash
from vaestudy.study.disks import check_sqlite_disk
from vaestudy.study.folder import StudyFolder, parse_duration
from vaestudy.study.logs import logging_to
from vaestudy.study.queue import StudyQueue
from vaestudy.study.reports import reporter
from vaestudy.study.ship import Notice, ShipperProcess, lag
from vaestudy.study.status import Status, make, status
from vaestudy.study.working_copy import WorkingCopy, refresh
from vaestudy.tracking import Backlog, check_environment, preflight, tracking_uri

Listener = Callable[[Status], None]
TICK_SECONDS = 0.5
MOST_SHARE = 0.05
"""Of the driver's time: counting ten thousand runs over takes a while."""
METER_SECONDS = 2.0

log = logging.getLogger(__name__)


class Watch:
    """Why a study should stop now, if it should: a signal, ``vaestudy stop``, or its time is up."""

    def __init__(self, folder: StudyFolder, seconds: float | None):
        self._folder = folder
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.signal_number = 0
        self.timed_out = False

    def look(self) -> None:
        """Looks for a stop request and at the clock."""
        if self._folder.stop_request.exists():
            self.signal_number = self.signal_number or signal.SIGINT
        self.timed_out = self._deadline is not None and time.monotonic() > self._deadline

    @property
    def stopping(self) -> bool:
        return bool(self.signal_number) or self.timed_out

    def check(self) -> None:
        """
        Raises:
            InterruptedStudyError: a signal or a request to stop was heard.
        """
        if self.signal_number:
            raise InterruptedStudyError(f"stopped; go on with: vaestudy resume {self._folder.name}", self.signal_number)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM saves and stops; the second stops at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signal_number:
                raise KeyboardInterrupt
            self.signal_number = number

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def launch(
    study: Study,
    results: Path,
    *,
    command: str,
    store: str = "",
    address: str | None = None,
    seconds: float | None = None,
    listener: Listener = lambda status: None,
    notice: Notice = lambda text: None,
    retry_failed: bool = False,
    stages: Collection[Stage] = STAGES,
    lock: AbstractContextManager[object] | None = None,
) -> Status:
    """Runs a study, resolved, to its end, or on from where it was left.

    Args:
        results: the folder of all studies; this one gets the folder of its name.
        command: the command line, as MLflow shows it.
        store: the address of the object store that ``results`` is a working copy of, if it is.
        address: of a Ray cluster; None starts one on this machine. seconds: stop, resumable, after so long.
        listener: told the status a few times a second.
        notice: told in a line what the user should know, e.g. that MLflow has not caught up.
        retry_failed: run trials again that failed for good (infrastructure).
        stages: what to run; the others are left as they are.
        lock: the study's, where the caller holds it already; let go of with the study.

    Raises:
        VaestudyError: by class, what the exit code says; whatever ran is left resumable.
    """
    folder = StudyFolder(results.resolve() / study.name, store)
    refresh(folder.path, store)
    check_links(folder.path)
    folder.agree(study)
    if "search" not in stages and not folder.resolved.exists():
        raise ConflictError(f"study {study.name!r} has not begun in {store or results}; run --stage search first")
    _preflight(study, folder, address, notice)
    watch = Watch(folder, _limit(study, seconds))
    with _interruptible(study), ExitStack() as stack:
        with watch.signals():
            folder.make()
            stack.enter_context(folder.lock() if lock is None else lock)
            copy = stack.enter_context(WorkingCopy.driving(folder.path, store, notice))
            folder.agree(study)  # with whatever another host has made of it meanwhile
            folder.write(study)
            folder.stop_request.unlink(missing_ok=True)
            stack.enter_context(logging_to(folder.log, study.name))
            storage = stack.enter_context(closing(open_storage(study.storage.optuna, folder.path)))
            opened = open_searches(study, storage, retry_failed)
            shipper = stack.enter_context(ShipperProcess.start(study, folder, command, notice))
            write_report = reporter(study)

            def tell(now: Status) -> None:
                shipper.tend()
                listener(now)

            _run(study, folder, copy, opened, address, watch, tell, stages)
        write_report(folder)
        shipper.finish()
    return _judged(study, status(folder))


@contextmanager
def _interruptible(study: Study) -> Iterator[None]:
    """A second Ctrl-C, or one after the last run, ends with a word too.

    Raises:
        InterruptedStudyError: it came.
    """
    try:
        yield
    except KeyboardInterrupt:
        again = f"stopped at once; go on with: vaestudy resume {study.name}"
        raise InterruptedStudyError(again, signal.SIGINT) from None


def _preflight(study: Study, folder: StudyFolder, address: str | None, notice: Notice) -> None:
    """Whatever can be known to be missing is missed before anything is written. A study that has begun does not wait
    for MLflow, which catches up later."""
    check_environment()
    check(study.resources, address)
    for workload in study.workloads.values():
        data.fetch(data.data_sets.find(workload.data.name).component, data.data_folder())
    if "sqlite" in (study.storage.optuna, study.tracking.mlflow):
        check_sqlite_disk(folder.path)
    if study.storage.optuna != "sqlite":
        open_storage(study.storage.optuna, folder.path).close()
    uri = tracking_uri(study.tracking.mlflow, folder.path.parent)
    if uri is not None and not uri.startswith("sqlite:"):
        try:
            preflight(uri)
        except ServiceError as error:
            if not folder.resolved.exists():
                raise
            notice(f"{error}; going on without, what is missing there is sent later")


def _run(
    study: Study,
    folder: StudyFolder,
    copy: WorkingCopy,
    opened: dict[SearchId, CellSearch],
    address: str | None,
    watch: Watch,
    listener: Listener,
    stages: Collection[Stage],
) -> None:
    heartbeat = Heartbeat(study, folder, watch, listener)
    identity, stopping = study_hash(study), lambda: watch.stopping
    queue = StudyQueue(study, identity, folder.path, opened, stopping, lambda: heartbeat.beat(queue), stages, copy)
    if status(folder).seconds_left == 0:
        queue.cancel_rest()
        return
    watch.check()
    try:
        cluster = connect(study.resources, address)
        log.info("Ray is up: %d workers on %s", cluster.workers, cluster.device)
        if address is not None:
            check_shared(folder.path, folder.store)
            heartbeat.meters = Meters(study.name)
        threads = max(1, int(study.resources.cpus))
        common = replace(common_of(study, folder.path, cluster.device, threads), store=folder.store)
        execute(queue, common, cluster, study.resources.population)
        if not watch.stopping:
            queue.cancel_rest()
        heartbeat.beat(queue, force=True)
    finally:
        queue.close()
        heartbeat.meters = None  # they are Ray's
        disconnect()
    watch.check()


class Heartbeat:
    """Tells the listener the status, not too often, and the meters of a cluster; looks whether to stop."""

    def __init__(self, study: Study, folder: StudyFolder, watch: Watch, listener: Listener):
        self.meters: Meters | None = None
        self._study = study
        self._folder = folder
        self._watch = watch
        self._listener = listener
        self._updates = 0
        self._began = time.monotonic()
        self._next = 0.0
        self._measured = 0.0
        self._backlog = None if study.tracking.mlflow == "none" else Backlog(folder.path)
        self._before: int | None = None

    def beat(self, queue: StudyQueue, force: bool = False) -> None:
        now = time.monotonic()
        if now < self._next and not force:
            return
        self._watch.look()
        if self._before is None:
            self._before = len(queue.ended)
        ended, live = list(queue.ended.values()), [job.run for job in queue.live.values()]
        told = make(self._study, "running", ended, live, now - self._began, len(ended) - self._before)
        self._listener(told)
        if self.meters is not None and (force or now - self._measured >= METER_SECONDS):
            self._measured = now
            self._measure(self.meters, told, queue)
        done = time.monotonic()
        self._next = done + max(TICK_SECONDS, (done - now) / MOST_SHARE)

    def _measure(self, meters: Meters, told: Status, queue: StudyQueue) -> None:
        for arm in told.arms:
            meters.runs(arm.cell, arm.states)
        meters.updates(queue.updates - self._updates)
        self._updates = queue.updates
        if self._backlog is not None:
            meters.behind(self._backlog.rows(queue.ended, queue.live), lag(self._folder))


def _limit(study: Study, seconds: float | None) -> float | None:
    """The seconds that a launch may take: the study file's or the command line's, whichever is less."""
    limits = [] if seconds is None else [seconds]
    if study.budget.wall_clock:
        limits.append(parse_duration(study.budget.wall_clock))
    return min(limits, default=None)


def common_of(study: Study, folder: Path, device: str, threads: int) -> Common:
    """What every job of a study shares."""
    named = data.named_folder()
    return Common(
        study_hash=study_hash(study),
        folder=folder,
        data_folder=named.resolve() if named else None,
        workloads=dict(study.workloads),
        plugins=study.plugins,
        device=device,
        threads=threads,
        verdicts_from=None if study.search.pruner.name == "none" else first_rung(study),
        checkpoint_seconds=study.budget.checkpoint_seconds,
        silence=parse_duration(study.budget.silence),
        retries=study.budget.retries,
        samples=Samples(study.confirm.elbo_samples, study.confirm.iwae_samples, study.confirm.weight_draws),
        seed=study.seed,
    )


def open_searches(study: Study, storage: RetryingStorage, retry_failed: bool) -> dict[SearchId, CellSearch]:
    """Every search of a study: per replicate one of each cell, or in joint mode of each workload."""
    opened = {
        one: CellSearch(
            storage,
            f"{study.name}/{one.key}",
            spaces={method: space(study, method) for method in sorted(one.methods)},
            search=study.search,
            seed=mix(study.seed, one.key),
            first_rung=first_rung(study),
            epochs=study.train.epochs,
            identity=study_hash(study),
        )
        for one in searches(study)
    }
    if retry_failed:
        for search in opened.values():
            search.retry_failed()
    return opened


def _judged(study: Study, final: Status) -> Status:
    failed = sum(arm.failed for arm in final.arms)
    if failed > study.budget.max_failed_share * max(final.finished_runs, 1):
        raise UnsuccessfulError(
            f"{failed} of {final.finished_runs} runs failed, more than budget.max_failed_share allows "
            f"({study.budget.max_failed_share:g}); see: vaestudy status {study.name}"
        )
    return final
