"""A study on hosts that speak TLS, Ray's, PostgreSQL's and MLflow's, and what those hear who do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.checkers import check
from tests.fixtures.certificates import Authority
from tests.fixtures.hosts import Host, Hosts, hosts
from tests.fixtures.mlflow_login import GuardedMlflow, mlflow_on
from tests.fixtures.postgres import Postgres, postgres_on
from tests.fixtures.ray_cluster import PORT, RayCluster, cluster_of
from tests.fixtures.strangers import ask, listening
from tests.launched import SMALL, finished, runs_of, until_recorded

__all__ = ["hosts"]

SHARED = ["storage.optuna=trials", "tracking.mlflow=mlflow"]
RUNS = 34
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
GRPC = (
    ALIVE,
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ObjectManagerService/FreeObjects",
    "/grpc.health.v1.Health/Check",
)
"""One call to each kind of Ray's servers, and one that they all know."""

IN_THE_CLEAR = {"GET /api/healthz", "POST /get_runtime_envs_info", "GET /metrics"}
"""What the HTTP servers of Ray's agents answer, which know no TLS: to the token alone, but for health and metrics."""

TALK = "import sys, psycopg; psycopg.connect(sys.argv[1]).execute('select 1')"


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_a_study_between_hosts_that_speak_tls(hosts: Hosts, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates")
    cluster, (worker,) = cluster_of(hosts, tmp_path, workers=1, authority=authority)
    stranger = hosts.add("stranger")
    database = postgres_on(cluster.head, tmp_path, authority)
    trials, runs = database.new_database(), database.new_database()
    mlflow = mlflow_on(cluster.head, tmp_path, database.address(runs), authority)
    env = {"VAESTUDY_CREDENTIAL_TRIALS": database.address(trials), "VAESTUDY_CREDENTIAL_MLFLOW": mlflow.credential}

    study = tmp_path / "shared" / "quickstart"
    launch = ("studies/quickstart.yaml", *SMALL, *SHARED)
    _, said = finished(cluster.launch(*launch, results=study.parent, env=env), code=4)
    assert "a certificate that is not trusted here; let MLFLOW_TRACKING_SERVER_CERT_PATH name its authority's" in said
    env["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(authority.certificate)
    driver = cluster.launch(*launch, results=study.parent, env=env)
    until_recorded(study, driver, runs=1)
    _nobody_is_heard_by_ray_without_tls(stranger, cluster, worker, tmp_path)
    _nobody_is_heard_by_postgresql_without_tls(stranger, database, trials)
    _nobody_is_heard_by_mlflow_without_tls(stranger, mlflow, authority)
    finished(driver)

    assert len(runs_of(study)) == RUNS
    assert check(study, lambda sql: database.ask(runs, sql), lambda sql: database.ask(trials, sql)) > 500


def _nobody_is_heard_by_ray_without_tls(stranger: Host, cluster: RayCluster, worker: Host, folder: Path) -> None:
    """Not with the token either; and with TLS, not without a certificate."""
    token = Path(cluster.credentials["RAY_AUTH_TOKEN_PATH"]).read_text()
    ports = [(host.address, port) for host in (cluster.head, worker) for port in listening(host)]
    assert (cluster.head.address, PORT) in ports
    answered = {call for (_, _, call), status in ask(stranger, folder, ports, GRPC, token).items() if status is not None}
    assert answered == set()
