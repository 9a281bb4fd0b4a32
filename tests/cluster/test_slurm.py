"""A study in a real SLURM's queue: submitted from a login host, told to end before its time, gone on with, complete."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.ray_cluster import trainers
from tests.fixtures.slurm import Slurm
from tests.launched import SMALL, calm, runs_of

__all__ = ["hosts"]

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]

STUDY = [*SMALL, "train.epochs=100", "resources.population=2"]
RUNS = 34
SECONDS = 400.0


@pytest.fixture(scope="module")
def slurm(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Slurm:
    return Slurm(hosts, tmp_path_factory.mktemp("slurm"))


@pytest.mark.parametrize("shared_nodes", ["no", "yes"])
def test_a_study_whose_time_in_the_queue_is_up_comes_back_and_ends_with_the_same_numbers(
    slurm: Slurm, tmp_path: Path, shared_nodes: str
) -> None:
    results = tmp_path / "shared"
    study, output = results / "quickstart", results / "quickstart" / "submitted-1" / "output.log"

    def vaestudy(*arguments: str) -> str:
        command = [sys.executable, "-m", "vaestudy", *arguments, "--results", str(results)]
        return slurm.run(*command, env={"VAESTUDY_SHARED_NODES": shared_nodes})

    def ended() -> int:
        return sum(record.end is not None for record in runs_of(study).values())

    said = vaestudy("submit", "studies/quickstart.yaml", *STUDY, "--on", "slurm", "--hosts", "2")
    found = re.search(r"Submitted as SLURM job (\d+)\.", said)
    assert found, said
    job = found[1]
    until(lambda: all(trainers(node) for node in slurm.nodes), output)
    until(lambda: ended() >= 3, output)
    slurm.run("scancel", "--batch", "--signal=TERM", job)  # as SLURM does where a job's time is nearly up
    until(lambda: "stopped; go on with: vaestudy resume" in output.read_text(), output)
    assert ended() < RUNS

    until(lambda: not slurm.run("squeue", "--noheader"), output)
    assert json.loads(vaestudy("--json", "status", "quickstart"))["state"] == "complete"
    assert "Restarts=1" in slurm.run("scontrol", "show", "job", job)
    check(study, results / "mlflow.db")
    check_numbers(study, calm(tmp_path / "calm", *STUDY))


def until(condition: Callable[[], bool], output: Path) -> None:
    """Waits until something holds; where it does not, shows what the job has printed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, output.read_text() if output.exists() else "the job has not begun"
        time.sleep(1)
