"""A whole study's wall time over its pure training time, beside the idiomatic Ray Tune + OptunaSearch + MLflow script.

Both are timed as processes, from their start to their end, everything shipped to MLflow. The same trials: net, data,
epochs and number are one; the learning rate is drawn by TPE in both. Pure training is the time inside the training
loops alone; loading data, evaluation, reports, figures and tables count as overhead.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import MNIST
from benchmarks.ours import Ours
from vaestudy import data
from vaestudy.records import read_runs

ROOT = Path(__file__).resolve().parent.parent
VALIDATION = 2_000
TRAIN = 58_000
LEARNING_RATES = (1e-4, 1e-2)

STUDY = """\
version: 1
name: overhead
workloads:
  mnist:
    data: {{name: mnist, binarize: static, validation: {validation}}}
    model: {{name: mlp, hidden: [{hidden}], latent_dim: {latent_dim}}}
    likelihood: bernoulli
    batch_size: {batch_size}
train: {{epochs: {epochs}, beta: {{schedule: constant, end: 1.0}}}}
methods:
  adam: {{optimizer: adam, search: {{lr: {{log: [{low}, {high}]}}}}}}
search: {{trials: {trials}, sampler: {{name: tpe}}}}
confirm: {{seeds: 0}}
resources: {{workers: {workers}}}
storage: {{results: {results}}}
"""


@dataclass(frozen=True)
class Size:
    """How large a study: trials, their epochs, workers at once."""

    trials: int
    epochs: int
    workers: int


@dataclass(frozen=True)
class Timing:
    """One study, timed.

    Attributes:
        wall_seconds: of the whole process. train_seconds: inside training loops, summed over trials.
        to_first_trial_seconds: from Ray being up to the first update of the first trial.
        best: the lowest validation loss found, nats per image.
    """

    name: str
    size: Size
    wall_seconds: float
    train_seconds: float
    to_first_trial_seconds: float
    best: float

    @property
    def overhead(self) -> float:
        """Worker time that was not training, over training time."""
        return self.wall_seconds * self.size.workers / self.train_seconds - 1

    @property
    def lost_seconds(self) -> float:
        """Wall time that was not training, all workers training all the time."""
        return self.wall_seconds - self.train_seconds / self.size.workers

    def dump(self) -> dict[str, Any]:
        return {**asdict(self), "overhead": self.overhead, "lost_seconds": self.lost_seconds}


def size_for(trials: int, seconds: float, workers: int) -> Size:
    """Epochs so that vaestudy's trainer, all workers at work, takes about ``seconds`` a trial."""
    torch.set_num_threads(1)
    contender = Ours(MNIST, "adam", MNIST.task(), 1)
    contender.turn()
    rate = contender.turn().rate
    return Size(trials, max(1, round(seconds * rate * MNIST.batch_size / TRAIN)), workers)


def measure(size: Size) -> list[Timing]:
    """Times both studies, ours first."""
    with tempfile.TemporaryDirectory() as folder:
        return [_ours(size, Path(folder)), _rival(size, Path(folder))]


def _ours(size: Size, folder: Path) -> Timing:
    file = folder / "overhead.yaml"
    low, high = LEARNING_RATES
    file.write_text(
        STUDY.format(
            validation=VALIDATION,
            hidden=MNIST.hidden,
            latent_dim=MNIST.latent_dim,
            batch_size=MNIST.batch_size,
            epochs=size.epochs,
            low=low,
            high=high,
            trials=size.trials,
            workers=size.workers,
            results=folder / "results",
        )
    )
    wall = _timed([str(Path(sys.executable).with_name("vaestudy")), "launch", str(file)], folder)
    study = folder / "results" / "overhead"
    records = list(read_runs(study))
    ends = [record.end for record in records if record.end is not None and record.end.outcome == "done"]
    if len(ends) != size.trials:
        log = (study / "driver.log").read_text()
        raise RuntimeError(f"{len(ends)} of {size.trials} trials are done; the log says:\n{log[-3000:]}")
    first = min(record.reports[0].time for record in records)
    return Timing(
        "vaestudy",
        size,
        wall,
        sum(end.metrics["final/train_seconds"] for end in ends),
        first - _ray_is_up(study / "driver.log"),
        min(end.metrics["final/best_val_nelbo"] for end in ends),
    )


def _ray_is_up(log: Path) -> float:
    found = re.search(r"^(\S+ \S+),(\d+) .*Ray is up", log.read_text(), flags=re.MULTILINE)
    assert found is not None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").timestamp() + int(found[2]) / 1000


def _rival(size: Size, folder: Path) -> Timing:
    examples = data.load("mnist", data.data_folder(), binarize="static", seed=0, validation=VALIDATION)
    images, answer = folder / "images.pt", folder / "answer.json"
    torch.save({"train": examples.train, "validation": examples.validation}, images)
    config = {
        **asdict(size),
        "images": str(images),
        "hidden": MNIST.hidden,
        "latent_dim": MNIST.latent_dim,
        "batch_size": MNIST.batch_size,
        "lr": LEARNING_RATES,
        "folder": str(folder),
        "answer": str(answer),
    }
    (folder / "rival.json").write_text(json.dumps(config))
    wall = _timed([sys.executable, "-m", "benchmarks.rival_study", str(folder / "rival.json")], folder)
    told = json.loads(answer.read_text())
    if told.pop("trials") != size.trials:
        raise RuntimeError("the rival lost trials")
    return Timing("Tune + OptunaSearch + MLflow script", size, wall, **told)


def _timed(command: Sequence[str], folder: Path) -> float:
    """Runs a command, its output in a file, and gives its wall time in seconds."""
    output = folder / "output.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    start = time.perf_counter()
    with output.open("w") as file:
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{output.read_text()[-3000:]}")
    return time.perf_counter() - start


def table(timings: Sequence[Timing]) -> list[str]:
    """The timings as rows of a Markdown table."""
    rows = [
        "| study | trials | epochs | workers | wall s | pure training s | a trial s | lost s | overhead | "
        "Ray up to first update s | best nats |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return rows + [
        f"| {t.name} | {t.size.trials} | {t.size.epochs} | {t.size.workers} | {t.wall_seconds:.0f} | "
        f"{t.train_seconds:.0f} | {t.train_seconds / t.size.trials:.1f} | {t.lost_seconds:.0f} | {t.overhead:.1%} | "
        f"{t.to_first_trial_seconds:.1f} | {t.best:.1f} |"
        for t in timings
    ]
