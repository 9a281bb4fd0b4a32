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
from tests.launched import FEW, SMALL, finished, runs_of, until_recorded

__all__ = ["hosts"]

SHARED = ["storage.optuna=trials", "tracking.mlflow=mlflow"]
RUNS = 22
GRPC = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/grpc.health.v1.Health/Check",
)
"""One call to each kind of Ray's servers, and one that they all know."""

IN_THE_CLEAR = ("POST /get_runtime_envs_info", "GET /api/healthz", "GET /metrics")
"""Of the HTTP servers of Ray's agents, which know no TLS."""

WITH_TLS = """
import ssl, sys
from tests.chaos.stranger import grpc_status
address, port, call, token, authority, *own = sys.argv[1:]
tls = ssl.create_default_context(cafile=authority)
tls.set_alpn_protocols(["h2"])
if own:
    tls.load_cert_chain(*own)
print(grpc_status(address, int(port), call, token, tls))
"""
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
    launch = ("studies/quickstart.yaml", *SMALL, *FEW, *SHARED)
    _, said = finished(cluster.launch(*launch, results=study.parent, env=env), code=4)
    assert "a certificate that is not trusted here; let MLFLOW_TRACKING_SERVER_CERT_PATH name its authority's" in said
    env["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(authority.certificate)
    driver = cluster.launch(*launch, results=study.parent, env=env)
    until_recorded(study, driver, runs=1)
    _nobody_is_heard_by_ray_without_tls(stranger, cluster, worker, authority, tmp_path)
    _nobody_is_heard_by_postgresql_without_tls(stranger, database, trials)
    _nobody_is_heard_by_mlflow_without_tls(stranger, mlflow, authority)
    finished(driver)

    assert len(runs_of(study)) == RUNS
    assert check(study, lambda sql: database.ask(runs, sql), lambda sql: database.ask(trials, sql)) > 500


def _nobody_is_heard_by_ray_without_tls(
    stranger: Host, cluster: RayCluster, worker: Host, authority: Authority, folder: Path
) -> None:
    """Not with the token either, but for the agents' HTTP; and with TLS not without the authority's certificate."""
    token = Path(cluster.credentials["RAY_AUTH_TOKEN_PATH"]).read_text()
    ports = [(host.address, port) for host in (cluster.head, worker) for port in listening(host)]
    answers = ask(stranger, folder, ports, [*GRPC, *IN_THE_CLEAR], token)
    assert (cluster.head.address, PORT, GRPC[0]) in answers
    answered = {
        call for (_, _, call), status in answers.items() if status == 200 or (call in GRPC and status is not None)
    }
    assert "POST /get_runtime_envs_info" in answered
    assert answered <= set(IN_THE_CLEAR)

    ours, others = authority.issue("us", stranger.address), Authority(folder / "others").issue("us", stranger.address)
    question = [cluster.head.address, str(PORT), GRPC[0], token, str(authority.certificate)]
    for own, heard in (([], None), ([others.certificate, others.key], None), ([ours.certificate, ours.key], 0)):
        code, said = stranger.run(sys.executable, "-c", WITH_TLS, *question, *map(str, own))
        assert (code, said.strip()) == (0, str(heard))


def _nobody_is_heard_by_postgresql_without_tls(stranger: Host, database: Postgres, name: str) -> None:
    address = database.address(name).replace("postgresql+psycopg:", "postgresql:")
    code, said = stranger.run(sys.executable, "-c", TALK, address)
    assert code == 0, said
    code, said = stranger.run(sys.executable, "-c", TALK, address.replace("verify-full", "disable"))
    assert code != 0
    assert "no encryption" in said


def _nobody_is_heard_by_mlflow_without_tls(stranger: Host, mlflow: GuardedMlflow, authority: Authority) -> None:
    health = f"{mlflow.address}/health"
    asked = ["curl", "--silent", "--show-error", "--fail"]
    code, said = stranger.run(*asked, "--cacert", str(authority.certificate), health)
    assert (code, said) == (0, "OK")
    code, said = stranger.run(*asked, health.replace("https:", "http:"))
    assert code != 0
    assert "Empty reply" in said
