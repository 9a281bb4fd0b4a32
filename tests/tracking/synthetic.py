"""A made-up study, written through ``records.Spool`` as a real one is: curves that fall, seeds that differ a little."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vaestudy.records import End, Report, Run, Spool, attempt_folder
from vaestudy.spec import Study

STUDY_HASH = "5f" * 16
BEGAN = 1_750_000_000.0
STEPS_PER_EPOCH = 24
SIDE = 8
"""Pixels of an image's edge."""
LEVEL = {"adam": 21.0, "ivon": 21.8, "rmsprop": 22.5, "sgd": 26.0}
"""The nELBO that each method comes to, nats per example."""


def study(name: str = "shop-window", *, seeds: int = 3, **changes: Any) -> Study:
    workload = {
        "data": {"name": "digits", "binarize": "dynamic", "validation": 300},
        "model": {"name": "mlp", "hidden": [32], "latent_dim": 4},
        "likelihood": "bernoulli",
        "batch_size": 64,
    }
    document = {
        "version": 1,
        "name": name,
        "description": "Which optimizer reaches the best test ELBO?",
        "workloads": {"digits-mlp": workload},
        "train": {"epochs": 20},
        "methods": {method: {"optimizer": method, "search": {"lr": {"log": [1e-5, 1.0]}}} for method in LEVEL},
        "shared_search": {"train.beta.over": {"choice": [0.0, 0.5]}},
        "search": {"trials": 6},
        "confirm": {"seeds": seeds},
        **changes,
    }
    return Study.model_validate_json(json.dumps(document))


def run(method: str, trial: int, seed: int | None = None) -> Run:
    cell = f"digits-mlp/{method}"
    uid = hashlib.blake2b(f"{cell}/{trial}/{seed}".encode(), digest_size=8).hexdigest()
    rate = 10 ** (-1.0 - 0.5 * trial)
    settings = {"optimizer": method, "lr": rate, "beta.over": 0.5 * (trial % 2), "clip_norm": None}
    stage: Any = "search" if seed is None else "confirm"
    return Run(uid, cell, "digits-mlp", method, stage, trial, seed or 0, settings)


def report(plan: Run, epoch: int, *, delay: float = 0.0) -> Report:
    """What a run measures after an epoch; ``delay`` seconds later than usual where it is measured anew."""
    level = LEVEL[plan.method] + 0.4 * abs(plan.trial - 2) + 0.1 * plan.seed
    nelbo = level + 20.0 * math.exp(-epoch / (3.0 + plan.seed / 3))
    metrics = {
        "val/nelbo": nelbo,
        "val/rec": nelbo - 8.0,
        "val/kl": 8.0 * (1 - math.exp(-epoch / 4)),
        "val/active_units": float(min(epoch, 4)),
        "train/loss": nelbo + 0.5,
        "time/seconds": 0.5 * epoch,
    }
    rates = {"val/kl_per_dimension": [3.0, 2.5, 2.5, 0.0]}
    return Report(STEPS_PER_EPOCH * epoch, epoch, BEGAN + 0.5 * epoch + delay, metrics, rates)


def end(plan: Run, epochs: int, outcome: Any = "done") -> End:
    last = report(plan, epochs)
    nelbo = last.metrics["val/nelbo"]
    summary = {"final/val_nelbo": nelbo, "final/epochs": float(epochs), "final/best_epoch": float(epochs)}
    if plan.stage == "confirm":
        summary |= {"final/test_nelbo": nelbo + 0.3, "final/test_nll": nelbo - 1.0, "final/test_active_units": 3.0}
    reason = "worker lost" if outcome == "failed" else ""
    return End(outcome, last.step, last.time + 0.1, "diverged" if outcome == "diverged" else "none", summary, reason)


def write(
    folder: Path,
    plan: Run,
    epochs: int,
    outcome: str | None = "done",
    *,
    attempt: int = 1,
    delay: float = 0.0,
    earlier: int = 0,
) -> None:
    """Spools a run's attempt: the first ``earlier`` epochs as they were measured before, the rest ``delay`` later."""
    spool = Spool(folder, plan, attempt, BEGAN)
    for epoch in range(epochs + 1):
        spool.report(report(plan, epoch, delay=delay if epoch > earlier else 0.0))
    if outcome:
        spool.end(end(plan, epochs, outcome))
    spool.close()


def write_study(
    folder: Path, *, methods: tuple[str, ...] = tuple(LEVEL), trials: int = 6, seeds: int = 3, epochs: int = 20
) -> None:
    """Spools a whole study: of each method, one trial is pruned, one diverges, and trial 2 wins."""
    outcomes = {1: "pruned", trials - 1: "diverged"}
    for method in methods:
        for trial in range(trials):
            write(folder, run(method, trial), epochs if trial not in outcomes else 3, outcomes.get(trial, "done"))
        for seed in range(1, seeds + 1):
            write(folder, run(method, 2, seed), epochs)
            draw(folder, run(method, 2, seed))


def draw(folder: Path, plan: Run) -> Path:
    """Leaves a confirmed run's pictures in its attempt's folder, as a worker does; gives that folder."""
    attempt = attempt_folder(folder, plan.uid, 1)
    images = np.random.default_rng(0).random((64, SIDE, SIDE), dtype=np.float32)
    arrays = {"originals": images[:16].round(), "reconstructions": images[:16], "samples": images}
    np.savez_compressed(attempt / "outputs.npz", allow_pickle=False, **arrays)
    return attempt
