"""docs/cluster.md's way with Compose, from nothing to exported tables, with what compose.yaml starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.page import Walk, typed
from tests.fixtures.services import Services
from tests.launched import FEW, SMALL

__all__ = ["hosts"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

RUN = "docker compose -f docker/compose.yaml run --rm study "
SERVICES = ("postgres", "mlflow", "head", "worker", "study")


def test_a_study_with_all_that_compose_starts_from_nothing_to_tables(hosts: Hosts, tmp_path: Path) -> None:
    services = Services(hosts, tmp_path, SERVICES)
    for name in SERVICES[:-1]:
        services.start(name)
    small = " ".join(["/studies/quickstart.yaml", *SMALL, *FEW, "resources.workers=2"])
    walk = Walk("2. One machine, all that a group shares: Compose", {"/studies/quickstart.yaml": small})
    study = services.hosts["study"]

    def run(line: str) -> str:
        line = line.removeprefix(RUN)
        return typed(study, services.command("study", *line.split()), services.environment("study"), seconds=400)

    assert "sgd" in run(walk.take(f"{RUN}launch"))
    assert "comparison.csv" in run(walk.take(f"{RUN}export"))
    walk.end()
    assert (services.folder("results") / "quickstart" / "report" / "comparison.csv").stat().st_size
    assert run("doctor quickstart --results /results").startswith("quickstart: sound")

    assert "Registered" not in services.hosts["mlflow"].log("mlflow")  # a job of the server's own
    credentials = {value for key, value in services.environment("study").items() if "CREDENTIAL" in key}
    assert len(credentials) == 2
    rays = [process for name in ("head", "worker", "study") for process in services.hosts[name].processes()]
    assert any("raylet" in process.name() for process in rays)
    held = [str(process.environ()) for process in rays]
    assert not any(credential in text for credential in credentials for text in held)
