"""Disks that fill up and memory that runs out: a clear end, nothing lost, and on it goes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.chaos.checkers import check, check_numbers
from tests.chaos.ledger import Ledger
from tests.launched import FEW, SMALL, calm, finished, runs_of, vaestudy

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

DISK_MEGABYTES = 64
WITH_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
GREEDY = """\
version: 1
name: greedy
workloads:
  digits:
    data: {name: digits, binarize: static, validation: 300}
    model: {name: mlp, hidden: [32], latent_dim: 5}
    likelihood: greedy
    batch_size: 64
train: {epochs: 1}
methods:
  adam: {optimizer: adam, search: {lr: {log: [1e-5, 1e-3]}}}
search: {sampler: {name: random}, trials: 4}
confirm: {seeds: 1, sources: 0, iwae_samples: 2}
resources: {population: 4, workers: 1}
budget: {retries: 1}
tracking: {figures: false}
report: {figures: false}
plugins: [tests.chaos.cramped]
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB; skipped where disks may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with all the space it wants."""
    return calm(tmp_path_factory.mktemp("undisturbed"), *FEW)


@pytest.mark.timeout(900)
@pytest.mark.bar("R15", "disk full while writing spools, checkpoints (twice) and the export")
def test_r15_a_full_disk_ends_the_study_clearly_and_loses_nothing(
    ledger: Ledger, undisturbed: Path, small_disk: Path
) -> None:
    study, ballast = small_disk / "quickstart", small_disk / "ballast"
    fill = f"cat /dev/zero > {ballast} 2>/dev/null || true"
    rarely, often = ["budget.checkpoint_seconds=3600"], ["budget.checkpoint_seconds=0"]
    first = ["launch", "studies/quickstart.yaml", *SMALL, *FEW]
    for point, arguments in (
        ("after-report 2", [*first, *rarely]),
        ("after-start 2", [*first, *often]),
        ("mid-epoch 3", ["resume", "quickstart"]),
        ("export 3", ["resume", "quickstart"]),
    ):
        process = vaestudy(
            *arguments, results=small_disk, module=f"tests.chaos.aimed {point}", env={"VAESTUDY_FAULT": fill}
        )
        _, err = finished(process, code=74)
        assert "vaestudy: error: cannot write" in err or "cannot be used" in err, err
        assert len(err.strip().splitlines()[-1]) < 400
        ledger.met += 1
        ballast.unlink()
    finished(vaestudy("resume", "quickstart", results=small_disk))
    check_numbers(study, undisturbed)
    ledger.figures |= {"exit": process.returncode, "rows in MLflow": check(study, small_disk / "mlflow.db")}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=WITH_GPU)])
@pytest.mark.parametrize(("share", "code"), [(0.4, 0), (1.5, 6)], ids=["for two", "for none"])
@pytest.mark.bar("memory", "workers that cannot allocate what 4 runs together need")
def test_memory_that_is_short_makes_groups_smaller(
    ledger: Ledger, tmp_path: Path, share: float, code: int, device: str
) -> None:
    ledger.fault += f", each {share:.0%} of the {'machine' if device == 'cpu' else 'GPU'}'s"
    (tmp_path / "greedy.yaml").write_text(GREEDY)
    command = ["launch", str(tmp_path / "greedy.yaml"), f"resources.device={device}"]
    process = vaestudy(*command, results=tmp_path, env={"VAESTUDY_TEST_SHARE": str(share)})
    _, err = finished(process, code)
    log = (tmp_path / "greedy" / "driver.log").read_text()
    ledger.met = log.count("lost their worker")
    ends = [record.end for record in runs_of(tmp_path / "greedy").values()]
    if code == 0:
        assert {end.outcome for end in ends if end} == {"done"}
        ledger.figures["runs done"] = len(ends)
    else:
        reasons = {end.reason for end in ends if end and end.outcome == "failed"}
        assert any("memory" in reason for reason in reasons), reasons
        assert "failed" in err
        ledger.figures["ends with"] = f"exit {process.returncode} and the reason"
