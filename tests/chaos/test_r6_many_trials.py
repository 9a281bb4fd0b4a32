"""R6: a thousand trials that hardly train, through Ray, Optuna and MLflow: what the driver itself costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.chaos.checkers import check
from tests.chaos.ledger import Ledger
from tests.launched import finished, vaestudy
from vaestudy.records import read_runs

TRIALS, WARM = 1000, 50
MOST_SECONDS_A_TRIAL, MOST_GROWTH_BYTES = 0.25, 200e6
STUDY = {
    "version": 1,
    "name": "many",
    "workloads": {
        "digits": {
            "data": {"name": "digits", "binarize": "static", "validation": 300},
            "model": {"name": "mlp", "hidden": [16], "latent_dim": 2},
            "likelihood": "bernoulli",
            "batch_size": 512,
        }
    },
    "train": {"epochs": 1},
    "methods": {
        "sgd": {"optimizer": "sgd", "search": {"lr": {"log": [1e-4, 1e-2]}}},
        "adam": {"optimizer": "adam", "search": {"lr": {"log": [1e-4, 1e-2]}}},
    },
    "search": {"trials": TRIALS // 2, "sampler": {"name": "random"}},
    "confirm": {"seeds": 1, "iwae_samples": 2},
    "tracking": {"figures": False},
    "report": {"formats": ["csv"]},
}


@dataclass(frozen=True)
class Sample:
    """The driver at one moment: runs begun, its own processor time (children left out), its memory."""

    runs: int
    wall_seconds: float
    own_seconds: float
    resident_bytes: int


def sample(driver: psutil.Process, study: Path) -> Sample:
    runs = sum(1 for _ in (study / "runs").iterdir()) if (study / "runs").is_dir() else 0
    times = driver.cpu_times()
    return Sample(runs, time.monotonic(), times.user + times.system, driver.memory_info().rss)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.alone
@pytest.mark.bar("R6", "a study of 1,000 trials of two updates each, two workers")
def test_r6_a_thousand_trials_cost_the_driver_little_and_leave_nothing_running(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    process = vaestudy("--quiet", "launch", str(path), results=tmp_path)  # nobody reads its pipe meanwhile
    driver, study = psutil.Process(process.pid), tmp_path / "many"
    samples: list[Sample] = []
    while process.poll() is None:
        try:
            samples.append(sample(driver, study))
        except psutil.Error:
            break
        time.sleep(0.5)
    finished(process)
    records = [record for record in read_runs(study) if record.run.stage == "search"]
    ledger.met = len({record.run.uid for record in records})
    warm = [each for each in samples if each.runs >= WARM and each.resident_bytes]
    search = [each for each in warm if each.runs <= TRIALS]
    trials = search[-1].runs - search[0].runs
    own = (search[-1].own_seconds - search[0].own_seconds) / trials
    wall = (search[-1].wall_seconds - search[0].wall_seconds) / trials
    growth = max(each.resident_bytes for each in warm) - warm[0].resident_bytes
    searching = max(each.resident_bytes for each in search) - warm[0].resident_bytes
    ledger.figures["driver's ms a trial"] = round(1000 * own)
    ledger.figures["ms between trials"] = round(1000 * wall)
    ledger.figures["driver's growth in the search, MB"] = round(searching / 1e6)
    ledger.figures["with its export, MB"] = round(growth / 1e6)
    assert len(records) == ledger.met == TRIALS
    assert own <= MOST_SECONDS_A_TRIAL
    assert growth <= MOST_GROWTH_BYTES
    ledger.figures["MLflow rows"] = check(study, tmp_path / "mlflow.db")
