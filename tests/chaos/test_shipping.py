"""MLflow killed, away, slow and deaf while a real shipper process sends: no row lost, none twice, training unmoved."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.shipping import COMMAND, report_of_ten, runs, stored, study_at, together, wait_for, write
from tests.tasks import digits_task, settings
from tests.tracking.conftest import Server, Shelf, expected_rows, store_uri
from tests.tracking.proxy import LossyProxy
from vaestudy.errors import ServiceError
from vaestudy.execution.worker import NEWS_SECONDS
from vaestudy.records import Report, Spool
from vaestudy.seeding import Seeds
from vaestudy.spec import study_hash
from vaestudy.study.folder import StudyFolder
from vaestudy.study.ship import ShipperProcess
from vaestudy.tracking import Shipper, preflight
from vaestudy.trainer import Trainer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RESTARTS, OUTAGE_SECONDS = 10, 120.0
RUNS, EPOCHS, EPOCH_SECONDS = 24, 62, 5.0
"""More than 10,000 rows, written for as long as the server is killed."""

WRITERS, REPORTS, REPORT_SECONDS = 16, 12, 5.0
"""Ten metrics every 5 s for a minute, from each of 16 runs."""

ROUNDS, ROUND_SECONDS, TRIES = 5, 4.0, 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server and its results folder."""
    results = tmp_path_factory.mktemp("results")
    preflight(store_uri(results))
    running = Server(results)
    yield running
    running.kill()


def shelf_of(folder: StudyFolder) -> Shelf:
    return Shelf(folder.path.parent / "mlflow.db", folder.name)


def kill_in_mid_ship(server: Server, folder: StudyFolder, ledger: Ledger, seconds: float) -> None:
    """Kills the server while rows arrive; it is back after so long."""
    before = stored(shelf_of(folder))
    wait_for(lambda: stored(shelf_of(folder)) > before, 90, folder)
    server.kill()
    ledger.met += 1
    time.sleep(seconds)
    server.start()


@pytest.mark.timeout(900)
@pytest.mark.bar("R3", "MLflow server killed -9 in mid ship and restarted 10 times, and away for 120 s")
def test_r3_a_server_that_comes_and_goes_gets_every_row_once(ledger: Ledger, server: Server) -> None:
    study, folder = study_at(server.address, server.results, "restarts")
    quiet = threading.Event()
    with folder.lock(), ShipperProcess.start(study, folder, COMMAND) as shipper:
        (writer,) = together([partial(write, folder.path, runs(RUNS), EPOCHS, lambda: quiet.wait(EPOCH_SECONDS))])
        for number in range(RESTARTS + 1):
            kill_in_mid_ship(server, folder, ledger, OUTAGE_SECONDS if number == RESTARTS // 2 else 0.0)
        quiet.set()
        writer.join()
        expected = expected_rows(folder.path)
        caught_up = wait_for(lambda: stored(shelf_of(folder)) >= expected.total(), 120, folder)
        shipper.finish()
    found = shelf_of(folder).rows()
    lost, doubled = (expected - found).total(), (found - expected).total()
    ledger.figures |= {"rows": expected.total(), "lost": lost, "doubled": doubled}
    ledger.figures |= {"caught up after": f"{caught_up:.0f} s"}
    assert expected.total() >= 10_000
    assert (lost, doubled) == (0, 0)
    assert not shipper.behind
    assert len(shelf_of(folder).runs()) == RUNS + 1
    assert "RUNNING" not in shelf_of(folder).runs().values()


@pytest.mark.timeout(900)
@pytest.mark.bar("R3", "30 % of MLflow's replies lost")
def test_r3_lost_replies_double_no_run(ledger: Ledger, server: Server) -> None:
    study, folder = study_at(server.address, server.results, "lost-replies")
    write(folder.path, runs(RUNS), 3, lambda: None)
    proxy = LossyProxy(server.port, share=0.3, seed=1)

    def shipper(address: str) -> Shipper:
        return Shipper(
            study,
            study_hash(study),
            folder.path,
            address,
            command=COMMAND,
            run_figures=lambda record, attempt: {},
            study_files=lambda path: {},
            answers=lambda path: [],
        )

    lossy, passes = shipper(proxy.address), 0
    while stored(shelf_of(folder)) < expected_rows(folder.path).total():
        passes += 1
        with suppress(ServiceError):
            lossy.ship()
    proxy.close()
    shipper(server.address).finish()
    ledger.met = proxy.cut
    names = shelf_of(folder).runs()
    found, expected = shelf_of(folder).rows(), expected_rows(folder.path)
    lost, doubled = (expected - found).total(), (found - expected).total()
    ledger.figures |= {"replies": proxy.replies, "passes": passes, "rows": expected.total()}
    ledger.figures |= {"lost": lost, "doubled": doubled}
    assert (lost, doubled) == (0, 0)
    assert len(names) == RUNS + 1


def report_for_a_minute(folder: StudyFolder, number: int) -> None:
    plan = runs(WRITERS)[number]
    spool = Spool(folder.path, plan, 1, time.time())
    for epoch in range(1, REPORTS + 1):
        spool.report(report_of_ten(plan, epoch))
        time.sleep(REPORT_SECONDS)
    spool.close()


@pytest.mark.timeout(300)
@pytest.mark.alone
@pytest.mark.bar("R3", "16 runs that report 10 metrics every 5 s for a minute")
def test_r3_the_shipper_keeps_up_with_sixteen_runs(ledger: Ledger, server: Server) -> None:
    study, folder = study_at(server.address, server.results, "load")
    with folder.lock(), ShipperProcess.start(study, folder, COMMAND) as shipper:
        writers = together([partial(report_for_a_minute, folder, number) for number in range(WRITERS)])
        for writer in writers:
            writer.join()
        expected = expected_rows(folder.path)
        late = wait_for(lambda: stored(shelf_of(folder)) >= expected.total(), 10, folder)
        shipper.finish()
    assert shelf_of(folder).rows() == expected
    ledger.met = WRITERS
    ledger.figures |= {"rows": expected.total(), "the last was there after": f"{late:.1f} s"}


def timed_round(trainer: Trainer, spool: Spool, seconds: float) -> tuple[list[float], float]:
    """Trains update by update for so long, and spools what a worker would send, once in ``NEWS_SECONDS``: seconds of
    each update, and the share of the time that spooling took."""
    steps: list[float] = []
    waiting: list[Report] = []
    spooling, start = 0.0, time.perf_counter()
    sent = start
    while (began := time.perf_counter()) - start < seconds:
        (progress,) = trainer.run(0.0)
        done = time.perf_counter()
        if not progress.reports:
            steps.append(done - began)
        waiting += progress.reports
        if done - sent >= NEWS_SECONDS:
            spool.report(*waiting)
            waiting, sent = [], time.perf_counter()
            spooling += sent - done
    return steps, spooling / (time.perf_counter() - start)


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


@pytest.mark.timeout(300)
@pytest.mark.alone
@pytest.mark.bar("R4", "MLflow takes connections and never answers")
def test_r4_training_does_not_feel_whether_mlflow_lives(ledger: Ledger, server: Server) -> None:
    trainer = Trainer(digits_task(), "adam", evaluation_seed=0)
    trainer.admit("run", Seeds.same(1), settings(epochs=100_000))
    (plan,) = runs(1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        alive, alive_folder = study_at(server.address, server.results, "alive")
        dead, dead_folder = study_at(f"http://127.0.0.1:{deaf.getsockname()[1]}", server.results, "dead")
        with (
            alive_folder.lock(),
            dead_folder.lock(),
            ShipperProcess.start(alive, alive_folder, COMMAND),
            ShipperProcess.start(dead, dead_folder, COMMAND),
        ):
            spools = [Spool(folder.path, plan, 1, time.time()) for folder in (alive_folder, dead_folder)]
            timed_round(trainer, spools[0], 2 * ROUND_SECONDS)
            timed_round(trainer, spools[1], 2 * ROUND_SECONDS)
            for tried in range(1, TRIES + 1):  # noise of the machine must not count
                rounds = [[timed_round(trainer, spool, ROUND_SECONDS) for spool in spools] for _ in range(ROUNDS)]
                ratio = statistics.median(p99(dead) / p99(alive) for (alive, _), (dead, _) in rounds)
                share = statistics.median(share for _, (_, share) in rounds)
                ledger.figures |= {"step p99, dead / alive": f"{ratio:.2f}", "spool / epoch time": f"{share:.2%}"}
                ledger.figures["tries"] = tried
                if ratio <= 1.1 and share <= 0.01:
                    break
            wait_for(lambda: stored(shelf_of(alive_folder)) > 0, 60, alive_folder)
    ledger.met = (dead_folder.path / "shipper.log").read_text().count("does not answer")
    assert ratio <= 1.1
    assert share <= 0.01
