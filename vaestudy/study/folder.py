"""A study's folder: where everything it produces lies, and the lock that lets one driver write there.

<results>/<name>/study.yaml      the resolved study, every value written out
                study.json      the same for programs, with its hash and searched keys
                optuna.db       the trials (unless they are in PostgreSQL)
                runs/           the records (records.py)
                report/         tables and figures
                submitted-<n>/  what went to SLURM, and what its job printed
                driver.log      what was not for the terminal (logs.py)
                shipper.log     the same of the process that writes MLflow, which has shipper.lock
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity

from vaestudy.errors import ConflictError, DataError, DiskError, UsageError, nearest
from vaestudy.records import write_atomically
from vaestudy.spec import Study, canonical, differences, dump_study, space, study_hash
from vaestudy.spec.models import DURATION
from vaestudy.store import Store
from vaestudy.study.lease import described
from vaestudy.study.locks import held
from vaestudy.study.working_copy import DRIVER, refresh

_GLANCES = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(BlockingIOError),
    wait=tenacity.wait_fixed(0.05),
    stop=tenacity.stop_after_delay(0.5),
    reraise=True,
)

LOCAL_MLFLOW = "http://127.0.0.1:5000"
"""Where ``vaestudy ui`` serves."""


@dataclass(frozen=True)
class StudyFolder:
    """Paths in a study's folder.

    Attributes:
        store: the address of the object store whose working copy the folder of all studies is; empty where it is none.
    """

    path: Path
    store: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def resolved(self) -> Path:
        return self.path / "study.yaml"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def log(self) -> Path:
        return self.path / "driver.log"

    @property
    def shipper_log(self) -> Path:
        return self.path / "shipper.log"

    @property
    def stop_request(self) -> Path:
        return self.path / "stop"

    @property
    def next_submission(self) -> Path:
        """Where what goes to a batch system next is to lie."""
        numbers = (path.name.rpartition("-")[2] for path in self.path.glob("submitted-*"))
        return self.path / f"submitted-{1 + max(map(int, filter(str.isdecimal, numbers)), default=0)}"

    def study(self) -> Study:
        """The resolved study as stored, checked again, its plug-ins imported."""
        from vaestudy.spec.loader import load_study  # with it comes torch

        return load_study(self.resolved)

    def recorded(self) -> Study:
        """The resolved study as it is kept for programs: to look at, without waiting for what would train it.

        Raises:
            DataError: ``study.json`` is damaged.
        """
        path = self.path / "study.json"
        try:
            return Study.model_validate_json(json.dumps(json.loads(path.read_text())["study"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = str(error).splitlines()[0]
            raise DataError(f"{path}: not a study's facts: {what}; vaestudy resume {self.name} rewrites it") from error

    def agree(self, study: Study) -> None:
        """Checks that what lies here, if anything, is this study, and that budgets only grow.

        Raises:
            ConflictError: another study lies here under this name, or budgets would shrink.
        """
        if not self.resolved.exists():
            return
        stored = self.study()
        changed = differences(stored, study)
        if study_hash(stored) != study_hash(study):
            listed = "\n  ".join(changed)
            raise ConflictError(
                f"{self.path} holds another study named {study.name!r}; what differs:\n  {listed}\n"
                f"give this one another name (name={study.name}-2), or remove the folder"
            )
        if any(new < old for new, old in zip(_budgets(study), _budgets(stored), strict=True)):
            raise ConflictError(f"{self.path}: budgets may grow, not shrink: {'; '.join(changed)}")

    def make(self) -> None:
        """Makes the folder and that of all studies, where they are missing, for their owner only.

        Raises:
            DiskError: it cannot be made.
        """
        try:
            for folder in (self.path.parent, self.path):  # MLflow's files lie beside the study's
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise DiskError(
                f"cannot make {self.path}: {error.strerror}; name another folder with --results or storage.results"
            ) from error

    def write(self, study: Study) -> None:
        """Writes the resolved study, for programs and for people; the latter, by which a study has begun, last."""
        write_atomically(self.path / "study.json", json.dumps(_facts(study), indent=1))
        write_atomically(self.resolved, dump_study(study))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the study for one driver; the lock frees itself when the process ends, however it ends.

        Raises:
            ConflictError: another driver has it; the message says where and since when.
        """
        try:
            file = (self.path / "lock").open("a+")
        except OSError as error:
            raise DiskError(f"cannot write in {self.path}: {error.strerror}") from error
        with file:
            try:
                for attempt in _GLANCES:  # whoever only looks whether it is taken holds it for an instant
                    with attempt:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._taken() from None
            file.truncate(0)
            file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}))
            file.flush()
            yield

    def check_free(self) -> None:
        """Finds out early, before anything slow, what ``lock`` would find out.

        Raises:
            ConflictError: a driver has it.
        """
        if self.running:
            raise self._taken()

    def _taken(self) -> ConflictError:
        return ConflictError(f"study {self.name!r} is running already: {self.driver}")

    @property
    def holder(self) -> str:
        """The driver that took the lock last, as it wrote itself down."""
        return (self.path / "lock").read_text()

    @property
    def driver(self) -> str:
        """Which driver took the lock last, where and when, in words."""
        file = self.path / ("lock" if held(self.path / "lock") else DRIVER)
        try:
            return described(json.loads(file.read_text()))
        except (OSError, ValueError):
            return described({})

    @property
    def running(self) -> bool:
        """Whether a driver holds the lock, or one elsewhere the lease, as far as this copy has heard."""
        return held(self.path / "lock") or (self.path / DRIVER).exists()


def find(name: str, results: Path, store: str = "") -> StudyFolder:
    """The folder of a study by name.

    Args:
        results: the folder of all studies. store: the address of the one that it is a working copy of, if it is.

    Raises:
        ConflictError: there is none (exit 5); the message lists those there are.
    """
    folder = StudyFolder(results / name, store)
    if "/" not in name:
        refresh(folder.path, store)
    if "/" in name or not folder.resolved.exists():
        names = [study.name for study in known(results)] or (Store(store).folders() if store else [])
        there = nearest(name, names) if names else "there are none yet"
        raise ConflictError(f"no study {name!r} under {store or results}; {there}")
    return folder


def known(results: Path, store: str = "") -> list[StudyFolder]:
    """The studies under a results folder, by name."""
    for name in Store(store).folders() if store else ():
        refresh(results / name, store)
    return [StudyFolder(path.parent, store) for path in sorted(results.glob("*/study.yaml"))]


def parse_duration(text: str) -> float:
    """Seconds in ``90s``, ``30m``, ``2h``, ``1d``.

    Raises:
        UsageError: it is none of these, or none at all.
    """
    if not re.fullmatch(DURATION, text):
        raise UsageError(f"expected a time above 0 such as 90s, 30m, 2h or 1d, got {text!r}")
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


def _budgets(study: Study) -> tuple[int, ...]:
    """What may grow from one launch to the next."""
    reruns = study.target.seeds if study.target else 0
    return study.search.trials, study.confirm.seeds, study.confirm.sources, reruns


def _facts(study: Study) -> dict[str, Any]:
    from vaestudy.study.environment import environment  # with it comes torch

    searched = {method: [canonical(key) for key in space(study, method)] for method in study.methods}
    return {
        "hash": study_hash(study),
        "study": study.model_dump(mode="json", by_alias=True),
        "searched": searched,
        "optimizers": _optimizers(study),
        "environment": environment(study),
        "mlflow": _mlflow_address(study),
    }


def _optimizers(study: Study) -> dict[str, Any]:
    """What the registry says of the study's optimizers: who only reads results has no torch to ask it."""
    from vaestudy.optimizers import optimizers  # with it comes torch

    known = [optimizers.find(name) for name in dict.fromkeys(method.optimizer for method in study.methods.values())]
    return {
        entry.name: {
            "family": entry.family,
            "contains": list(entry.contains),
            "defaults": {name: hyperparameter.default for name, hyperparameter in entry.hyperparameters.items()},
        }
        for entry in known
    }


def _mlflow_address(study: Study) -> str | None:
    """Where pages of the study are seen; None where that is nowhere, or a secret."""
    address = study.tracking.mlflow
    if address == "sqlite":
        return LOCAL_MLFLOW
    return address.rstrip("/") if address.startswith(("http://", "https://")) else None
