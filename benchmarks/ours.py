"""vaestudy's trainer as a contender: K members in one population."""

from __future__ import annotations

import time

from benchmarks.cases import HYPERPARAMETERS, Case, Round
from vaestudy.optimizers import optimizers
from vaestudy.population import Member, Population, Task
from vaestudy.seeding import Seeds
from vaestudy.spec import Settings, Train
from vaestudy.spec.models import Beta
from vaestudy.timeline import Timeline

EPOCHS = 100_000
"""Longer than any benchmark trains."""


class Ours:
    """The contender. With ``members`` > 1 a turn makes about as many trial-steps as with one."""

    def __init__(self, case: Case, method: str, task: Task, members: int):
        entry = optimizers.find(method)
        self._steps = max(1, case.steps // members)
        self._members = members
        self._population = Population(task, entry.component(task.model.layout))
        defaults = {name: hyperparameter.default for name, hyperparameter in entry.hyperparameters.items()}
        train = Train(epochs=EPOCHS, beta=Beta(schedule="constant", end=1.0))
        settings = Settings(optimizer=method, hyperparameters={**defaults, **HYPERPARAMETERS[method]}, train=train)
        for seed in range(members):
            self._population.add(Member(Seeds.same(seed), settings, Timeline(settings, EPOCHS * task.steps_per_epoch)))

    def turn(self) -> Round:
        start = time.perf_counter()
        losses = self._population.train(self._steps)
        return Round(time.perf_counter() - start, losses.numel(), float(losses.mean()))
