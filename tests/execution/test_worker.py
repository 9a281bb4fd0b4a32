"""A group of runs in training: what it tells the driver, whatever ends when."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from tests.execution.endless import common_of
from tests.tasks import digits_task, settings
from vaestudy.evaluation import Samples
from vaestudy.execution.jobs import Common, Job, News
from vaestudy.execution.worker import Group, data_at
from vaestudy.records import End, Report, Run

EPOCHS = 4


def group_of(folder: Path, runs: int) -> Group:
    """Confirmation runs under as many seeds."""
    common = common_of(folder, "cpu")
    chosen = settings(epochs=EPOCHS)
    jobs = [Job(Run(f"u{k}", "w/adam", "w", "adam", "confirm", 0, k + 1, {}), chosen, 1) for k in range(runs)]
    return Group(common, jobs, digits_task())


def test_confirmations_that_end_together_are_told_one_at_a_time_with_all_their_reports(tmp_path: Path) -> None:
    group = group_of(tmp_path, 3)
    told: dict[str, list[Report]] = defaultdict(list)
    ends: list[list[str]] = []
    while sum(map(len, ends)) < 3:
        news = group.step()
        for item in news:
            told[item.uid] += item.reports
        ends.append([item.uid for item in news if item.end is not None])
        assert len(ends) < 50
    assert max(map(len, ends)) == 1
    assert {uid: [report.epoch for report in reports] for uid, reports in told.items()} == {
        f"u{k}": list(range(EPOCHS + 1)) for k in range(3)
    }


def test_a_confirmed_run_ends_with_its_test_scores_whole_and_in_blocks(tmp_path: Path) -> None:
    group = group_of(tmp_path, 1)
    ends: list[End] = []
    while not ends:
        told = [News.load(json.loads(json.dumps(news.dump()))) for news in group.step()]
        ends = [news.end for news in told if news.end is not None]
    (end,) = ends
    for name in ("nelbo", "nll"):
        blocks = end.vectors[f"test/{name}_blocks"]
        assert len(blocks) == 100
        assert fmean(blocks) == pytest.approx(end.metrics[f"final/test_{name}"], rel=1e-12)


def test_what_jobs_share_reaches_the_worker_as_it_was(tmp_path: Path) -> None:
    sent = json.dumps(common_of(tmp_path, "cpu").dump())
    reached = Common.load(json.loads(sent))
    assert json.dumps(reached.dump()) == sent
    assert reached.samples == Samples(elbo=2, iwae=2, weight_draws=2)


def test_a_host_takes_its_own_data_unless_the_driver_was_told_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = common_of(tmp_path, "cpu")
    monkeypatch.setenv("VAESTUDY_DATA", str(tmp_path / "of this host"))
    places = [
        data_at(Common.load(json.loads(json.dumps(common.dump()))))
        for common in (told, replace(told, data_folder=None))
    ]
    assert places == [tmp_path, tmp_path / "of this host"]
