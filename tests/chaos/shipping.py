"""A made-up study whose runs are written through real spools while a real shipper process sends them to MLflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking import synthetic
from tests.tracking.conftest import Shelf
from vaestudy.records import Report, Run, Spool
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder

METHODS = ("adam", "sgd")
COMMAND = "vaestudy launch study.yaml"


def study_at(address: str, results: Path, name: str) -> tuple[Study, StudyFolder]:
    """A study that is shown at an address, and its folder."""
    methods = {method: {"optimizer": method, "search": {"lr": {"log": [1e-9, 1.0]}}} for method in METHODS}
    study = synthetic.study(name, methods=methods, tracking={"mlflow": address})
    folder = StudyFolder(results / name)
    folder.make()
    folder.write(study)
    return study, folder


def runs(count: int) -> list[Run]:
    """So many trials, half of each method."""
    return [synthetic.run(METHODS[number % 2], number // 2) for number in range(count)]


def write(folder: Path, plans: Sequence[Run], epochs: int, pause: Callable[[], object], *, ends: bool = True) -> None:
    """Spools runs side by side, an epoch of each at a time, with a pause after each epoch."""
    spools = [Spool(folder, plan, 1, synthetic.BEGAN) for plan in plans]
    for epoch in range(epochs + 1):
        for spool, plan in zip(spools, plans, strict=True):
            spool.report(synthetic.report(plan, epoch))
        pause()
    for spool, plan in zip(spools, plans, strict=True):
        if ends:
            spool.end(synthetic.end(plan, epochs))
        spool.close()


def report_of_ten(plan: Run, epoch: int) -> Report:
    """A report of ten metrics."""
    made = synthetic.report(plan, epoch)
    more = {f"val/extra_{number}": float(epoch + number) for number in range(10 - len(made.metrics))}
    return replace(made, metrics={**made.metrics, **more})


def together(work: Sequence[Callable[[], None]]) -> list[threading.Thread]:
    """Starts each in a thread of its own."""
    threads = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    return threads


def stored(shelf: Shelf) -> int:
    """How many rows MLflow has of a study; 0 where it does not know it yet."""
    with suppress(ValueError):
        query = "SELECT count(*) FROM metrics JOIN runs USING (run_uuid) WHERE experiment_id = ?"
        return int(shelf.ask(query)[0][0])
    return 0


def wait_for(condition: Callable[[], bool], seconds: float, folder: StudyFolder) -> float:
    """Waits until something holds; how many seconds that took. Fails with what the shipper has to say."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            pytest.fail(f"not so after {seconds:g} s:\n{(folder.path / 'shipper.log').read_text()[-2000:]}")
        time.sleep(0.05)
    return time.monotonic() - start
