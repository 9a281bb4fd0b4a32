"""A study whose MLflow dies and stays dead: it ends as ever, says what is missing, and a resume sends it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check
from tests.chaos.ledger import Ledger
from tests.launched import finished, until, vaestudy
from tests.tracking.conftest import Server, Shelf

TINY = [
    "search.trials=2",
    "search.replicates=1",
    "resources.population=1",
    "confirm.seeds=1",
    "confirm.sources=0",
    "target.seeds=1",
    "train.epochs=20",
]
TINY += ["confirm.iwae_samples=5", "tracking.figures=false", "report.figures=false"]


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.bar("R3", "MLflow dead from mid-study on; the study ends, a resume sends the rest")
def test_r3_a_study_ends_without_mlflow_and_a_resume_sends_the_rest(tmp_path: Path, ledger: Ledger) -> None:
    server, shelf, study = Server(tmp_path), Shelf(tmp_path / "mlflow.db", "quickstart"), tmp_path / "quickstart"
    try:
        driver = vaestudy(
            "launch", "studies/quickstart.yaml", *TINY, f"tracking.mlflow={server.address}", results=tmp_path
        )
        until(lambda: shelf.begun() > 1, driver)
        server.kill()
        _, err = finished(driver)
        waited = time.time() - max(path.stat().st_mtime for path in (study / "report").iterdir())
        ledger.met += 1
        at_the_end = shelf.rows().total()
        assert "Waiting for MLflow, 120 s at most" in err
        assert "nothing is lost, and what is missing there is sent with: vaestudy resume quickstart" in err
        assert waited < 90
        server.start()
        _, err = finished(vaestudy("resume", "quickstart", results=tmp_path))
        assert "MLflow has not caught up" not in err
    finally:
        server.kill()
    check(study, tmp_path / "mlflow.db")
    resumed = shelf.rows().total()
    ledger.figures |= {"rows in MLflow at the end": at_the_end, "after the resume": resumed, "s waited": round(waited)}
    assert resumed > at_the_end
