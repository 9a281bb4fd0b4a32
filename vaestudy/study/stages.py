"""The runs of a study's stages: trials of the search, and the winners' reruns under fresh seeds that follow it.

Each replicate has a block of seeds of its own, and in it each stage, so that no seed serves twice and none is the
search's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from vaestudy.analysis.winners import best_winner, winner
from vaestudy.execution import Job
from vaestudy.records import DEFAULTS, VARIED, Run, Stage, Varied, tuning_seed
from vaestudy.search import Told
from vaestudy.seeding import uid
from vaestudy.spec import Cell, Settings, Study, budgets, resolve
from vaestudy.study.plan import training_rows

FIRST_SEEDS: Mapping[tuple[Stage, Varied], int] = {
    ("confirm", "all"): 1,
    ("target", "all"): 1001,
    ("sources", "init"): 2001,
    ("sources", "order"): 3001,
    ("sources", "noise"): 4001,
}


class Stages:
    """Makes the jobs of one study."""

    def __init__(self, study: Study, study_hash: str):
        self._study = study
        self._hash = study_hash

    def trial(self, cell: Cell, number: int, drawn: Mapping[str, object], replicate: int = 0) -> Job:
        """A trial of a replicate's search."""
        return self._job(cell, number, self._settings(cell, drawn), "search", "all", tuning_seed(replicate))

    def reruns(self, cell: Cell, told: Sequence[Told], replicate: int, wanted: Collection[Stage]) -> Iterator[Job]:
        """What follows a replicate's search of a cell: its confirmations and, of the first replicate, its sources.

        Args:
            told: the search's ended trials. wanted: the stages that are asked for.
        """
        if "confirm" in wanted:
            yield from self._confirmations(cell, told, replicate)
        if "sources" in wanted and replicate == 0:
            yield from self._sources(cell, told)

    def _confirmations(self, cell: Cell, told: Sequence[Told], replicate: int) -> Iterator[Job]:
        """The cell's winner at each budget under each seed; one run where budgets share a winner."""
        numbers = {self._winner(cell, told, budget) for budget in budgets(self._study)}
        for trial in (Told(DEFAULTS, cell.method, {}, "done", None, ""), *told):
            if trial.number in numbers:
                yield from self._reruns(cell, trial, "confirm", "all", self._study.confirm.seeds, replicate)

    def _sources(self, cell: Cell, told: Sequence[Told]) -> Iterator[Job]:
        """The cell's winner at the largest budget, with one of its streams varied at a time."""
        number = self._winner(cell, told, max(budgets(self._study)))
        for trial in told:
            if trial.number == number:
                for varied in VARIED:
                    yield from self._reruns(cell, trial, "sources", varied, self._study.confirm.sources)

    def targets(self, workload: str, told: Mapping[str, Sequence[Told]]) -> Iterator[Job]:
        """The best trial of all reference methods under each seed.

        Args:
            told: each reference method's ended trials, of the first replicate.
        """
        target = self._study.target
        if target is None or workload in target.nats:
            return
        scores = {method: _scores(method, trials) for method, trials in told.items()}
        chosen = best_winner(scores, target.trials or self._study.search.trials)
        for trial in told[chosen[0]] if chosen else ():
            if chosen == (trial.method, trial.number):
                yield from self._reruns(Cell(workload, trial.method), trial, "target", "all", target.seeds)

    def _winner(self, cell: Cell, told: Sequence[Told], budget: int) -> int | None:
        return winner(_scores(cell.method, told), budget)

    def _reruns(
        self, cell: Cell, trial: Told, stage: Stage, varied: Varied, seeds: int, replicate: int = 0
    ) -> Iterator[Job]:
        settings = self._settings(cell, trial.drawn)
        first = tuning_seed(replicate) + FIRST_SEEDS[stage, varied]
        for seed in range(first, first + seeds):
            yield self._job(cell, trial.number, settings, stage, varied, seed)

    def _job(self, cell: Cell, trial: int, settings: Settings, stage: Stage, varied: Varied, seed: int) -> Job:
        identity = uid(self._hash, cell.key, trial, seed)
        run = Run(identity, cell.key, cell.workload, cell.method, stage, trial, seed, settings.flat(), varied)
        return Job(run, settings, 0)

    def _settings(self, cell: Cell, drawn: Mapping[str, object]) -> Settings:
        return resolve(self._study, cell.method, drawn, training_rows(self._study.workloads[cell.workload]))


def _scores(method: str, told: Sequence[Told]) -> dict[int, float | None]:
    return {trial.number: trial.value for trial in told if trial.method == method and trial.outcome == "done"}
