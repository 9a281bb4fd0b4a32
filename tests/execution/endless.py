"""Runs without end, to see how many train at once and where.

``python -m tests.execution.endless ADDRESS DEVICE RESOURCES`` trains them on a cluster and says what its workers saw.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.execution.places import PLACES
from tests.launched import ROOT
from tests.tasks import settings
from vaestudy.errors import VaestudyError
from vaestudy.evaluation import Samples
from vaestudy.execution.cluster import Cluster, connect, disconnect
from vaestudy.execution.jobs import Common, Job
from vaestudy.execution.tuner import execute
from vaestudy.records import End, Report, Run
from vaestudy.spec import Workload
from vaestudy.spec.models import Resources

WORKLOAD = Workload.model_validate(
    {
        "data": {"name": "digits", "binarize": "dynamic", "seed": 0, "validation": 300},
        "model": {"name": "mlp", "hidden": (32,), "latent_dim": 5},
        "likelihood": "bernoulli",
        "batch_size": 64,
    }
)
SECONDS = 200.0


def common_of(folder: Path, device: str, plugins: tuple[str, ...] = ()) -> Common:
    """What jobs on the digits share."""
    return Common(
        study_hash="hash",
        folder=folder,
        data_folder=folder,
        workloads={"w": WORKLOAD},
        plugins=plugins,
        device=device,
        threads=1,
        verdicts_from=None,
        checkpoint_seconds=3600,
        silence=240,
        retries=0,
        samples=Samples(elbo=2, iwae=2, weight_draws=2),
        seed=0,
    )


class Endless:
    """A run queue that stops once so many runs have reported, none of which can have ended; or after ``SECONDS``."""

    exhausted = False

    def __init__(self, wanted: int):
        self.reported: set[str] = set()
        self.ended: list[End] = []
        self._wanted = wanted
        self._numbers = itertools.count()
        self._until = time.monotonic() + SECONDS

    def take(self, count: int) -> Sequence[Job]:
        numbers = itertools.islice(self._numbers, count)
        return [
            Job(Run(f"u{k}", "w/adam", "w", "adam", "search", k, k, {}), settings(epochs=10**5), 1) for k in numbers
        ]

    def refill(self, job: Job) -> Job | None:
        return None

    def report(self, job: Job, reports: Sequence[Report]) -> bool:
        self.reported.add(job.run.uid)
        return False

    def end(self, job: Job, end: End) -> None:
        self.ended.append(end)

    def retry(self, job: Job) -> Job:
        return job

    def release(self, jobs: Sequence[Job]) -> None:
        raise AssertionError("no worker is lost here")

    def fail(self, job: Job, reason: str) -> None:
        raise AssertionError(reason)

    @property
    def stopping(self) -> bool:
        return len(self.reported) >= self._wanted or time.monotonic() > self._until

    def tick(self) -> None:
        pass


def trained_at_once(
    folder: Path, address: str | None, device: str, asked: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """What a cluster promised and what each of its workers saw, or why it refused; a process of its own asked.

    Args:
        folder: where workers say what they see.
        address: of a Ray; None: the process's own.
        device: to train on, whatever the workers are given.
        asked: of ``resources``.
    """
    for path in folder.glob("*.json"):
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "tests.execution.endless", address or "", device, json.dumps(asked)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment, PLACES: str(folder)},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(address: str, device: str, asked: str) -> None:
    """Says it as JSON."""
    folder = Path(os.environ[PLACES])
    try:
        cluster = connect(Resources.model_validate_json(asked), address or None)
        places = _places(cluster, folder, device)
    except VaestudyError as error:
        print(json.dumps({"refused": str(error)}))
        return
    finally:
        disconnect()
    print(json.dumps({"cluster": asdict(cluster), "places": places}))


def _places(cluster: Cluster, folder: Path, device: str) -> list[dict[str, Any]]:
    """What each of a cluster's workers saw, all of which have trained at once."""
    queue = Endless(cluster.workers)
    execute(queue, common_of(folder, device, ("tests.execution.places",)), cluster, population=1)
    assert not queue.ended
    assert len(queue.reported) == cluster.workers, "not all of them trained at once"
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]


if __name__ == "__main__":
    main(*sys.argv[1:])
