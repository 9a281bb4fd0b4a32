"""docs/cluster.md's way with Kubernetes, from nothing to exported tables, as far as that goes without one.

kubectl builds what it would send. What KubeRay would start is started on hosts of their own: the cluster that stays,
beside PostgreSQL and MLflow, whose passwords its head alone has; and the cluster of a RayJob, whose job is handed to
its job server as the operator does that.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml

from tests.chaos.checkers import check
from tests.fixtures.docker_files import documents, of_kind
from tests.fixtures.hosts import Hosts, hosts
from tests.fixtures.page import Walk, typed
from tests.fixtures.ray_cluster import RayCluster
from tests.fixtures.services import Services
from tests.launched import FEW, SMALL

__all__ = ["hosts"]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("ray_default"),
]

EXECUTED = "kubectl -n vaestudy exec service/vaestudy-head-svc -- "
POST = (
    'curl --silent --show-error --fail --header "Authorization: Bearer $(cat {token})" --json @{job} {server}/api/jobs/'
)


def test_studies_under_kubernetes_from_nothing_to_tables(hosts: Hosts, tmp_path: Path) -> None:
    services = Services(hosts, tmp_path, ["postgres", "mlflow"])
    for name in services.hosts:
        services.start(name)
    lines = (services.docker / "kubernetes" / "credentials.env").read_text().splitlines()
    cluster = RayCluster(hosts.add("stays"), tmp_path, dashboard=True, env=dict(line.split("=", 1) for line in lines))
    cluster.join(hosts.add("worker"))
    results, own, manifests = tmp_path / "results", tmp_path / "own", tmp_path / "quickstart-job"
    here = {
        "kubectl apply -k docker/kubernetes": f"kubectl kustomize {services.docker / 'kubernetes'}",
        "studies/quickstart.yaml": " ".join(["studies/quickstart.yaml", *SMALL, *FEW]),
        "/results": str(results),
        EXECUTED: "",
        "--render quickstart-job": f"--render {manifests}",
        "kubectl create -k quickstart-job": f"kubectl kustomize {manifests}",
    }
    walk = Walk("3. Kubernetes", here)
    assert of_kind(documents(typed(cluster.head, walk.take("kubectl apply"))), "RayCluster")
    said = typed(cluster.head, walk.take("vaestudy submit"), cluster.credentials)
    assert "Submitted as vaestudy-quickstart-1." in said
    watch = walk.take("vaestudy status")
    assert "quickstart: complete" in typed(cluster.head, watch, cluster.credentials, seconds=600)
    export = walk.take(EXECUTED)
    assert str(results / "quickstart" / "report" / "comparison.csv") in typed(cluster.head, export).split()

    walk.here["/results"] = str(own)
    typed(cluster.head, walk.take("vaestudy submit"))
    made = documents(typed(cluster.head, walk.take("kubectl create")))
    looking = walk.take(EXECUTED)
    walk.end()
    (job,), (parcel,) = of_kind(made, "RayJob"), of_kind(made, "ConfigMap")
    (tmp_path / "parcel.zip").write_bytes(base64.b64decode(parcel["binaryData"]["parcel.zip"]))
    (tmp_path / "made").mkdir()
    fresh = RayCluster(hosts.add("made"), tmp_path / "made", dashboard=True)
    fresh.join(hosts.add("trains"))
    spec = job["spec"]
    posted = {
        "submission_id": spec["jobId"],
        "entrypoint": spec["entrypoint"],
        "runtime_env": yaml.safe_load(spec["runtimeEnvYAML"].replace("/study/", f"{tmp_path}/")),
        "metadata": spec["metadata"],
    }
    (tmp_path / "job.json").write_text(json.dumps(posted))
    post = POST.format(token=fresh.credentials["RAY_AUTH_TOKEN_PATH"], job=tmp_path / "job.json", server=fresh.jobs)
    typed(fresh.head, post)
    assert "quickstart: complete" in typed(fresh.head, watch, fresh.credentials, seconds=600)
    assert "quickstart: complete" in typed(cluster.head, looking)
    export = export.replace(str(results), str(own))
    assert str(own / "quickstart" / "report" / "comparison.csv") in typed(fresh.head, export).split()
    check(own / "quickstart", own / "mlflow.db")
