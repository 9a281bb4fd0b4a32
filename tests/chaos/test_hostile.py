"""Files that somebody else prepared: nothing in them is executed, and nothing is written outside the study's folder."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.chaos.ledger import Ledger
from tests.launched import finished, until, vaestudy, values
from tests.made_up import Builder, study
from vaestudy import checkpoint
from vaestudy.cli.main import main
from vaestudy.records import attempt_folder

STUDY = """\
version: 1
name: interrupted
workloads:
  digits:
    data: {name: digits, binarize: static, validation: 300}
    model: {name: mlp, hidden: [32], latent_dim: 5}
    likelihood: bernoulli
    batch_size: 64
train: {epochs: 150}
methods:
  adam: {optimizer: adam, search: {lr: {log: [1e-5, 1e-3]}}}
search: {sampler: {name: sobol}, trials: 8, pruner: {name: none}}
confirm: {seeds: 1, sources: 0, iwae_samples: 2}
resources: {population: 8, workers: 1}
budget: {checkpoint_seconds: 0}
tracking: {mlflow: none}
report: {figures: false}
"""
MARK = "/tmp/vaestudy-hostile-mark"


class Evil:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({MARK!r}, 'w').close()",)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a study that was stopped while all its runs were in training."""
    results = tmp_path_factory.mktemp("interrupted")
    (results / "study.yaml").write_text(STUDY)
    process = vaestudy("launch", str(results / "study.yaml"), results=results)

    def saved() -> bool:
        return len(list(results.glob("interrupted/runs/*/attempt-1/checkpoint-*/manifest.json"))) >= 16

    until(saved, process)
    process.terminate()
    finished(process, code=143)
    return results


@pytest.fixture(autouse=True)
def unmarked() -> None:
    Path(MARK).unlink(missing_ok=True)


def executed() -> list[Path]:
    """The mark of a pickle that was loaded, if it is there."""
    return [mark for mark in [Path(MARK)] if mark.exists()]


def checkpoints(results: Path) -> list[Path]:
    """The newest checkpoint of every run."""
    runs = sorted((results / "interrupted" / "runs").iterdir())
    return [max(attempt_folder(run.parents[1], run.name, 1).glob("checkpoint-*")) for run in runs]


def seal(folder: Path, content: bytes, **changes: Any) -> None:
    """A checkpoint of this content whose manifest agrees with it."""
    manifest = {**json.loads((folder / "manifest.json").read_text()), **changes}
    manifest["sha256"] = checkpoint.digest(manifest, content)
    (folder / "state.pt").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A checkpoint's content with something in it changed."""
    state = torch.load(folder / "state.pt", weights_only=True)
    change(state)
    return saved(state)


def bomb(folder: Path) -> bytes:
    """The same file packed, with a gigabyte of zeros beside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(folder / "state.pt") as archive, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
        packed.writestr("archive/data/zeros", bytes(1 << 30))
    return buffer.getvalue()


def twist(state: dict[str, Any]) -> None:
    state["row"]["optimizer"] = {"t": torch.zeros(1)}


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "code beside tensors": (lambda f: seal(f, saved({"row": Evil()})), "refused: not plain tensors"),
    "a packed gigabyte": (lambda f: seal(f, bomb(f)), "refused: it unpacks to more than it holds"),
    "another optimizer's": (lambda f: seal(f, changed(f, twist)), r"optimizer\.\w+ is missing"),
}
"""Those of tests/test_checkpoint.py and tests/test_population.py that reach a user by different ways."""


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.bar("R20", "hostile checkpoints, their study resumed")
def test_r20_hostile_checkpoints_are_refused_by_name(ledger: Ledger, interrupted: Path, tmp_path: Path) -> None:

    for number, (damage, says) in enumerate(REFUSED.values()):
        results = tmp_path / str(number)
        shutil.copytree(interrupted, results)
        for folder in checkpoints(results):
            damage(folder)
        _, err = finished(vaestudy("resume", "interrupted", results=results), code=3)
        assert re.search(rf"^vaestudy: error: .*{says}", err, re.MULTILINE), err
        ledger.none("executed", executed())
        ledger.met += 1
        shutil.rmtree(results)


@pytest.mark.chaos
@pytest.mark.bar("R9", "checkpoints of 7 runs damaged in 7 ways at once, the study resumed")
def test_r9_damaged_checkpoints_are_passed_over(ledger: Ledger, interrupted: Path, tmp_path: Path) -> None:
    calm, results = tmp_path / "calm", tmp_path / "damaged"
    shutil.copytree(interrupted, calm)
    shutil.copytree(interrupted, results)
    empty, cut, flipped, zeroed, bare, newer, garbage, _ = checkpoints(results)
    (empty / "state.pt").write_bytes(b"")
    (cut / "state.pt").write_bytes((cut / "state.pt").read_bytes()[:1000])
    content = bytearray((flipped / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (flipped / "state.pt").write_bytes(content)
    content = bytearray((zeroed / "state.pt").read_bytes())
    content[4096:8192] = bytes(4096)
    (zeroed / "state.pt").write_bytes(content)
    (bare / "manifest.json").unlink()
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    (garbage / "manifest.json").write_text("[")
    ledger.met = 7
    for folder in (calm, results):
        finished(vaestudy("resume", "interrupted", results=folder))
    found, undisturbed = values(results / "interrupted"), values(calm / "interrupted")
    assert len(found) == 9
    assert found.keys() == undisturbed.keys()
    ledger.none("runs with other numbers", [uid for uid in found if found[uid] != undisturbed[uid]])
    log = (results / "interrupted" / "report" / "comparison.csv").read_text()
    assert log == (calm / "interrupted" / "report" / "comparison.csv").read_text()


HOSTILE = "<script>alert(1)</script> \\input{/etc/passwd} =cmd|' /C calc'!A0"


@pytest.mark.chaos
@pytest.mark.bar("R20", "a study with script, TeX and pickles in its words, plans and pictures, shown and exported")
def test_r20_a_strangers_study_is_shown_without_running_it(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    builder = Builder(tmp_path / "results", study(trials=2, seeds=2, description=HOSTILE))
    for method, value in (("sgd", 30.0), ("adam", 35.0)):
        builder.search(method, [value + 1, value])
        builder.confirm(method, 1, [value, value + 0.1])
    for folder in builder.folder.glob("runs/*/attempt-1"):
        array = np.empty(1, dtype=object)
        array[0] = Evil()
        np.savez(folder / "outputs.npz", originals=array, reconstructions=array, samples=array)
    for command in (["report", "made-up"], ["export", "made-up"], ["export", "made-up", "--paper", "paper"], ["list"]):
        assert main(command) in (0, 3), capsys.readouterr().err
        ledger.none("executed", executed())
        ledger.met += 1
    for page in tmp_path.rglob("*.html"):
        assert "<script>alert" not in page.read_text()
        ledger.met += 1
    for text in tmp_path.rglob("*.tex"):
        assert "\\input{/etc" not in text.read_text()
        ledger.met += 1
    plan = next(builder.folder.glob("runs/*/run.json"))
    plan.write_text(plan.read_text().replace(plan.parent.name, "../../../outside"))
    for command in (["report", "made-up"], ["export", "made-up"], ["trial", "made-up", "adam#1"]):
        assert main(command) == 3
        assert "the plan of run '../../../outside'" in capsys.readouterr().err
        ledger.met += 1
    ledger.none("written outside", list(tmp_path.rglob("outside")))
