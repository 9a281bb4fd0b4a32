"""How long a report takes: records of 1,000 trials x 50 epochs in, the page, all tables and all figures out; and the
tables alone of 10,000 trials x 10 epochs.

The records are made up and written as spools are; what is timed are the commands that users type, in processes of their
own, from start to exit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaestudy.records import VARIED, Run, Stage, Varied, attempt_folder
from vaestudy.seeding import uid
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder

WORKLOADS, METHODS = ("one", "two"), ("sgd", "adam", "rmsprop", "ivon", "nesterov")
SEEDS, SOURCES, LATENT = 10, 3, 10
TRIVIAL = 50.0
REPEATS = 3


@dataclass(frozen=True)
class Size:
    """Trials a cell, of ten cells, and epochs a run."""

    trials: int
    epochs: int


REPORT, TABLES = Size(100, 50), Size(1000, 10)


@dataclass(frozen=True)
class Timing:
    """One command's wall time, seconds, each time that it ran."""

    command: str
    runs: int
    seconds: tuple[float, ...]

    def dump(self) -> dict[str, Any]:
        return asdict(self)


def measure() -> list[Timing]:
    """Times ``report --html``, ``export`` and ``export --paper`` on the same records, ``export --tables`` on more."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as large:
        count, many = write(Path(place), REPORT), write(Path(large), TABLES)
        return [
            _timed("report --html", count, lambda n: ["report", "made-up", "--html", "--results", place]),
            _timed("export", count, lambda n: ["export", "made-up", "--results", place]),
            _timed(
                "export --paper",
                count,
                lambda n: ["export", "made-up", "--paper", f"{place}/paper-{n}", "--results", place],
            ),
            _timed("export --tables", many, lambda n: ["export", "made-up", "--tables", "--results", large]),
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


def write(results: Path, size: Size) -> int:
    """Writes the study's records; returns the number of its runs."""
    study = _study(size)
    folder = StudyFolder(results / study.name)
    folder.make()
    folder.write(study)
    random = np.random.default_rng(0)
    plans = [plan for workload in WORKLOADS for method in METHODS for plan in _plans(workload, method, size, random)]
    for plan in plans:
        _write_run(folder.path, plan, size.epochs, random)
    return len(plans)


def _study(size: Size) -> Study:
    data = {"name": "digits", "binarize": "dynamic", "validation": 300}
    task = {"data": data, "model": "mlp", "likelihood": "bernoulli", "batch_size": 64}
    arm = {"optimizer": "adam", "search": {"lr": {"log": [1e-5, 1.0]}, "one_minus_beta1": {"log": [0.01, 0.5]}}}
    document = {
        "version": 1,
        "name": "made-up",
        "workloads": dict.fromkeys(WORKLOADS, task),
        "train": {"epochs": size.epochs},
        "methods": dict.fromkeys(METHODS, arm),
        "shared_search": {"train.beta.over": {"choice": [0.0, 0.25, 0.5]}},
        "search": {"trials": size.trials},
        "target": {"nats": dict.fromkeys(WORKLOADS, 30.0)},
        "confirm": {"seeds": SEEDS, "sources": SOURCES},
    }
    return Study.model_validate_json(json.dumps(document))


def _plans(workload: str, method: str, size: Size, random: np.random.Generator) -> Iterator[Run]:
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

    yield from (plan("search", trial, 0) for trial in range(size.trials))
    yield from (plan("confirm", 0, seed) for seed in range(1, SEEDS + 1))
    for block, varied in enumerate(VARIED, start=2):
        yield from (plan("sources", 0, 1000 * block + seed, varied) for seed in range(1, SOURCES + 1))


def _write_run(folder: Path, run: Run, epochs: int, random: np.random.Generator) -> None:
    end = (
        28 + METHODS.index(run.method) * 0.2 + 3 * abs(np.log10(run.settings["lr"]) + 2) + float(random.normal(0, 0.3))
    )
    attempt = attempt_folder(folder, run.uid, 1)
    reports = [_report(epoch, end + 20 * 0.9**epoch) for epoch in range(epochs + 1)]
    last = end + 20 * 0.9**epochs
    summary = {
        "final/val_nelbo": last,
        "final/best_val_nelbo": last,
        "final/kl": 5.0,
        "final/rec": last - 5.0,
        "final/l_trivial": TRIVIAL,
        "final/grad_evals": 20.0 * epochs,
        "final/train_seconds": 1.0 * epochs,
    }
    if run.stage == "confirm":
        summary |= {"final/test_nll": last - 1, "final/test_nelbo": last, "final/test_l_trivial": TRIVIAL}
        attempt.mkdir(parents=True)
        images = {name: random.random((16, 28, 28)) for name in ("originals", "reconstructions", "samples")}
        np.savez_compressed(attempt / "outputs.npz", **images)
    failure = "none" if last < TRIVIAL - 1 else "collapsed"
    ended = {"outcome": "done", "step": 20 * epochs, "time": 1100.0, "failure": failure, "metrics": summary}
    _write_spool(attempt, run, [*reports, {"kind": "end", **ended}])


def _write_spool(attempt: Path, run: Run, events: Sequence[dict[str, Any]]) -> None:
    """What ``records.Spool`` writes, without its fsync, which would take minutes for 10,000 runs."""
    attempt.mkdir(parents=True, exist_ok=True)
    (attempt.parent / "run.json").write_text(json.dumps(asdict(run), indent=1))
    payloads = [json.dumps(event).encode() for event in ({"kind": "start", "attempt": 1, "time": 1000.0}, *events)]
    (attempt / "spool.jsonl").write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(each), each) for each in payloads))


def _report(epoch: int, nelbo: float) -> dict[str, Any]:
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
    vectors = {"val/kl_per_dimension": [0.5] * LATENT}
    place = {"step": 20 * epoch, "epoch": epoch, "time": 1000.0 + epoch}
    return {"kind": "report", **place, "metrics": metrics, "vectors": vectors}
