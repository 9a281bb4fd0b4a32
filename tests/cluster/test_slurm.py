"""docs/cluster.md's way with SLURM, in a real one's queue: told to end before its time, back, stopped, gone on with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.object_store import store_on
from tests.fixtures.page import Walk, typed, typing
from tests.fixtures.ray_cluster import trainers
from tests.fixtures.slurm import Slurm
from tests.launched import SMALL, calm, runs_of

__all__ = ["hosts"]

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]

STUDY = [*SMALL, "train.epochs=60", "resources.population=2"]
RUNS = 34
SECONDS = 400.0


@pytest.fixture(scope="module")
def installed(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Slurm:
    return Slurm(hosts, tmp_path_factory.mktemp("slurm"))


@pytest.fixture
def slurm(installed: Slurm) -> Iterator[Slurm]:
    """An empty queue, also after a test that failed."""
    yield installed
    installed.clear()


@pytest.mark.parametrize("shared_nodes", ["no", "yes"])
def test_a_study_whose_time_in_the_queue_is_up_comes_back_and_one_that_is_stopped_goes_on_to_the_same_numbers(
    slurm: Slurm, tmp_path: Path, shared_nodes: str
) -> None:
    results = tmp_path / "shared"
    study = results / "quickstart"
    output, again = (study / f"submitted-{number}" / "output.log" for number in (1, 2))
    here = {
        "studies/quickstart.yaml": " ".join(["studies/quickstart.yaml", *STUDY]),
        "--hosts 4": f"--hosts {len(slurm.nodes)}",
        "/shared/results": str(results),
    }
    walk = Walk("4. SLURM", here)
    environment = {**slurm.environment, "VAESTUDY_SHARED_NODES": shared_nodes}

    def ended() -> int:
        return sum(record.end is not None for record in runs_of(study).values())

    submit = walk.take("vaestudy submit")
    found = re.search(r"Submitted as SLURM job (\d+)\.", typed(slurm.login, submit, environment))
    assert found
    job = found[1]
    until(lambda: all(trainers(node) for node in slurm.nodes), output)
    if shared_nodes == "yes":
        assert all(len(trainers(node)) == 1 for node in slurm.nodes), "as many as the job has CPUs there"
    until(lambda: ended() >= 3, output)
    slurm.run("scancel", "--batch", "--signal=TERM", job)  # as SLURM does where a job's time is nearly up
    until(lambda: "stopped; go on with: vaestudy resume" in output.read_text(), output)
    saved = ended()
    assert saved < RUNS

    until(lambda: "Restarts=1" in slurm.run("scontrol", "show", "job", job), output)
    until(lambda: ended() >= saved + 3, output)
    watch = walk.take("vaestudy status")
    watching = typing(slurm.login, watch, environment)
    assert "Stopped" in typed(slurm.login, walk.take("vaestudy stop"), environment)
    assert "quickstart: interrupted" in watching.communicate(timeout=60)[0]
    until(lambda: not slurm.run("squeue", "--noheader"), output)

    typed(slurm.login, submit, environment)
    until(lambda: ended() == RUNS and not slurm.run("squeue", "--noheader"), again)
    assert "quickstart: complete" in typed(slurm.login, watch, environment)
    assert str(study / "report" / "comparison.csv") in typed(slurm.login, walk.take("vaestudy export")).split()
    walk.end()
    check(study, results / "mlflow.db")
    check_numbers(study, calm(tmp_path / "calm", *STUDY))


def test_a_study_in_an_object_store_is_rendered_and_handed_over_with_the_stores_keys(
    slurm: Slurm, tmp_path: Path
) -> None:
    store = store_on(slurm.login, tmp_path)
    environment = {**slurm.environment, **store.environment}
    rendered, results = tmp_path / "rendered", f"--results {store.address}"
    study = " ".join(["studies/quickstart.yaml", *SMALL])
    hosts = len(slurm.nodes)
    typed(slurm.login, f"vaestudy submit {study} --on slurm --hosts {hosts} {results} --render {rendered}")
    slurm.run("sbatch", str(rendered / "study.sbatch"), env=environment)
    until(lambda: not slurm.run("squeue", "--noheader"), rendered / "output.log")
    assert "quickstart: complete" in typed(slurm.login, f"vaestudy status quickstart {results}", environment)
    askers = set(re.findall(r"^(\S+) .*/runs/", slurm.login.log("moto"), re.M))
    assert {node.address for node in slurm.nodes} <= askers


def until(condition: Callable[[], bool], output: Path) -> None:
    """Waits until something holds; where it does not, shows what the job has printed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, output.read_text() if output.exists() else "the job has not begun"
        time.sleep(1)
