"""The driver's side: a new Tuner per launch, never restored; one Tune trial is a group of K runs.

All results pass through one place, ``Dispatcher.receive``: records first, then the search's verdict, then the roster.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import ray
from ray import tune
from ray.air._internal import usage
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from vaestudy.errors import VaestudyError
from vaestudy.execution.cluster import Cluster
from vaestudy.execution.jobs import Common, Job, News, RunQueue
from vaestudy.execution.losses import Loss, Patience, death_of
from vaestudy.execution.roster import Roster
from vaestudy.execution.worker import Worker

log = logging.getLogger(__name__)

class_cache.ENV_VARS_TO_PROPAGATE.clear()
class_cache.DEFAULT_ENV_VARS.clear()
"""Tune would hand the driver's cloud keys to its workers on their command lines, which everybody may read; and for
whatever it hands over it would have workers started anew, while those that Ray has started with itself lie idle."""

usage.tag_callbacks = lambda callbacks: False
"""Tune would load MLflow, and wait seconds for it, to count callbacks for statistics that are off."""

for name in ("ray.tune.execution.experiment_state", "ray.train._internal.syncer"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
"""Tune would show a traceback where it could not copy its own files, which nobody needs, since it was writing them."""

P = ParamSpec("P")
T = TypeVar("T")


class Dispatcher:
    """Groups in flight, and what each result means for them."""

    def __init__(self, queue: RunQueue, common: Common, population: int):
        self.error: VaestudyError | None = None
        self._queue = queue
        self._common = common
        self._population = population
        self._patience = Patience(common.retries)
        self._groups: dict[str, dict[str, Job]] = {}
        self._heard: dict[str, float] = {}

    @property
    def stopping(self) -> bool:
        return self.error is not None or self._queue.stopping

    def open(self, group: str) -> dict[str, Any] | Literal["FINISHED"] | None:
        """A new group's configuration; None where there is nothing to start now."""
        if self.stopping:
            return "FINISHED"
        jobs = self._guarded(self._queue.take, (), self._population)
        if not jobs:
            return "FINISHED" if self._queue.exhausted and not self._groups else None  # a group may give runs back
        self._groups[group] = {job.run.uid: job for job in jobs}
        if len(jobs) > 1:
            self._roster(group).write(jobs)
        return {"common": json.dumps(self._common.dump()), "jobs": json.dumps([job.dump() for job in jobs])}

    def receive(self, group: str, news: list[News]) -> bool:
        """Takes a group's news in; whether the group is to end."""
        self._heard[group] = time.monotonic()
        jobs = self._groups[group]
        freed = [
            job
            for item in news
            if (job := jobs.get(item.uid)) is not None and job.attempt == item.attempt and self._settle(job, item)
        ]
        for job in freed:
            del jobs[job.run.uid]
        if freed and jobs and not self.stopping:
            self._refill(group, freed)
        if not jobs:
            self._close(group)
        return not jobs

    def given(self, group: str) -> None:
        """A group waits for a worker that has had another one, to begin with it."""
        self._heard.setdefault(group, time.monotonic())

    def start(self, group: str) -> None:
        """A group's worker begins."""
        self._heard[group] = time.monotonic()

    def recover(self, group: str, said: str) -> None:
        """A group lost its worker and gets another one: the next attempt of each run that stays in it.

        Of several runs half go on elsewhere where one of them may be at fault, or where there was no memory for all.
        """
        jobs, loss = self._lost(group, said)
        if len(jobs) > 1 and loss.kind != "died":
            if loss.kind == "memory":
                self._population = len(jobs) // 2
            self._guarded(self._queue.release, None, jobs[len(jobs) // 2 :])
            jobs = self._retried(jobs[: len(jobs) // 2])
        else:
            jobs = self._retried(self._not_given_up(jobs, loss))
        self._groups[group] = {job.run.uid: job for job in jobs}
        self._roster(group).write(jobs)

    def lose(self, group: str, said: str) -> None:
        """A group lost its worker before this had begun with it, and gets no other: its runs wait for another group.

        Tune may have told of the same worker before, as one to be replaced.
        """
        told_before = group not in self._heard
        jobs, loss = self._lost(group, said)
        kept = jobs if told_before else self._not_given_up(jobs, loss)
        if kept:
            self._guarded(self._queue.release, None, kept)
        self._close(group)

    def _lost(self, group: str, said: str) -> tuple[list[Job], Loss]:
        """The jobs of a group whose worker has ended, and why: by its own words, else by Ray's."""
        self._heard.pop(group, None)
        jobs = list(self._groups.get(group, {}).values())
        loss = self._roster(group).take_loss() or death_of(said)
        uids = [job.run.uid for job in jobs]
        log.warning("%d runs lost their worker: %s", len(jobs), loss.reason, extra={"runs": uids})
        self.error = self.error or loss.for_the_user
        return jobs, loss

    def _not_given_up(self, jobs: Iterable[Job], loss: Loss) -> list[Job]:
        """Ends the runs that have lost enough workers; the others."""
        kept = []
        for job in jobs:
            if self._patience.lost(job.run.uid):
                self._guarded(self._queue.fail, None, job, loss.reason)
            else:
                kept.append(job)
        return kept

    def silent(self) -> list[str]:
        """The groups whose workers have said nothing for too long; asked once about each."""
        now = time.monotonic()
        found = [group for group, heard in self._heard.items() if now - heard > self._common.silence]
        for group in found:
            del self._heard[group]
        return found

    def runs(self, group: str) -> list[str]:
        """The uids of a group's runs."""
        return list(self._groups.get(group, ()))

    def tick(self) -> None:
        self._guarded(self._queue.tick, None)

    def _retried(self, jobs: Iterable[Job]) -> list[Job]:
        return [self._guarded(self._queue.retry, job, job) for job in jobs]

    def _settle(self, job: Job, news: News) -> bool:
        """Records news of a run; whether its slot is free."""
        self._patience.reached(job.run.uid, news.step)
        stop = self._guarded(self._queue.report, False, job, news.reports)
        if news.end is not None:
            self._guarded(self._queue.end, None, job, news.end)
            return True
        return stop

    def _refill(self, group: str, freed: list[Job]) -> None:
        jobs = self._groups[group]
        for job in freed:
            fresh = self._guarded(self._queue.refill, None, job)
            if fresh is not None:
                jobs[fresh.run.uid] = fresh
        self._roster(group).write(jobs.values())

    def _close(self, group: str) -> None:
        self._heard.pop(group, None)
        if self._groups.pop(group, None) is not None:
            self._roster(group).write([])  # whatever the worker still has is not to be saved

    def _roster(self, group: str) -> Roster:
        return Roster(self._common.study_hash, group)

    def _guarded(self, action: Callable[P, T], otherwise: T, *args: P.args, **kwargs: P.kwargs) -> T:
        """Tune mangles exceptions from its hooks: ours is kept, stops the study, and is raised at its end."""
        if self.error is not None:
            return otherwise
        try:
            return action(*args, **kwargs)
        except VaestudyError as error:
            self.error = error
            return otherwise


class _Asks(Searcher):
    """Tune's searcher interface; Tune's snapshots of it are empty, the truth is elsewhere."""

    def __init__(self, dispatcher: Dispatcher):
        super().__init__(metric="unused", mode="min")
        self._dispatcher: Dispatcher | None = dispatcher

    def suggest(self, trial_id: str) -> Any:
        assert self._dispatcher is not None
        return self._dispatcher.open(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the dispatcher has seen every result."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dispatcher": None}


class _Results(tune.Stopper):
    """Tune asks it first about every result."""

    def __init__(self, dispatcher: Dispatcher):
        self._dispatcher: Dispatcher | None = dispatcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        assert self._dispatcher is not None
        return self._dispatcher.receive(trial_id, [News.load(item) for item in json.loads(result["news"])])

    def stop_all(self) -> bool:
        assert self._dispatcher is not None
        return self._dispatcher.stopping

    def __getstate__(self) -> dict[str, Any]:
        return {"_dispatcher": None}


class _Turns(FIFOScheduler):
    """Which group is to have a worker next: one that has asked for none.

    Tune would give a worker that is free to a group whose own is starting, and end that one: where runs are shorter
    than a worker's start, the place of a worker that has died would stay empty for the rest of the study.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher: Dispatcher | None = dispatcher
        self._controller: Any = None
        self._asked: set[str] = set()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        assert self._dispatcher is not None
        self._controller = tune_controller._tune_controller  # without its warnings
        waiting = [trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING]
        for trial in waiting:
            if trial.temporary_state.ray_actor is not None:
                self._dispatcher.given(trial.trial_id)
        chosen = min(waiting, key=lambda trial: trial.trial_id in self._asked, default=None)
        if chosen is not None:
            self._asked.add(chosen.trial_id)
        return chosen

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._asked.discard(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Its worker has died: it asks again."""
        self._asked.discard(trial.trial_id)

    def end_the_starting(self) -> None:
        """Ends the workers that are still starting: they have nothing to save, and Tune would wait 10 s for them."""
        if self._controller is not None:
            manager = self._controller._actor_manager
            for worker in set(manager.live_actors) - self._controller._started_actors:
                manager.remove_actor(worker, kill=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dispatcher": None, "_controller": None}


class _Failures(tune.Callback):
    """Tune's notices of workers that begin and die, and its heartbeat."""

    def __init__(self, dispatcher: Dispatcher, turns: _Turns):
        self._dispatcher: Dispatcher | None = dispatcher
        self._turns: _Turns | None = turns

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        assert self._dispatcher is not None
        assert self._turns is not None
        self._dispatcher.tick()
        if self._dispatcher.stopping and all(trial.is_finished() for trial in trials):
            self._turns.end_the_starting()
        silent = self._dispatcher.silent()
        for trial in trials if silent else ():
            if trial.trial_id in silent and trial.temporary_state.ray_actor is not None:
                uids = self._dispatcher.runs(trial.trial_id)
                log.warning("a worker has said nothing for too long and is ended", extra={"runs": uids})
                ray.kill(trial.temporary_state.ray_actor)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        assert self._dispatcher is not None
        self._dispatcher.start(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        assert self._dispatcher is not None
        self._dispatcher.recover(trial.trial_id, _said(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        assert self._dispatcher is not None
        self._dispatcher.lose(trial.trial_id, _said(trial))

    def __getstate__(self) -> dict[str, Any]:
        return {"_dispatcher": None, "_turns": None}


def _said(trial: Trial) -> str:
    """What Ray said of a trial's last failure, as Tune has just added it to a file."""
    file = Path(trial.error_file or "")
    text = file.read_text(errors="replace") if file.is_file() else ""
    return text.rpartition("Failure # ")[2].partition("\n")[2]


def execute(queue: RunQueue, common: Common, cluster: Cluster, population: int) -> None:
    """Runs whatever the queue gives until it is exhausted or says stop.

    Raises:
        VaestudyError: what the queue raised on the way; every run is left resumable.
    """
    dispatcher = Dispatcher(queue, common, population)
    turns = _Turns(dispatcher)
    scratch = tempfile.mkdtemp(prefix="vaestudy-tune-")  # what Tune writes of its own accord, and nobody needs
    tuner = tune.Tuner(
        tune.with_resources(Worker, cluster.worker_resources),
        tune_config=tune.TuneConfig(
            search_alg=_Asks(dispatcher),
            num_samples=-1,
            max_concurrent_trials=cluster.workers,
            scheduler=turns,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"group-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="launch",
            storage_path=scratch,
            stop=_Results(dispatcher),
            callbacks=[_Failures(dispatcher, turns)],
            failure_config=tune.FailureConfig(max_failures=-1),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    Roster.forget(common.study_hash)
    if dispatcher.error is not None:
        raise dispatcher.error
