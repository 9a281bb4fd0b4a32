"""Every bad command of ``commands.toml`` ends in one clear error: its exit code, nothing written, no secret told."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.postgres import Postgres, postgres
from tests.made_up import Builder, study
from vaestudy.cli.main import main
from vaestudy.study.folder import StudyFolder

__all__ = ["postgres"]

ROOT = Path(__file__).parents[2]
CASES = tomllib.loads((Path(__file__).parent / "commands.toml").read_text())["case"]
SECRET = "hunter2"
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
"""Even root is bound by permissions then."""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without the data sets of the machine."""
    folder = tmp_path / "there"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("VAESTUDY_DATA", raising=False)
    return folder


@pytest.fixture
def full_disk() -> Iterator[Path]:
    """A disk without room, at a path short enough for sockets; skipped where disks may not be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="full"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("may not mount a small disk")
    (folder / "ballast").write_bytes(bytes(4096))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_bad_command_gets_its_message(
    case: dict[str, Any],
    there: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in _environment(case, request).items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        if case.get("made_up"):
            folder = _made_up(there)
            if case.get("driver"):
                stack.enter_context(folder.lock())
        subprocess.run(["bash", "-ec", case.get("given", "")], check=True, env=_with_our_python())
        before = _contents(there)
        arguments = [str(ROOT / "studies" / "quickstart.yaml") if a == "QUICKSTART" else a for a in case["argv"]]
        code, said = _bound(arguments) if "limited" in case else (main(arguments), "")
    captured = capfd.readouterr()
    said += captured.out + captured.err
    assert code == case["code"], said
    if not case.get("writes"):
        assert _contents(there) == before
    lines = said.strip().splitlines()
    first = next(number for number, line in enumerate(lines) if "error: " in line)
    assert re.search(case["says"], lines[first]), said
    assert first <= 2, "before it stand at most the study's question and its place"
    assert len(lines) - first <= 4
    assert "Traceback" not in said
    assert SECRET not in said


def _environment(case: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, str]:
    found = dict(case.get("env", {}))
    for name, value in found.items():
        if value.startswith("POSTGRES "):
            server: Postgres = request.getfixturevalue("postgres")
            found[name] = server.address(*value.split()[1:])
    if "full" in case:
        found[case["full"]] = str(request.getfixturevalue("full_disk"))
    return found


def _made_up(there: Path) -> StudyFolder:
    builder = Builder(there / "results", study(trials=2, seeds=2))
    for method, value in (("sgd", 30.0), ("adam", 35.0)):
        builder.search(method, [value + 1, value])
        builder.confirm(method, 1, [value, value + 0.1])
    return StudyFolder(builder.folder)


def _bound(arguments: list[str]) -> tuple[int, str]:
    """The command in a process of its own that permissions bind."""
    done = subprocess.run(
        [*(BOUND if os.geteuid() == 0 else []), sys.executable, "-m", "vaestudy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout + done.stderr


def _with_our_python() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _contents(folder: Path) -> dict[str, str]:
    """Every path below a folder, and the digest of every file."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }
