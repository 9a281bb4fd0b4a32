"""A Ray of several hosts on this machine, a raylet each, told of as many CPUs and GPUs as a test likes.

``python -m tests.execution.rays 3,1 1,3`` says its address and ends with its standard input.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.execution.places import PLACES
from tests.launched import ROOT


@dataclass(frozen=True)
class Rays:
    """Such a Ray: its address, what its users need in their environment, and where its workers say what they see."""

    address: str
    environment: Mapping[str, str]
    places: Path


@contextmanager
def rays_of(folder: Path, *hosts: tuple[int, int]) -> Iterator[Rays]:
    """A Ray of hosts with so many CPUs and GPUs."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.execution.rays", *(f"{cpus},{gpus}" for cpus, gpus in hosts)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **token, PLACES: str(folder), "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        said = ""
        for said in process.stdout:
            if said.startswith("up "):
                break
        yield Rays(said.split()[1], token, folder)
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def main(*hosts: str) -> None:
    """Stays up until standard input ends."""
    made = Cluster()
    try:
        for cpus, gpus in (map(int, host.split(",")) for host in hosts):
            made.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=100 * 2**20, include_dashboard=False)
        print("up", made.address, flush=True)
        sys.stdin.read()
    finally:
        made.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
