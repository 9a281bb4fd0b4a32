"""What Prometheus would read from a cluster on which a study runs."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.hosts import Host, Hosts, hosts
from tests.fixtures.ray_cluster import RayCluster, cluster_of
from tests.launched import FEW, SMALL, finished, runs_of
from vaestudy.execution import METRICS

__all__ = ["hosts"]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("ray_default"),
]

STUDY = [*SMALL, *FEW, "train.epochs=60", "resources.population=2"]
Labels = frozenset[tuple[str, str]]


def scraped(host: Host, cluster: RayCluster) -> dict[str, dict[Labels, float]]:
    """Our metrics as another host reads them from the cluster's head, without its token, by name and our labels."""
    code, text = host.run("curl", "--silent", "--fail", cluster.metrics)
    assert code == 0, text
    labels = {metric.served_as: metric.labels for metric in METRICS}
    found: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in labels:
                ours = frozenset((label, sample.labels[label]) for label in labels[sample.name])
                found[sample.name][ours] = sample.value
    return found


def by_state(now: dict[str, dict[Labels, float]]) -> dict[str, float]:
    """Runs of all cells."""
    totals: dict[str, float] = defaultdict(float)
    for labels, count in now["ray_vaestudy_runs"].items():
        totals[dict(labels)["state"]] += count
    return totals


def test_a_study_is_seen_from_its_first_run_to_its_last(hosts: Hosts, tmp_path: Path) -> None:
    cluster, _ = cluster_of(hosts, tmp_path, workers=1)
    prometheus = hosts.add("prometheus")
    driver = cluster.launch("studies/quickstart.yaml", *STUDY, results=tmp_path / "shared")
    seen = []
    while driver.poll() is None:
        if len(now := scraped(prometheus, cluster)) == len(METRICS):
            seen.append(now)
        time.sleep(0.5)
    finished(driver)

    records = runs_of(tmp_path / "shared" / "quickstart").values()
    ends = Counter(record.end.outcome for record in records if record.end and record.run.stage == "search")
    reruns = sum(record.run.stage in ("confirm", "sources") for record in records)
    last = by_state(seen[-1])
    assert {state: last[state] for state in ("done", "pruned", "diverged", "failed")} == {
        state: ends[state] for state in ("done", "pruned", "diverged", "failed")
    }
    assert (last["running"], last["confirmed"], last["planned"]) == (0, reruns, ends.total() + reruns)
    assert any(by_state(now)["running"] for now in seen)
    assert {by_state(now)["planned"] for now in seen} == {last["planned"]}

    study = frozenset({("study", "quickstart")})
    updates, missing = (
        [now[name][study] for now in seen] for name in ("ray_vaestudy_updates_total", "ray_vaestudy_spool_backlog_rows")
    )
    assert updates == sorted(updates)
    assert updates[-1] == sum(record.reports[-1].step for record in records)
    assert any(later < earlier for earlier, later in pairwise(missing)), missing
    assert all(now["ray_vaestudy_mlflow_lag_seconds"][study] >= 0 for now in seen)
    out, _ = finished(cluster.vaestudy("doctor", "quickstart", results=tmp_path / "shared"))
    assert out.startswith("quickstart: sound")
