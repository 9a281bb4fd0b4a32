"""Eight secrets that a study's machine holds, looked for in everything that the study leaves or shows."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.chaos.ledger import Ledger
from tests.fixtures.mlflow_login import GuardedMlflow
from tests.fixtures.postgres import PASSWORD, Postgres, postgres
from tests.launched import FEW, SMALL, finished, runs_of, vaestudy, workers

__all__ = ["postgres"]

FROM_WORKERS = ("trials", "mlflow", "pgpassword")
"""Those that the driver needs and its workers must not even have in their environment."""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A temporary folder with a path short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="r18") as folder:
        yield Path(folder)


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[GuardedMlflow]:
    server = GuardedMlflow(tmp_path / "server", secrets.token_hex(12))
    yield server
    server.close()


class Watcher(threading.Thread):
    """Every command line that is seen while a study runs, and the environments of its workers."""

    def __init__(self, driver: subprocess.Popen[str]):
        super().__init__(daemon=True)
        self._driver = driver
        self.lines: set[str] = set()
        self.environments: dict[int, str] = {}

    def run(self) -> None:
        while self._driver.poll() is None:
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    self.lines.add(" ".join(process.cmdline()))
            for worker in workers(self._driver):
                with suppress(psutil.Error):
                    self.environments[worker.pid] = str(worker.environ())
            time.sleep(0.2)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.bar("R18", "8 secrets looked for in files, logs, databases, command lines, messages and workers")
def test_r18_no_secret_gets_anywhere(
    ledger: Ledger, tmp_path: Path, scratch: Path, postgres: Postgres, mlflow: GuardedMlflow
) -> None:
    database = postgres.new_database()
    canaries = {
        "trials": PASSWORD,
        "mlflow": mlflow.password,
        **{name: secrets.token_hex(12) for name in ("file", "ray", "cloud", "pgpassword", "other", "override")},
    }
    home, results = tmp_path / "home", tmp_path / "results"
    environment = _environment(canaries, home, scratch, postgres.address(database), mlflow.credential)
    mlflow.wait()
    stores = ["storage.optuna=trials", "tracking.mlflow=mlflow"]

    said = []
    driver = vaestudy("launch", "studies/quickstart.yaml", *SMALL, *FEW, *stores, results=results, env=environment)
    watcher = Watcher(driver)
    watcher.start()
    said += finished(driver)
    for command in (
        ["export", "quickstart", "--paper", str(tmp_path / "paper")],
        ["doctor", "quickstart"],
        ["report", "quickstart", "--html"],
    ):
        said += finished(vaestudy(*command, results=results, env=environment))
    assert len(runs_of(results / "quickstart")) == 22

    wrong = {"VAESTUDY_CREDENTIAL_TRIALS": postgres.address(database, canaries["other"])}
    for arguments, more, code in (
        (stores, wrong, 4),
        (stores, {"VAESTUDY_CREDENTIAL_MLFLOW": f"http://u:{canaries['other']}@127.0.0.1:9"}, 4),
        ([f"storage.optuna=postgresql://u:{canaries['override']}@h/d"], {}, 2),
        ([f"tracking.mlflow=http://u:{canaries['override']}@h"], {}, 2),
        (["storage.optuna=unknown"], {}, 2),
    ):
        command = ["--debug", "launch", "studies/quickstart.yaml", "name=refused", *arguments]
        process = vaestudy(*command, results=results, env={**environment, **more})
        said += process.communicate(timeout=60)
        assert process.returncode == code, said[-1]

    dump = tmp_path / "dump.sql"
    _dump(postgres, database, dump)
    watcher.join()
    places = {
        **{path: path.read_bytes() for path in _files(results, tmp_path / "paper", mlflow.folder, scratch, dump)},
        **{Path(f"message {number}"): text.encode() for number, text in enumerate(said)},
        **{Path(f"command line {number}"): line.encode() for number, line in enumerate(watcher.lines)},
    }
    ledger.figures["places looked at"] = len(places)
    for name, canary in canaries.items():
        forms = {canary.encode(), quote(canary, safe="").encode()}
        found = [place for place, content in places.items() if any(form in content for form in forms)]
        ledger.none("found", [(name, str(place)) for place in found])
        ledger.met += 1
    assert len(watcher.environments) >= 1
    for name in FROM_WORKERS:
        assert not any(canaries[name] in environ for environ in watcher.environments.values()), name


def _environment(canaries: Mapping[str, str], home: Path, scratch: Path, trials: str, mlflow: str) -> Mapping[str, str]:
    """The secrets where people keep them; a home and temporary folders of the test's own."""
    file = home / ".config" / "vaestudy" / "credentials.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'lab = "postgresql://ann:{canaries["file"]}@db.example/trials"\n')
    file.chmod(0o600)
    return {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": canaries["ray"] * 2,
        "VAESTUDY_CREDENTIAL_TRIALS": trials,
        "VAESTUDY_CREDENTIAL_MLFLOW": mlflow,
        "AWS_SECRET_ACCESS_KEY": canaries["cloud"],
        "PGPASSWORD": canaries["pgpassword"],
        "GITHUB_TOKEN": canaries["other"],
    }


def _dump(server: Postgres, database: str, file: Path) -> None:
    """The trial database as text."""
    with file.open("wb") as out:
        server.dump(database, out)
    assert b"trial_values" in file.read_bytes()


def _files(*places: Path) -> Iterator[Path]:
    """Every file at or below some places; MLflow's table of users has a password's hash only, and is among them."""
    for place in places:
        for path in [place, *place.rglob("*")]:
            if path.is_file() and not path.is_symlink():
                yield path
