"""The default study on hosts that share no folder, only an object store; one host is killed halfway."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.fixtures.hosts import Host, Hosts, hosts
from tests.fixtures.object_store import ObjectStore, store_on
from tests.fixtures.page import Walk, typed, typing
from tests.fixtures.ray_cluster import RayCluster, said, trainers
from tests.launched import FEW, OFTEN, SMALL, calm, finished, runs_of, until

__all__ = ["hosts"]

STUDY = [*SMALL, *FEW, "train.epochs=100", "resources.population=2", *OFTEN]
RUNS = 22


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_a_killed_hosts_runs_go_on_elsewhere_from_what_it_had_sent(hosts: Hosts, tmp_path: Path) -> None:
    head, store = _head(hosts, tmp_path)
    cluster = RayCluster(head, tmp_path, env=store.environment)
    worker, dying = hosts.add("worker1"), hosts.add("worker2")
    cluster.join(worker, dying, env=store.environment)

    driver = cluster.launch("studies/quickstart.yaml", *STUDY, results=store.address)
    copies = head.disk / "home" / ".cache" / "vaestudy" / "results"
    until(lambda: bool(trainers(worker) and trainers(dying)), driver)
    until(lambda: bool(list(copies.glob("*/quickstart/runs/*/run.json"))), driver)
    (study,) = copies.glob("*/quickstart")
    until(lambda: sum(record.end is not None for record in runs_of(study).values()) >= RUNS // 2, driver, seconds=600)

    def half_done() -> bool:
        """Whether the host has sent a checkpoint of a run that has not ended."""
        sent = re.findall(rf"^{dying.address} .*PUT \S+/runs/(\w+)/\S+/manifest.json", head.log("moto"), re.M)
        return bool(sent) and runs_of(study)[sent[-1]].end is None

    until(half_done, driver)
    hosts.kill(dying)
    finished(driver, seconds=900)

    assert len(runs_of(study)) == RUNS
    assert check(study, study.parent / "mlflow.db") > 1000
    assert any(record.attempt > 1 for record in runs_of(study).values())
    fetched = [line for line in head.log("moto").splitlines() if "GET /" in line and "/state.pt" in line]
    assert any(line.startswith(worker.address) for line in fetched), "a checkpoint came from the store"
    assert list(study.rglob("checkpoint-*")) == []
    check_numbers(study, calm(tmp_path / "calm", *STUDY))
    confirmed = [record for record in runs_of(study).values() if record.end and "final/test_nll" in record.end.metrics]
    assert confirmed
    assert all(list((study / "runs" / record.run.uid).rglob("outputs.npz")) for record in confirmed)
    out, _ = finished(cluster.vaestudy("doctor", "quickstart", results=store.address))
    assert out.startswith("quickstart: sound")


@pytest.mark.cluster
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("ray_default")
def test_a_study_is_submitted_into_an_object_store_by_a_host_that_has_no_key(hosts: Hosts, tmp_path: Path) -> None:
    head, store = _head(hosts, tmp_path)
    cluster = RayCluster(head, tmp_path, dashboard=True, env=store.environment)
    worker, laptop = hosts.add("worker"), hosts.add("laptop")
    cluster.join(worker, env=store.environment)

    submitted = ["submit", "studies/quickstart.yaml", *SMALL, *FEW, "--results", store.address, "--wait"]
    said(laptop, cluster, *submitted, seconds=600)
    assert "quickstart: complete" in said(laptop, cluster, "status", "quickstart")
    askers = set(re.findall(r"^(\S+) .*/runs/", head.log("moto"), re.M))
    assert worker.address in askers
    assert laptop.address not in askers
    out, _ = finished(cluster.vaestudy("doctor", "quickstart", results=store.address))
    assert out.startswith("quickstart: sound")


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_a_host_without_the_stores_keys_is_named_before_anything_is_trained(hosts: Hosts, tmp_path: Path) -> None:
    head, store = _head(hosts, tmp_path)
    cluster = RayCluster(head, tmp_path, env=store.environment)
    stranger = hosts.add("stranger")
    cluster.join(stranger)
    _, said = finished(cluster.launch("studies/quickstart.yaml", *STUDY, results=store.address), code=4, seconds=300)
    assert "host stranger of the cluster has no part in the object store" in said
    assert "AWS_ENDPOINT_URL is not set there" in said
    assert "/runs/" not in head.log("moto")


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_a_study_in_an_object_store_from_nothing_to_tables(hosts: Hosts, tmp_path: Path) -> None:
    head, store = _head(hosts, tmp_path)
    laptop, worker = hosts.add("laptop"), hosts.add("worker")
    cluster = RayCluster(head, tmp_path)
    cluster.join(worker, env=store.environment)
    here = {
        **{
            f"{name}=...": f"{name}={store.environment[name]}"
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        },
        "https://s3.example.org": f"{store.endpoint} AWS_REGION={store.environment['AWS_REGION']}",
        "s3://group/studies": store.address,
        "studies/quickstart.yaml": " ".join(["studies/quickstart.yaml", *SMALL, *FEW, "train.epochs=90"]),
    }
    walk = Walk("No shared folder: an object store", here)
    keys = walk.take("export AWS") + "; "

    driver = typing(head, keys + "exec " + walk.take("vaestudy launch"), cluster.credentials)
    copies = head.disk / "home" / ".cache" / "vaestudy" / "results"
    until(lambda: any(ended(study) >= 3 for study in copies.glob("*/quickstart")), driver)
    watching = typing(laptop, keys + walk.take("vaestudy status"))
    assert "Stopped" in typed(laptop, keys + walk.take("vaestudy stop"))
    out, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130, out
    out, _ = watching.communicate(timeout=120)
    assert "quickstart: interrupted" in out
    typed(laptop, keys + walk.take("vaestudy resume"), seconds=600)
    written = [
        laptop.disk / path.removeprefix("/mnt/") for path in typed(laptop, keys + walk.take("vaestudy export")).split()
    ]
    assert "comparison.csv" in {path.name for path in written}
    assert all(path.stat().st_size for path in written)
    (study,) = (laptop.disk / "home" / ".cache" / "vaestudy" / "results").glob("*/quickstart")
    assert ended(study) == RUNS
    walk.end()


def ended(study: Path) -> int:
    return sum(record.end is not None for record in runs_of(study).values())


def _head(hosts: Hosts, folder: Path) -> tuple[Host, ObjectStore]:
    """A host with an object store that the others reach."""
    head = hosts.add("head")
    return head, store_on(head, folder)
