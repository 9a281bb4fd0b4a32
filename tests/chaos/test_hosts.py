"""Hosts that die or are cut off while a study trains on them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos.checkers import check, check_numbers
from tests.chaos.ledger import Ledger
from tests.fixtures.hosts import Host, Hosts, hosts
from tests.fixtures.ray_cluster import cluster_of, trainers
from tests.launched import SMALL, calm, finished, runs_of, until, vaestudy
from vaestudy.records import RunRecord, attempt_folder
from vaestudy.spools import read_spool

__all__ = ["hosts"]

EPOCHS = 200
STAGES = ["--stage", "search", "--stage", "confirm"]
STUDY = [
    *SMALL,
    "search.trials=2",
    "confirm.seeds=1",
    f"train.epochs={EPOCHS}",
    "budget.checkpoint_seconds=0",
]
"""Twelve runs of about 6 s each; a worker saves before each of its messages."""

RUNS = 12
LEFT = 4
"""At least so many runs wait for the host that comes back, however fast the machine is."""

CUT_SECONDS = 40.0
LONGEST = 600.0
"""Seconds for a study on a machine that has much else to do."""


@pytest.mark.chaos
@pytest.mark.timeout(1500)
@pytest.mark.bar("R14", "of 3 hosts one is killed, one cut off for 40 s, healed, and joins again")
def test_r14_a_study_survives_a_host_that_dies_and_one_that_is_cut_off(
    hosts: Hosts, ledger: Ledger, tmp_path: Path
) -> None:
    study = tmp_path / "shared" / "quickstart"
    cluster, (dying, cut_off, spared) = cluster_of(hosts, tmp_path, workers=3)
    driver = cluster.launch("studies/quickstart.yaml", *STUDY, *STAGES, results=study.parent)

    _until_in_mid_run(study, driver, runs=3)
    hosts.kill(dying)
    ledger.figures["killed: runs go on after"] = f"{_until_tried_again(study, driver, times=1):.0f} s"
    ledger.met += 1

    _until_in_mid_run(study, driver, runs=2)
    frozen = _cut_and_heal(hosts, cut_off, spared, study, driver, ledger)
    cluster.wait_until_left(cut_off)
    cluster.join(cut_off)
    ended = _ended(study)
    until(lambda: _ended(study) > ended, driver)  # by the host that came back: nobody else works
    _thaw(frozen)
    finished(driver, seconds=LONGEST)

    tried_again = [record for record in runs_of(study).values() if record.attempt > 1]
    ledger.figures["runs tried again"] = len(tried_again)
    ledger.figures["reports redone"] = sum(_redone(study, record) for record in tried_again)
    assert ledger.figures["reports redone"] == 0, "all that a worker told it had saved before"
    ledger.figures["rows checked"] = check(study, study.parent / "mlflow.db")
    check_numbers(study, calm(tmp_path / "calm", *STUDY, *STAGES))
    _nobody_reads_old_attempts(study, tried_again)


def _cut_and_heal(
    hosts: Hosts, host: Host, spared: Host, study: Path, driver: subprocess.Popen[str], ledger: Ledger
) -> list[psutil.Process]:
    """Cuts a host off; its worker, frozen meanwhile, writes once more when others have its run.

    Returns the workers of the spared host, frozen so that something is left to do when the other comes back.
    """
    stale, ended = trainers(host), _ended(study)
    hosts.cut(host)
    _freeze(stale)
    began = time.monotonic()
    ledger.figures["cut off: after"] = f"{_until_tried_again(study, driver, times=2):.0f} s"
    ledger.met += 1
    while time.monotonic() - began < CUT_SECONDS and _ended(study) < RUNS - LEFT:
        time.sleep(0.1)
    until(lambda: _ended(study) > ended, driver)  # the study goes on meanwhile
    waiting = trainers(spared)
    _freeze(waiting)
    time.sleep(max(0.0, CUT_SECONDS - (time.monotonic() - began)))
    _thaw(stale)
    until(lambda: bool(_written_late(study)), driver)
    ledger.figures["written late by the cut host"] = len(_written_late(study))
    hosts.heal(host)
    return waiting


def _freeze(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.suspend()


def _thaw(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.resume()


def _ended(study: Path) -> int:
    return sum(record.end is not None for record in runs_of(study).values())


def _until_in_mid_run(study: Path, driver: subprocess.Popen[str], runs: int) -> None:
    """Waits until so many runs have begun and have a third of their epochs or more before them."""

    def now() -> bool:
        live = [record for record in runs_of(study).values() if not record.end and record.reports]
        return sum(record.reports[-1].epoch <= 2 / 3 * EPOCHS for record in live) >= runs

    until(lambda: study.exists() and now(), driver)


def _until_tried_again(study: Path, driver: subprocess.Popen[str], times: int) -> float:
    """Waits until runs have been tried again so often in all; seconds."""
    start = time.monotonic()
    until(lambda: sum(record.attempt - 1 for record in runs_of(study).values()) >= times, driver)
    return time.monotonic() - start


def _old_attempts(study: Path, record: RunRecord) -> list[Path]:
    return [attempt_folder(study, record.run.uid, number) for number in range(1, record.attempt)]


def _written_late(study: Path) -> list[Path]:
    """The checkpoints that old attempts wrote after a newer one had begun."""
    return [
        path
        for record in runs_of(study).values()
        for folder in _old_attempts(study, record)
        for path in folder.glob("checkpoint-*/manifest.json")
        if path.stat().st_mtime > record.started
    ]


def _redone(study: Path, record: RunRecord) -> int:
    """How many reports of old attempts the last one measured again; what it takes over keeps its time."""
    believed = {report.step: report.time for report in record.reports}
    told: dict[int, float] = {}
    for folder in _old_attempts(study, record):
        events = list(read_spool(folder / "spool.jsonl"))
        assert [event["kind"] for event in events if event["kind"] == "end"] == []
        assert (folder / "spool.jsonl").stat().st_mtime <= record.started
        told |= {event["step"]: event["time"] for event in events if event["kind"] == "report"}
    return sum(believed[step] != measured for step, measured in told.items())


def _nobody_reads_old_attempts(study: Path, tried_again: list[RunRecord]) -> None:
    """Spoils the records and pictures of old attempts; the tables come out the same."""
    tables = {path: path.read_bytes() for path in (study / "report").glob("*.csv")}
    assert tables
    for record in tried_again:
        for folder in _old_attempts(study, record):
            (folder / "spool.jsonl").write_text("spoiled\n" * 3)
            (folder / "outputs.npz").write_text("spoiled")
    finished(vaestudy("export", "quickstart", results=study.parent))
    assert {path: path.read_bytes() for path in tables} == tables
