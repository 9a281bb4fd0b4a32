"""The worker: a thin Ray Tune trainable around a group of runs that train together."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ray import tune

from vaestudy import checkpoint, data
from vaestudy.distributions import likelihoods
from vaestudy.errors import CheckpointError
from vaestudy.execution.devices import check_device, in_words
from vaestudy.execution.jobs import Common, Job, News
from vaestudy.execution.losses import loss_of
from vaestudy.execution.relay import Relay
from vaestudy.execution.roster import Roster
from vaestudy.models import models
from vaestudy.outputs import save_outputs
from vaestudy.population import Task
from vaestudy.records import attempt_folder
from vaestudy.registry import import_plugin
from vaestudy.seeding import Seeds, mix
from vaestudy.spec import Workload
from vaestudy.trainer import Confirmed, Progress, Trainer

NEWS_SECONDS = 1.0
"""Evaluations closer together than this travel in one message, unless a verdict is awaited."""


STILL_SEED = 1
"""The seed of what does not vary in the runs of stage ``sources``; one of the confirmation seeds."""


class Group:
    """Runs of one cell in training together, with their checkpoints. Knows nothing of Ray."""

    def __init__(self, common: Common, jobs: list[Job], task: Task):
        self._common = common
        self._relay = Relay(common.folder, common.store)
        self._trainer = Trainer(task, jobs[0].settings.optimizer, common.seed)
        self._jobs: dict[str, Job] = {}
        self._unsent: dict[str, bool] = {}
        self._held: dict[str, list[Progress]] = {}
        self._saved_at = time.monotonic()
        for job in jobs:
            self._admit(job)

    def follow(self, jobs: list[Job]) -> None:
        """Drops runs that are no longer wanted, admits those that have become so."""
        wanted = {job.run.uid: job for job in jobs}
        for uid in self._trainer.uids:
            if uid not in wanted:
                self._trainer.evict(uid)
                self._relay.leave(self._attempt(self._jobs.pop(uid)))
        for uid, job in wanted.items():
            if uid not in self._jobs:
                self._admit(job)

    def step(self) -> list[News]:
        """Trains until there is news worth a message, or for ``NEWS_SECONDS``."""
        news = {uid: self._held.pop(uid, []) for uid in self._trainer.uids}
        until = time.monotonic() + NEWS_SECONDS
        while True:
            progress = self._trainer.run(until - time.monotonic())
            for item in progress:
                news[item.uid].append(item)
            if time.monotonic() >= until or any(map(self._wants_answer, progress)):
                break
        to_confirm = [item.uid for item in progress if item.outcome == "done" and self._confirms(item.uid)]
        if to_confirm or time.monotonic() - self._saved_at >= self._common.checkpoint_seconds:
            self.save()
        # Opening the test part takes long: one run at a time, what it learned saved before, the others told at once.
        self._held = {uid: news.pop(uid) for uid in to_confirm[1:]}
        return [self._tell(uid, items) for uid, items in news.items()]

    def save(self) -> None:
        """Checkpoints every run that is still in training, or whose end nobody has been told yet; the driver removes
        a run's checkpoints once its end is recorded."""
        self._relay.send_checkpoints([self._save(uid) for uid in self._trainer.uids])
        self._saved_at = time.monotonic()

    def _save(self, uid: str) -> Path:
        state = self._trainer.state_dict(uid)
        return checkpoint.save(self._attempt(self._jobs[uid]), state["row"]["steps"], state, self._identity(uid))

    def _admit(self, job: Job) -> None:
        uid = job.run.uid
        self._relay.fetch_checkpoints(self._run(job))
        saved = checkpoint.load_latest(self._run(job), self._identity(uid))
        own, rest = (mix(self._common.seed, seed) for seed in (job.run.seed, STILL_SEED))
        try:
            self._trainer.admit(uid, Seeds.varying(job.run.varied, own, rest), job.settings, saved)
        except CheckpointError as error:
            raise CheckpointError(f"checkpoint of {self._run(job)}: {error}; remove it to begin anew") from None
        self._jobs[uid] = job
        self._unsent[uid] = saved is not None
        if saved:  # now it is this attempt's own, whatever an earlier one that was cut off may still write
            self._relay.send_checkpoints([self._save(uid)])

    def _wants_answer(self, progress: Progress) -> bool:
        if progress.outcome is not None:
            return True
        first = self._common.verdicts_from
        return first is not None and bool(progress.reports) and progress.reports[-1].epoch >= first

    def _tell(self, uid: str, items: list[Progress]) -> News:
        job = self._jobs[uid]
        reports = tuple(report for item in items for report in item.reports)
        if self._unsent.pop(uid, False):
            reports = self._trainer.history(uid)
        outcome = items[-1].outcome
        if outcome is None:
            return News(uid, job.attempt, items[-1].step, reports)
        tested = self._confirmed(job) if outcome == "done" and self._confirms(uid) else None
        end = self._trainer.end(uid, outcome, tested)
        self._trainer.evict(uid)
        self._relay.leave(self._attempt(job))
        return News(uid, job.attempt, items[-1].step, reports, end)

    def _confirms(self, uid: str) -> bool:
        return self._jobs[uid].run.stage == "confirm"

    def _confirmed(self, job: Job) -> Confirmed:
        """Opens the test part, here and nowhere else; leaves the run's pictures in its folder."""
        part = self._common.workloads[job.run.workload].data
        x = data.load_test(part.name, data_at(self._common), binarize=part.binarize, seed=part.seed)
        made = self._trainer.pictures(job.run.uid)
        shape = data.data_sets.find(part.name).component.shape
        arrays = {name: image.numpy().reshape(-1, *shape) for name, image in vars(made).items()}
        self._relay.send_pictures(save_outputs(self._attempt(job), arrays))
        return self._trainer.test(job.run.uid, x.to(self._common.device), self._common.samples)

    def _attempt(self, job: Job) -> Path:
        return attempt_folder(self._common.folder, job.run.uid, job.attempt)

    def _run(self, job: Job) -> Path:
        return self._attempt(job).parent

    def _identity(self, uid: str) -> dict[str, str]:
        return {"uid": uid, "study": self._common.study_hash}


def data_at(common: Common) -> Path:
    """Where this host has its data sets."""
    return common.data_folder or data.data_folder()


def make_task(workload: Workload, data_folder: Path, device: str) -> Task:
    """A workload's data on the device, its model and its likelihood."""
    part = workload.data
    examples = data.load(
        part.name, data_folder, binarize=part.binarize, seed=part.seed, validation=part.validation, limit=part.limit
    )
    model = models.find(workload.model.name).component(examples.data_dim, **workload.model.arguments)
    likelihood = likelihoods.find(workload.likelihood.name).component(**workload.likelihood.arguments)
    return Task(examples.to(torch.device(device)), model, likelihood, workload.batch_size, torch.device(device))


class Worker(tune.Trainable):
    """Ray Tune's view of a group: ``step`` gives news, the roster says who stays."""

    def setup(self, config: dict[str, Any]) -> None:
        logging.getLogger("vaestudy").setLevel(logging.WARNING)
        self._tasks: dict[str, Task] = {}
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._group: Group | None = None
        self._failure: Exception | None = None
        try:
            self._begin(new_config)
        except Exception as error:  # noqa: BLE001  # raised by the first step; what is raised here kills the process
            self._failure = error
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        common = Common.load(json.loads(config["common"]))
        self._roster = Roster(common.study_hash, self.trial_id)
        self._device = common.device
        for plugin in common.plugins:
            import_plugin(plugin)
        torch.set_num_threads(common.threads)
        jobs = self._roster.read()
        if jobs is None:
            jobs = [Job.load(job) for job in json.loads(config["jobs"])]
        if not jobs:  # all were given up while no worker had them
            return
        check_device(common.device)
        workload = jobs[0].run.workload
        if workload not in self._tasks:
            self._tasks[workload] = make_task(common.workloads[workload], data_at(common), common.device)
        self._shared = len(jobs) > 1
        self._group = Group(common, jobs, self._tasks[workload])

    def step(self) -> dict[str, Any]:
        try:
            if self._failure is not None:
                raise self._failure
            return {"news": json.dumps([asdict(news) for news in self._news()])}
        except Exception as error:
            self._roster.lose(loss_of(error, in_words(self._device)))
            raise

    def _news(self) -> list[News]:
        if self._group is None:
            return []
        if self._shared:
            self._group.follow(self._roster.read() or [])
        return self._group.step()

    def cleanup(self) -> None:
        """Called when the driver lets go: whatever is still wanted can be resumed from here."""
        if self._group is None:
            return
        wanted = self._roster.read()
        if wanted != []:
            if wanted is not None:
                self._group.follow(wanted)
            self._group.save()
