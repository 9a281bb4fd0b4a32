"""How long a report takes: records of 1,000 trials x 50 epochs in, the page, all tables and all figures out.

The records are written through the real spools, with made-up curves; what is timed are the commands that users type, in
processes of their own, from start to exit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaestudy.records import VARIED, End, Report, Run, Spool, Stage, Varied, attempt_folder
from vaestudy.seeding import uid
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder

WORKLOADS, METHODS = ("one", "two"), ("sgd", "adam", "rmsprop", "ivon", "nesterov")
TRIALS, SEEDS, SOURCES, EPOCHS, LATENT = 100, 10, 3, 50, 10
TRIVIAL = 50.0
REPEATS = 3


@dataclass(frozen=True)
class Timing:
    """One command's wall time, seconds, each time that it ran."""

    command: str
    runs: int
    seconds: tuple[float, ...]

    def dump(self) -> dict[str, Any]:
        return asdict(self)


def measure() -> list[Timing]:
    """Times ``report --html``, ``export`` and ``export --paper`` on the same records."""
    with tempfile.TemporaryDirectory() as place:
        results = Path(place)
        count = write(results)
        return [
            _timed("report --html", count, lambda n: ["report", "made-up", "--html", "--results", place]),
            _timed("export", count, lambda n: ["export", "made-up", "--results", place]),
            _timed(
                "export --paper",
                count,
                lambda n: ["export", "made-up", "--paper", f"{place}/paper-{n}", "--results", place],
            ),
        ]


def table(timings: Sequence[Timing]) -> list[str]:
    """The timings as rows of a Markdown table."""
    rows = ["| command | runs in the records | seconds, median (smallest–largest) |", "| --- | ---: | ---: |"]
    return rows + [f"| `vaestudy {t.command}` | {t.runs:,} | {_spread(t.seconds)} |" for t in timings]


def _spread(seconds: Sequence[float]) -> str:
    return f"{np.median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f})"


def _timed(name: str, runs: int, command: Callable[[int], list[str]]) -> Timing:
    seconds = []
    for number in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "vaestudy", *command(number)], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return Timing(name, runs, tuple(seconds))


def write(results: Path) -> int:
    """Writes the study's records; returns the number of its runs."""
    study = _study()
    folder = StudyFolder(results / study.name)
    folder.make()
    folder.write(study)
    random = np.random.default_rng(0)
    plans = [plan for workload in WORKLOADS for method in METHODS for plan in _plans(workload, method, random)]
    for plan in plans:
        _write_run(folder.path, plan, random)
    return len(plans)


def _study() -> Study:
    data = {"name": "digits", "binarize": "dynamic", "validation": 300}
    task = {"data": data, "model": "mlp", "likelihood": "bernoulli", "batch_size": 64}
    arm = {"optimizer": "adam", "search": {"lr": {"log": [1e-5, 1.0]}, "one_minus_beta1": {"log": [0.01, 0.5]}}}
    document = {
        "version": 1,
        "name": "made-up",
        "workloads": dict.fromkeys(WORKLOADS, task),
        "train": {"epochs": EPOCHS},
        "methods": dict.fromkeys(METHODS, arm),
        "shared_search": {"train.beta.over": {"choice": [0.0, 0.25, 0.5]}},
        "search": {"trials": TRIALS},
        "target": {"nats": dict.fromkeys(WORKLOADS, 30.0)},
        "confirm": {"seeds": SEEDS, "sources": SOURCES},
    }
    return Study.model_validate_json(json.dumps(document))


def _plans(workload: str, method: str, random: np.random.Generator) -> Iterator[Run]:
    """A cell's trials, and the reruns of its first one, which wins."""

    def plan(stage: Stage, trial: int, seed: int, varied: Varied = "all") -> Run:
        best = trial == 0
        settings = {
            "optimizer": "adam",
            "lr": 0.01 if best else float(10 ** random.uniform(-5, 0)),
            "beta1": 0.9 if best else float(1 - 10 ** random.uniform(-2, np.log10(0.5))),
            "beta.over": 0.25 if best else float(random.choice([0.0, 0.25, 0.5])),
        }
        cell = f"{workload}/{method}"
        return Run(uid("made-up", cell, trial, seed), cell, workload, method, stage, trial, seed, settings, varied)

    yield from (plan("search", trial, 0) for trial in range(TRIALS))
    yield from (plan("confirm", 0, seed) for seed in range(1, SEEDS + 1))
    for block, varied in enumerate(VARIED, start=2):
        yield from (plan("sources", 0, 1000 * block + seed, varied) for seed in range(1, SOURCES + 1))


def _write_run(folder: Path, run: Run, random: np.random.Generator) -> None:
    end = (
        28 + METHODS.index(run.method) * 0.2 + 3 * abs(np.log10(run.settings["lr"]) + 2) + float(random.normal(0, 0.3))
    )
    spool = Spool(folder, run, 1, 1000.0)
    spool.report(*(_report(epoch, end + 20 * 0.9**epoch) for epoch in range(EPOCHS + 1)))
    last = end + 20 * 0.9**EPOCHS
    summary = {
        "final/val_nelbo": last,
        "final/best_val_nelbo": last,
        "final/kl": 5.0,
        "final/rec": last - 5.0,
        "final/l_trivial": TRIVIAL,
        "final/grad_evals": 20.0 * EPOCHS,
        "final/train_seconds": 1.0 * EPOCHS,
    }
    if run.stage == "confirm":
        summary |= {"final/test_nll": last - 1, "final/test_nelbo": last, "final/test_l_trivial": TRIVIAL}
        images = {name: random.random((16, 28, 28)) for name in ("originals", "reconstructions", "samples")}
        np.savez_compressed(attempt_folder(folder, run.uid, 1) / "outputs.npz", **images)
    failure = "none" if last < TRIVIAL - 1 else "collapsed"
    spool.end(End("done", 20 * EPOCHS, 1100.0, failure, summary))


def _report(epoch: int, nelbo: float) -> Report:
    metrics = {
        "val/nelbo": nelbo,
        "val/rec": nelbo - 5.0,
        "val/kl": 5.0,
        "val/active_units": 5.0,
        "train/loss": nelbo,
        "train/beta": 1.0,
        "train/lr": 0.01,
        "cost/grad_evals": 20.0 * epoch,
        "cost/examples": 1280.0 * epoch,
        "time/seconds": 1.0 * epoch,
    }
    return Report(20 * epoch, epoch, 1000.0 + epoch, metrics, {"val/kl_per_dimension": [0.5] * LATENT})
