"""Studies whose driver runs in the cluster: submitted from a host that leaves, followed from another."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.ray_cluster import cluster_of, said
from tests.launched import ROOT, SMALL, calm, runs_of

__all__ = ["hosts"]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("ray_default"),
]

STUDY = [*SMALL, "train.epochs=100", "resources.population=2", "plugins=[travelling]"]
PLUGIN = '''\
"""A schedule that no host of the cluster has."""
'''


def test_a_study_is_submitted_followed_stopped_and_gone_on_with_from_elsewhere(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, _ = cluster_of(hosts, tmp_path, workers=2, dashboard=True)
    results = tmp_path / "shared"
    laptop = hosts.add("laptop")
    (laptop.disk / "home" / "travelling.py").write_text(PLUGIN)

    out = said(laptop, cluster, "submit", "studies/quickstart.yaml", *STUDY, "--results", str(results))
    assert "Submitted as vaestudy-quickstart-1." in out
    out = said(laptop, cluster, "submit", "studies/quickstart.yaml", *STUDY, "--results", str(results), code=5)
    assert "job vaestudy-quickstart-1 is " in out

    deadline = time.monotonic() + 300
    while sum(record.end is not None for record in runs_of(results / "quickstart").values()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    now = json.loads(said(laptop, cluster, "--json", "status", "quickstart"))
    assert now["state"] == "running"
    assert "Stopped" in said(laptop, cluster, "stop", "quickstart")
    assert "stopped; go on with: vaestudy resume" in said(laptop, cluster, "logs", "quickstart")
    assert "interrupted" in said(laptop, cluster, "status", "quickstart")

    assert "Submitted as vaestudy-quickstart-2." in said(laptop, cluster, "resume", "quickstart")
    assert "quickstart: complete" in said(laptop, cluster, "status", "quickstart", "--watch", seconds=600)
    check(results / "quickstart", results / "mlflow.db")
    monkeypatch.setenv("PYTHONPATH", f"{laptop.disk / 'home'}:{ROOT}")  # the plug-in is part of what a study is
    check_numbers(results / "quickstart", calm(tmp_path / "calm", *STUDY))


def test_a_study_that_fails_in_the_cluster_ends_with_its_own_exit_code(hosts: Hosts, tmp_path: Path) -> None:
    cluster, _ = cluster_of(hosts, tmp_path, workers=1, dashboard=True)
    laptop = hosts.add("laptop")
    place = ["--results", "/mnt/results", "--wait"]  # each host's own disk
    out = said(laptop, cluster, "submit", "studies/quickstart.yaml", *STUDY[:-1], *place, code=2)
    assert "job vaestudy-quickstart-1 is FAILED (exit code 2)" in out
    assert "is not the same folder on host worker1 of the cluster" in said(laptop, cluster, "logs", "quickstart")
    out = said(laptop, cluster, "submit", "studies/quickstart.yaml", "--results", "results", code=2)
    assert "expected an absolute path that every host of the cluster shares, got 'results'" in out
    assert "no study 'other' was submitted" in said(laptop, cluster, "status", "other", code=5)
