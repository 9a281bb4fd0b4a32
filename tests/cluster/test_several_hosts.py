"""The default study on a cluster of real hosts with all that a group shares, one host killed halfway."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.mlflow_login import mlflow_on
from tests.fixtures.page import Walk, typing
from tests.fixtures.postgres import PASSWORD, postgres_on
from tests.fixtures.ray_cluster import cluster_of, trainers
from tests.launched import FEW, SMALL, calm, finished, runs_of, until

__all__ = ["hosts"]

STUDY = [*SMALL, *FEW, "train.epochs=100", "resources.population=2"]
RUNS = 22


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_the_default_study_on_two_workers_of_which_one_is_killed_halfway(hosts: Hosts, tmp_path: Path) -> None:
    cluster, (worker, dying) = cluster_of(hosts, tmp_path, workers=2)
    database = postgres_on(cluster.head, tmp_path)
    trials, runs = database.new_database(), database.new_database()
    mlflow = mlflow_on(cluster.head, tmp_path, store=database.address(runs))
    login = {"VAESTUDY_CREDENTIAL_TRIALS": database.address(trials), "VAESTUDY_CREDENTIAL_MLFLOW": mlflow.credential}

    study = tmp_path / "shared" / "quickstart"
    here = {
        "postgresql://trials:...@db.example.org/trials": shlex.quote(login["VAESTUDY_CREDENTIAL_TRIALS"]),
        "https://admin:...@mlflow.example.org": shlex.quote(login["VAESTUDY_CREDENTIAL_MLFLOW"]),
        "studies/quickstart.yaml": " ".join(["studies/quickstart.yaml", *STUDY]),
        "/shared/results": str(study.parent),
    }
    walk = Walk("From one laptop to a cluster", here)
    lines = [walk.take(beginning) for beginning in ("export ", "export ", "vaestudy launch ")]
    walk.end()
    driver = typing(cluster.head, "; ".join([*lines[:-1], f"exec {lines[-1]}"]), cluster.credentials)
    until(lambda: bool(trainers(worker) and trainers(dying)), driver)
    environments = [str(process.environ()) for host in (worker, dying) for process in trainers(host)]
    until(lambda: sum(record.end is not None for record in runs_of(study).values()) >= RUNS // 2, driver, seconds=600)
    hosts.kill(dying)
    finished(driver, seconds=600)

    assert len(runs_of(study)) == RUNS
    rows = check(study, lambda sql: database.ask(runs, sql), lambda sql: database.ask(trials, sql))
    assert rows > 1000
    assert not any(secret in text for secret in (PASSWORD, mlflow.password) for text in environments)
    check_numbers(study, calm(tmp_path / "calm", *STUDY))
    for table in ("comparison.csv", "runs.csv"):
        assert (study / "report" / table).exists()
    out, _ = finished(cluster.vaestudy("doctor", "quickstart", results=study.parent, env=login))
    assert out.startswith("quickstart: sound")
