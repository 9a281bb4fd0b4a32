"""Study folders made through the real spools, with measurements chosen by the test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vaestudy.records import (
    VARIED,
    End,
    Failure,
    Outcome,
    Report,
    Run,
    Spool,
    Stage,
    Varied,
    attempt_folder,
    tuning_seed,
)
from vaestudy.seeding import uid
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder

TRIVIAL = 50.0
START = 70.0
"""L_val before training; a run that ends above it has diverged."""


LR = {"lr": {"log": [1e-4, 1.0]}}


def arm(optimizer: str = "adam", fixed: Mapping[str, object] | None = None, **searched: object) -> dict[str, object]:
    """A method that searches its learning rate over four decades, or exactly what is given."""
    return {"optimizer": optimizer, "fixed": fixed or {}, "search": searched or LR}


def study(
    methods: Sequence[str] | Mapping[str, Mapping[str, object]] = ("sgd", "adam"),
    trials: int = 3,
    seeds: int = 4,
    workloads: Sequence[str] = ("w",),
    **more: object,
) -> Study:
    """A study of these methods, the last one its baseline; methods given by name alone are sgd or adam."""
    named = methods if isinstance(methods, Mapping) else {m: arm("sgd" if m == "sgd" else "adam") for m in methods}
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
                "methods": named,
                "search": {"trials": trials},
                "confirm": {"seeds": seeds, "iwae_samples": 10},
                "report": {"baseline": list(named)[-1], "primary": "nll"},
                **more,
            }
        )
    )


@dataclass(frozen=True)
class Made:
    """A run with more than its value.

    Attributes:
        value: L_val at the cap, in other stages the test NLL too; None: diverged.
        settings: over the usual ones, by short key.
        metrics: over the usual summary.
        vectors: of its end, by name.
        curve: what each evaluation measured, over the usual values; the length is the number of evaluations.
        failure: its class, in the place of what its value says.
    """

    value: float | None
    settings: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ({},) * 6
    vectors: Mapping[str, list[float]] = field(default_factory=dict)
    failure: Failure | None = None


def falling(*nelbos: float, **every: float) -> list[dict[str, float]]:
    """A learning curve: L_val at each evaluation, which cost 20 gradient evaluations each."""
    return [{"val/nelbo": nelbo, **every} for nelbo in nelbos]


Values = Sequence[float | Made | None]


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
        values: Values,
        outcomes: Mapping[int, Outcome] | None = None,
        workload: str = "w",
        replicate: int = 0,
    ) -> None:
        """Trials with these L_val at the cap; None: diverged; near the trivial loss: collapsed."""
        for trial, value in enumerate(values):
            seed = tuning_seed(replicate)
            self._run(workload, method, "search", trial, seed, (outcomes or {}).get(trial), value)

    def confirm(
        self,
        method: str,
        trial: int,
        nlls: Values,
        outcomes: Mapping[int, Outcome] | None = None,
        workload: str = "w",
        replicate: int = 0,
    ) -> None:
        """Confirmation seeds 1, 2 ... with these test NLL; None: diverged; near the trivial loss: collapsed."""
        for seed, nll in enumerate(nlls, start=1):
            own = tuning_seed(replicate) + seed
            self._run(workload, method, "confirm", trial, own, (outcomes or {}).get(seed), nll)

    def target(self, method: str, trial: int, values: Values, workload: str = "w") -> None:
        """Reruns of a reference method's trial with these best L_val."""
        for seed, value in enumerate(values, start=1001):
            self._run(workload, method, "target", trial, seed, None, value)

    def sources(self, method: str, trial: int, varied: Varied, values: Values, workload: str = "w") -> None:
        """Runs of a winner in which one stream varies."""
        for seed, value in enumerate(values, start=1000 * (2 + VARIED.index(varied)) + 1):
            self._run(workload, method, "sources", trial, seed, None, value, varied)

    def _run(
        self,
        workload: str,
        method: str,
        stage: Stage,
        trial: int,
        seed: int,
        given: Outcome | None,
        wanted: float | Made | None,
        varied: Varied = "all",
    ) -> None:
        made = wanted if isinstance(wanted, Made) else Made(wanted)
        outcome: Outcome = given or ("done" if made.value is not None else "diverged")
        usual = {"optimizer": self.study.methods[method].optimizer, "lr": 0.1 / (abs(trial) + 1), "beta.over": 0.25}
        cell = f"{workload}/{method}"
        identity = uid("h", cell, trial, seed)
        run = Run(identity, cell, workload, method, stage, trial, seed, {**usual, **made.settings}, varied)
        spool = Spool(self.folder, run, 1, 1000.0)
        spool.report(*(_report(epoch, made.value, measured) for epoch, measured in enumerate(made.curve)))
        if outcome == "done" and stage == "confirm":
            np.savez(
                attempt_folder(self.folder, run.uid, 1) / "outputs.npz",
                samples=np.ones((64, 8, 8)),
                originals=np.random.default_rng(0).random((16, 8, 8)),
                reconstructions=np.zeros((16, 8, 8)),
            )
        metrics = {**_summary(outcome, stage, made.value), **made.metrics}
        failure = made.failure or _failure(outcome, made.value)
        spool.end(End(outcome, 100, 1010.0, failure, metrics, vectors=made.vectors))


def _report(epoch: int, value: float | None, measured: Mapping[str, float]) -> Report:
    end = TRIVIAL if value is None else value
    nelbo = measured.get("val/nelbo", end + (START - TRIVIAL) * 0.5**epoch)
    usual = {"val/nelbo": nelbo, "val/rec": nelbo - 2, "val/kl": 2.0, "cost/grad_evals": 20.0 * epoch}
    vectors = {"val/kl_per_dimension": [1.0, 0.7, 0.3]}
    return Report(20 * epoch, epoch, 1000.0 + epoch, {**usual, **measured}, vectors)


def _summary(outcome: Outcome, stage: Stage, value: float | None) -> dict[str, float]:
    spent = {"final/grad_evals": 100.0, "final/epochs": 5.0, "final/train_seconds": 1.0, "final/l_trivial": TRIVIAL}
    if outcome != "done" or value is None:
        return spent
    judged = {"final/val_nelbo": value, "final/best_val_nelbo": value, "final/kl": 2.0, "final/rec": value - 2}
    if stage != "confirm":
        return spent | judged
    return spent | judged | {"final/test_nll": value, "final/test_nelbo": value + 0.5, "final/test_l_trivial": TRIVIAL}


def _failure(outcome: Outcome, value: float | None) -> Failure:
    if outcome not in ("done", "diverged"):
        return "none"
    if value is None or value > START:
        return "diverged"
    return "collapsed" if value > TRIVIAL - 1 else "none"
