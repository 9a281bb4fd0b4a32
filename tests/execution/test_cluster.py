"""Whom the Ray of a study answers, and what is asked of whoever joins one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.chaos.stranger import UNAUTHENTICATED, grpc_status
from tests.launched import ROOT
from vaestudy.cli.main import main

NAMES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
DRIVER = """
import ray  # before us: it reads its environment then
from vaestudy.execution import connect, disconnect
from vaestudy.spec.models import Resources
connect(Resources(workers=1), None)
print(ray.get_runtime_context().gcs_address, int(ray.cluster_resources()["CPU"]), flush=True)
input()
disconnect()
"""


@dataclass(frozen=True)
class LocalRay:
    """The Ray that ``connect`` started in a process of its own, whose home folder was empty."""

    driver: psutil.Process
    address: str
    cpus: int
    home: Path

    @property
    def token(self) -> str:
        (server,) = (process for process in self.processes() if process.name() == "gcs_server")
        return server.environ()["RAY_AUTH_TOKEN"]

    def processes(self) -> list[psutil.Process]:
        return self.driver.children(recursive=True)

    def status(self, token: str | None) -> int | None:
        """What it answers to a question about its hosts."""
        host, _, port = self.address.rpartition(":")
        return grpc_status(host, int(port), NAMES, token)


@pytest.fixture(scope="module")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRay]:
    home = tmp_path_factory.mktemp("home")
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("RAY_")}, "HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = process.stdout.readline().split()
    assert told, "it has not started"
    yield LocalRay(psutil.Process(process.pid), told[0], int(told[1]), home)
    process.communicate("\n")
    assert process.returncode == 0


def test_a_local_ray_is_as_large_as_its_workers_need(local_ray: LocalRay) -> None:
    assert local_ray.cpus == 1  # Ray starts a process for each


def test_a_local_ray_answers_those_alone_who_have_its_token(local_ray: LocalRay) -> None:
    assert local_ray.status(local_ray.token) == 0
    assert local_ray.status(None) == UNAUTHENTICATED
    assert local_ray.status("ab" * 32) == UNAUTHENTICATED


def test_the_token_of_a_local_ray_is_in_no_file_and_on_no_command_line(local_ray: LocalRay) -> None:
    command_lines = [" ".join(process.cmdline()) for process in [local_ray.driver, *local_ray.processes()]]
    assert any("gcs_server" in line for line in command_lines)
    assert not any(local_ray.token in line for line in command_lines)
    session = Path(next(word for line in command_lines for word in line.split() if word.startswith("--log_dir="))[10:])
    files = [path for folder in (local_ray.home, session.parent) for path in folder.rglob("*") if path.is_file()]
    assert session.name == "logs"
    assert [path for path in files if local_ray.token.encode() in path.read_bytes()] == []
    assert not (local_ray.home / ".ray").exists()


def test_whoever_has_no_token_is_told_so_before_a_cluster_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    results = tmp_path / "results"
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        study = ROOT / "studies" / "quickstart.yaml"
        code = main(["launch", str(study), "--address", address, "--results", str(results)])
    assert code == 4
    assert not results.exists()
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"vaestudy: error: Ray at {address}: Token authentication is enabled but no authentication token was found; "
        "let RAY_AUTH_TOKEN_PATH name the file with the cluster's token, or set RAY_AUTH_MODE=disabled for a cluster "
        "that has none"
    )
