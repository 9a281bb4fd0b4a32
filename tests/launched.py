"""Studies as a user launches them: the command line in a process of its own, and what it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from vaestudy.records import RunRecord, attempt_folder, read_runs

ROOT = Path(__file__).parents[1]
METHODS = ("sgd", "adam", "rmsprop", "ivon")
TRIALS, SEEDS, TARGETS = 3, 2, 2
SMALL = [
    f"search.trials={TRIALS}",
    "search.replicates=1",
    "resources.population=1",
    f"confirm.seeds={SEEDS}",
    "confirm.sources=1",
    f"target.seeds={TARGETS}",
    "train.epochs=20",
    "train.evaluate_every=1",
    "confirm.iwae_samples=20",
    "tracking.figures=false",
    "report.figures=false",
]
"""The quickstart study in half a minute: 12 trials, 22 reruns, no pictures."""

FEW = ["confirm.sources=0"]
"""A third of the runs less: no streams of random numbers are varied."""

LONG = ["train.epochs=100", "search.trials=6", *FEW]
"""Time to meet many faults, on a fast machine too."""

OFTEN = ["budget.checkpoint_seconds=0.1", "budget.retries=20"]
"""Runs that lose little when their worker dies, and may lose many."""

CALM = ["tracking.mlflow=none", "report.formats=[csv]"]
"""Of a study that is only there to be compared with."""

CLOCKS = ("final/train_seconds",)


def vaestudy(
    *arguments: str, results: Path | str, module: str = "vaestudy", env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A command in a session of its own; its output is to be read with ``finished``."""
    command = [sys.executable, "-m", *module.split(), *arguments, "--results", str(results)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
    )


def launch(results: Path, *more: str) -> subprocess.Popen[str]:
    """The small quickstart study, with more overrides."""
    return vaestudy("launch", "studies/quickstart.yaml", *SMALL, *more, results=results)


def calm(results: Path, *more: str) -> Path:
    """The folder of the small quickstart study, with more overrides, that nobody disturbed."""
    finished(launch(results, *more, *CALM))
    return results / "quickstart"


def finished(process: subprocess.Popen[str], code: int = 0, seconds: float = 600.0) -> tuple[str, str]:
    """Standard output and error of a command that ends with this exit code, and without a traceback."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the next test is to have the machine to itself
        raise
    said = out if err is None else err
    assert process.returncode == code, said
    assert "Traceback" not in said
    return out, err


def runs_of(study: Path) -> dict[str, RunRecord]:
    """The runs of a study by uid."""
    return {record.run.uid: record for record in read_runs(study)}


def values(study: Path) -> dict[str, dict[str, float]]:
    """What every run measured, clocks left out."""
    return {
        uid: {name: value for name, value in record.end.metrics.items() if name not in CLOCKS}
        for uid, record in runs_of(study).items()
        if record.end
    }


def until(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240.0) -> None:
    """Waits until something holds while a command runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"not so after {seconds:g} s")


def until_recorded(study: Path, process: subprocess.Popen[str], runs: int) -> None:
    """Waits until so many runs have reports in their spools."""
    until(lambda: study.exists() and sum(bool(record.reports) for record in read_runs(study)) >= runs, process)


def workers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """The Ray workers that are training for a driver."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(driver.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "ray::ResourceTrainable" in " ".join(process.cmdline()):
                    found.append(process)
    return found


def tried_again(study: Path) -> int:
    """How many attempts of runs were not their first."""
    return sum(record.attempt - 1 for record in read_runs(study))


def kill_workers_in_mid_run(study: Path, driver: subprocess.Popen[str]) -> None:
    """Kills the workers once each has saved a state of its run; waits until others have these runs."""

    def live() -> list[RunRecord]:
        return [record for record in read_runs(study) if record.end is None]

    def saved(record: RunRecord) -> bool:
        kept = attempt_folder(study, record.run.uid, record.attempt).glob("checkpoint-*/manifest.json")
        return any(path.stat().st_mtime > record.started for path in kept)

    def all_saved() -> bool:
        with suppress(FileNotFoundError):  # the run has just ended, or has a newer state
            return bool(records := live()) and all(map(saved, records))
        return False

    until(all_saved, driver)
    attempts = {record.run.uid: record.attempt for record in live()}
    for process in workers(driver):
        process.kill()
    until(lambda: all(record.attempt > attempts.get(record.run.uid, 0) for record in live()), driver)
