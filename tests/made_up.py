"""Study folders made through the real spools, with measurements chosen by the test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaestudy.records import End, Failure, Outcome, Report, Run, Spool, Stage, attempt_folder
from vaestudy.seeding import uid
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder

TRIVIAL = 50.0
START = 70.0
"""L_val before training; a run that ends above it has diverged."""


def study(
    methods: Sequence[str] = ("sgd", "adam"),
    trials: int = 3,
    seeds: int = 4,
    workloads: Sequence[str] = ("w",),
    **more: object,
) -> Study:
    searched = {"lr": {"log": [1e-4, 1.0]}}
    arms = {name: {"optimizer": "sgd" if name == "sgd" else "adam", "search": searched} for name in methods}
    task = {
        "data": {"name": "digits", "binarize": "static", "validation": 300},
        "model": "mlp",
        "likelihood": "bernoulli",
        "batch_size": 64,
    }
    return Study.model_validate_json(
        json.dumps(
            {
                "version": 1,
                "name": "made-up",
                "description": "Which one?",
                "train": {"epochs": 5},
                "workloads": dict.fromkeys(workloads, task),
                "methods": arms,
                "search": {"trials": trials},
                "confirm": {"seeds": seeds, "iwae_samples": 10},
                "report": {"baseline": methods[-1]},
                **more,
            }
        )
    )


class Builder:
    """Writes runs into a study's folder."""

    def __init__(self, results: Path, made: Study | None = None):
        self.study = made or study()
        self.folder = results / self.study.name
        folder = StudyFolder(self.folder)
        folder.make()
        folder.write(self.study)

    def search(
        self,
        method: str,
        values: Sequence[float | None],
        outcomes: Mapping[int, Outcome] | None = None,
        workload: str = "w",
    ) -> None:
        """Trials with these L_val at the cap; None: diverged; near the trivial loss: collapsed."""
        for trial, value in enumerate(values):
            self._run(workload, method, "search", trial, 0, (outcomes or {}).get(trial), value)

    def confirm(
        self,
        method: str,
        trial: int,
        nlls: Sequence[float | None],
        outcomes: Mapping[int, Outcome] | None = None,
        workload: str = "w",
    ) -> None:
        """Confirmation seeds 1, 2 ... with these test NLL; None: diverged; near the trivial loss: collapsed."""
        for seed, nll in enumerate(nlls, start=1):
            self._run(workload, method, "confirm", trial, seed, (outcomes or {}).get(seed), nll)

    def _run(
        self,
        workload: str,
        method: str,
        stage: Stage,
        trial: int,
        seed: int,
        given: Outcome | None,
        value: float | None,
    ) -> None:
        outcome: Outcome = given or ("done" if value is not None else "diverged")
        settings = {"optimizer": self.study.methods[method].optimizer, "lr": 0.1 / (abs(trial) + 1), "beta.over": 0.25}
        cell = f"{workload}/{method}"
        run = Run(uid("h", cell, trial, seed), cell, workload, method, stage, trial, seed, settings)
        spool = Spool(self.folder, run, 1, 1000.0)
        spool.report(*(self._report(epoch, value) for epoch in range(6)))
        metrics = {
            "final/grad_evals": 100.0,
            "final/epochs": 5.0,
            "final/train_seconds": 1.0,
            "final/l_trivial": TRIVIAL,
        }
        if outcome == "done" and value is not None:
            metrics |= {"final/val_nelbo": value, "final/best_val_nelbo": value}
            metrics |= {"final/kl": 2.0, "final/rec": value - 2.0}
        if outcome == "done" and value is not None and stage == "confirm":
            metrics |= {"final/test_nll": value, "final/test_nelbo": value + 0.5, "final/test_l_trivial": TRIVIAL}
            np.savez(
                attempt_folder(self.folder, run.uid, 1) / "outputs.npz",
                samples=np.ones((64, 8, 8)),
                originals=np.random.default_rng(0).random((16, 8, 8)),
                reconstructions=np.zeros((16, 8, 8)),
            )
        spool.end(End(outcome, 100, 1010.0, _failure(outcome, value), metrics))

    def _report(self, epoch: int, value: float | None) -> Report:
        end = TRIVIAL if value is None else value
        nelbo = end + (START - TRIVIAL) * 0.5**epoch
        metrics = {"val/nelbo": nelbo, "val/rec": nelbo - 2, "val/kl": 2.0, "cost/grad_evals": 20.0 * epoch}
        return Report(20 * epoch, epoch, 1000.0 + epoch, metrics, {"val/kl_per_dimension": [1.0, 0.7, 0.3]})


def _failure(outcome: Outcome, value: float | None) -> Failure:
    if outcome not in ("done", "diverged"):
        return "none"
    if value is None or value > START:
        return "diverged"
    return "collapsed" if value > TRIVIAL - 1 else "none"
