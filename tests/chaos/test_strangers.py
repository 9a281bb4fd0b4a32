"""What a host without the token gets from a Ray cluster that works on a study, and without the password from MLflow."""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from tests.chaos.ledger import Ledger
from tests.chaos.stranger import UNAUTHENTICATED, UNIMPLEMENTED
from tests.fixtures.hosts import Host, Hosts, hosts
from tests.fixtures.mlflow_login import USER, GuardedMlflow
from tests.fixtures.ray_cluster import DASHBOARD, RayCluster, cluster_of
from tests.fixtures.strangers import ask, listening
from tests.launched import SMALL, runs_of, until, until_recorded

__all__ = ["hosts"]

RAY = Path(ray.__file__).parent
HARMLESS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "POST /get_runtime_envs_info",
)
"""One call to each kind of server, which must answer whoever has the token."""

PUBLIC = ("/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
"""Answered to anybody: that a server is up, and the names of its services."""

PUBLIC_PAGES = (
    "GET /",
    "GET /favicon.ico",
    "GET /static/x",
    "GET /api/authentication_mode",
    "GET /api/healthz",
    "GET /api/gcs_healthz",
    "GET /api/local_raylet_healthz",
)
"""Of the dashboard and the agents, answered to anybody: the program of the pages, which is the same in every Ray and
shows nothing without a token, that tokens are asked for, and that a server is up."""

NOWHERE = "GET /nowhere"
"""Answered by those servers alone that give Prometheus their numbers, whatever the path."""

OURS = ("GET /api/2.0/mlflow/experiments/get?experiment_id=0", "GET /api/2.0/mlflow/users/list")
"""What whoever has the password may ask."""

OPEN_ROUTES = ("GET /health", "GET /api/3.0/mlflow/server-info", "GET /ajax-api/3.0/mlflow/server-info")
"""Answered to anybody: that a server is up, and which kind of store it has."""

REFUSED = (None, UNIMPLEMENTED, UNAUTHENTICATED, 401, 403, 404, 405)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("ray_default")
@pytest.mark.bar("R19", "every port of a Ray cluster asked for every call from a host without its token")
def test_r19_a_stranger_on_the_network_can_call_nothing_of_ray(hosts: Hosts, ledger: Ledger, tmp_path: Path) -> None:
    cluster, (worker,) = cluster_of(hosts, tmp_path, workers=1, dashboard=True)
    stranger = hosts.add("stranger")
    study = tmp_path / "results" / "quickstart"
    driver = cluster.launch("studies/quickstart.yaml", *SMALL, "train.epochs=5000", results=study.parent)
    until_recorded(study, driver, runs=1)

    ports = [(host.address, port) for host in (cluster.head, worker) for port in listening(host)]
    assert (cluster.head.address, DASHBOARD) in ports
    calls = sorted({*_grpc_methods(), *PUBLIC, *_http_requests(), *_registered(cluster.head), *PUBLIC_PAGES, NOWHERE})
    token = Path(cluster.credentials["RAY_AUTH_TOKEN_PATH"]).read_text()
    known = ask(stranger, tmp_path, ports, HARMLESS, token)
    done = {call for (_, _, call), status in known.items() if status in (0, 200)}
    assert done == set(HARMLESS), "with the token the same questions are answered"

    ledger.figures |= {"ports": len(ports), "calls each": len(calls)}
    allowed = {*PUBLIC, *PUBLIC_PAGES}
    for wrong in (None, secrets.token_hex(32)):
        answers = ask(stranger, tmp_path, ports, calls, wrong)
        accepted = {question: status for question, status in answers.items() if status not in REFUSED}
        for address, port in [(address, port) for address, port, call in accepted if call == NOWHERE]:
            _tells_numbers_alone(stranger, f"http://{address}:{port}")
            accepted = {question: accepted[question] for question in accepted if question[:2] != (address, port)}
        ledger.none("done but what docs/security.md names", [asked for asked in accepted if asked[2] not in allowed])
        ledger.met += len(answers)
    _nobody_joins(stranger, cluster)

    steps = _steps(study)
    until(lambda: _steps(study) > steps, driver)  # nobody was hurt
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.bar("R19", "every route of MLflow's server asked from a host without its password")
def test_r19_a_stranger_on_the_network_can_call_nothing_of_mlflow(hosts: Hosts, ledger: Ledger, tmp_path: Path) -> None:
    head, stranger = hosts.add("head"), hosts.add("stranger")
    password = secrets.token_hex(12)
    server = GuardedMlflow(
        tmp_path / "mlflow", password, head.address, 5000, lambda command, env: head.serve("mlflow", *command, env=env)
    )
    at = [(head.address, server.port)]

    def up() -> bool:
        return ask(stranger, tmp_path, at, ["GET /health"], None) == {(*at[0], "GET /health"): 200}

    server.wait(up)
    routes = _mlflow_routes(tmp_path)
    known = ask(stranger, tmp_path, at, OURS, _basic(USER, password))
    assert set(known.values()) == {200}, "with the password they are answered"
    ledger.figures["routes"] = len(routes)
    for login in (None, _basic(USER, secrets.token_hex(12)), _basic("", "")):
        answers = ask(stranger, tmp_path, at, routes, login)
        accepted = {call: status for (_, _, call), status in answers.items() if status not in REFUSED}
        ledger.none("done but health and kind of store", [call for call in accepted if call not in OPEN_ROUTES])
        ledger.met += len(answers)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _mlflow_routes(folder: Path) -> list[str]:
    """Every route of MLflow's server, some name in the place of a parameter."""
    listing = (
        "from mlflow.server.auth import create_app; from mlflow.server import app; from mlflow.server.fastapi_app "
        "import create_fastapi_app; create_app(); rules = [(r.methods, r.rule) for r in app.url_map.iter_rules()]; "
        "rules += [(r.methods, r.path) for r in create_fastapi_app().routes if getattr(r, 'methods', None)]; "
        "print(*sorted({f'{m} {p}' for ms, p in rules for m in ms - {'HEAD', 'OPTIONS'}}), sep='\\n')"
    )
    settings = folder / "mlflow" / "login.ini"
    env = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": "not asked for",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "x",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'routes.db'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", listing], env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    found = [re.sub(r"<.*?>|{.*?}", "x", line) for line in done.stdout.splitlines() if line.split(" ")[0].isupper()]
    assert len(found) > 400
    return found


def _grpc_methods() -> list[str]:
    """Every gRPC call that Ray's programs know by name."""
    programs = [RAY / "core/src/ray/raylet/raylet", RAY / "core/src/ray/gcs/gcs_server", *RAY.glob("_raylet*.so")]
    programs += (RAY / "core" / "generated").glob("*_pb2_grpc.py")
    named = {name for path in programs for name in re.findall(rb"/ray\.rpc\.[A-Za-z.]+/[A-Za-z]+", path.read_bytes())}
    assert len(named) > 100
    return sorted(name.decode() for name in named)


def _http_requests() -> list[str]:
    """Every HTTP route of Ray's dashboard and agents, some name in the place of a parameter."""
    route = re.compile(r"(?:routes\.|router\.add_)(get|post|put|delete)\(\s*f?[\"'](/[^\"'?]*)")
    sources = [*(RAY / "dashboard").rglob("*.py"), *(RAY / "_private" / "runtime_env").rglob("*.py")]
    found = {(verb, path) for source in sources for verb, path in route.findall(source.read_text())}
    assert ("post", "/get_or_create_runtime_env") in found
    return sorted(f"{verb.upper()} {re.sub(r'{.*?}', 'x', path)}" for verb, path in found)


def _registered(head: Host) -> list[str]:
    """Every HTTP route that the running dashboard says it has, some name in the place of a parameter."""
    (log,) = (head.disk / "tmp" / "ray").glob("session_*_*/logs/dashboard.log")
    found = re.findall(r"Route \[([A-Z]+)\] <\w+ +(/[^ >]*)", log.read_text())
    assert len(found) > 50
    return sorted({f"{verb} {re.sub(r'{.*?}', 'x', path)}" for verb, path in found})


def _tells_numbers_alone(stranger: Host, server: str) -> None:
    """A server tells Prometheus its numbers, at every path and by reading alone."""
    for path in ("/", "/nodes", "/api/jobs/"):
        code, said = stranger.run("curl", "--silent", "--fail", f"{server}{path}")
        assert code == 0
        assert all(re.match(r"# (HELP|TYPE) |[a-z_:]+(\{.*\})? [-+0-9.eEInfNa]+$", line) for line in said.splitlines())


def _nobody_joins(stranger: Host, cluster: RayCluster) -> None:
    """Neither as a driver nor as a host that would be given work."""
    drive = [sys.executable, "-c", f"import ray; ray.init({cluster.address!r})"]
    join = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={cluster.address}"]
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    tried = [stranger.popen(*do, env=env) for do in (drive, join) for env in ({"RAY_AUTH_MODE": "disabled"}, wrong)]
    for process in tried:
        _, err = process.communicate(timeout=120)
        assert process.returncode != 0
        assert "InvalidAuthToken" in err
    assert stranger.processes() == []


def _steps(study: Path) -> int:
    return sum(record.reports[-1].step for record in runs_of(study).values() if record.reports)
