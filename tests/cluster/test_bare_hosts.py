"""docs/cluster.md's first way, from nothing to exported tables, each command as it stands there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check
from tests.fixtures.hosts import Hosts, hosts, tunnel
from tests.fixtures.page import Walk, typed, typing
from tests.launched import SMALL, runs_of

__all__ = ["hosts"]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("ray_default"),
]

METHODS = 4
TOKEN = Path("home", ".ray", "auth_token")


def test_a_study_on_bare_hosts_from_nothing_to_tables(hosts: Hosts, tmp_path: Path) -> None:
    results = tmp_path / "shared"
    small = " ".join([*SMALL, "train.epochs=100", "resources.workers=2"])
    here = {
        "studies/quickstart.yaml": f"studies/quickstart.yaml {small}",
        "/shared/results": str(results),
        "--add-trials 8": "--add-trials 1",
    }
    walk = Walk("1. Bare hosts", here)
    head, *others = [hosts.add(name) for name in ("head", "worker1", "worker2", "laptop")]
    laptop = others[-1]

    typed(head, walk.take("(umask 077; mkdir"))
    assert (head.disk / TOKEN).stat().st_mode & 0o777 == 0o600
    for host in others:
        (host.disk / TOKEN).parent.mkdir()
        shutil.copy(head.disk / TOKEN, host.disk / TOKEN)
    token = walk.take("export RAY_AUTH_MODE") + "; "
    typed(head, token + walk.take("ray start --head"))
    join = token + walk.take("ray start --address")
    for host in others[:-1]:
        typed(host, join)

    tunnel(laptop, head, 8265, tmp_path)
    said = typed(laptop, token + walk.take("vaestudy submit"))
    assert "Submitted as vaestudy-quickstart-1." in said
    wait_for_runs(results / "quickstart", 2)
    watch = token + walk.take("vaestudy status")
    watching = typing(laptop, watch)
    assert "quickstart" in typed(laptop, token + walk.take("vaestudy logs"))
    assert "Stopped" in typed(laptop, token + walk.take("vaestudy stop"))
    out, _ = watching.communicate(timeout=120)
    assert "quickstart: interrupted" in out
    assert "Submitted as vaestudy-quickstart-2." in typed(laptop, token + walk.take("vaestudy resume"))
    assert "quickstart: complete" in typed(laptop, watch, seconds=600)

    written = typed(head, walk.take("vaestudy export")).split()
    assert str(results / "quickstart" / "report" / "comparison.csv") in written
    assert all(Path(path).stat().st_size for path in written)
    check(results / "quickstart", results / "mlflow.db")
    assert sum(record.run.stage == "search" for record in runs_of(results / "quickstart").values()) == METHODS * 4
    walk.end()


def wait_for_runs(study: Path, ended: int) -> None:
    """Waits until so many runs of a study have ended."""
    deadline = time.monotonic() + 300
    while sum(record.end is not None for record in runs_of(study).values()) < ended:
        assert time.monotonic() < deadline
        time.sleep(0.5)
