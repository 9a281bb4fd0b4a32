"""What passes between the driver and its workers, as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vaestudy.evaluation import Samples
from vaestudy.execution.relay import worker_folder
from vaestudy.records import End, Report, Run
from vaestudy.spec import Settings, Workload


@dataclass(frozen=True)
class Job:
    """One execution of a run: which run, with what settings, for the how-manieth time."""

    run: Run
    settings: Settings
    attempt: int

    def dump(self) -> dict[str, Any]:
        return {"run": asdict(self.run), "settings": self.settings.model_dump(), "attempt": self.attempt}

    @classmethod
    def load(cls, data: dict[str, Any]) -> Job:
        return cls(Run(**data["run"]), Settings.model_validate_json(json.dumps(data["settings"])), data["attempt"])


@dataclass(frozen=True)
class Common:
    """What every job of a study shares.

    Attributes:
        folder: the study's folder, seen by driver and workers alike; with a store, each worker's own.
        data_folder: where the driver was told to find data sets; None for each host's own place.
        threads: CPU threads of one worker, set explicitly: two workers with default threads crawl.
        verdicts_from: the first epoch after which each report awaits the pruner's verdict; None without a pruner.
        checkpoint_seconds: the least time between a run's checkpoints.
        silence: the seconds after which a worker that says nothing is taken for hung.
        retries: how often a run may lose its worker without having got further since the last time.
        samples: how many random draws test scores rest on.
        seed: the study's; with it each run's own seed is mixed, and evaluation noise is drawn from it alone.
        store: the address of the object store that holds all studies; empty where hosts share the folder.
    """

    study_hash: str
    folder: Path
    data_folder: Path | None
    workloads: dict[str, Workload]
    plugins: tuple[str, ...]
    device: str
    threads: int
    verdicts_from: int | None
    checkpoint_seconds: float
    silence: float
    retries: int
    samples: Samples
    seed: int
    store: str = ""

    def dump(self) -> dict[str, Any]:
        workloads = {name: workload.model_dump() for name, workload in self.workloads.items()}
        return {
            **asdict(self),
            "folder": str(self.folder),
            "data_folder": str(self.data_folder) if self.data_folder else "",
            "workloads": workloads,
        }

    @classmethod
    def load(cls, data: dict[str, Any]) -> Common:
        workloads = {
            name: Workload.model_validate_json(json.dumps(workload)) for name, workload in data["workloads"].items()
        }
        folder = Path(data["folder"])
        if data["store"]:
            folder = worker_folder(data["store"], folder.name)
        paths = {"folder": folder, "data_folder": Path(data["data_folder"]) if data["data_folder"] else None}
        parts = {"workloads": workloads, "plugins": tuple(data["plugins"]), "samples": Samples(**data["samples"])}
        return cls(**{**data, **paths, **parts})


@dataclass(frozen=True)
class News:
    """What a worker tells of one run: its attempt, its updates so far, new reports, and its end if it has ended."""

    uid: str
    attempt: int
    step: int
    reports: tuple[Report, ...] = field(default=())
    end: End | None = None

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> News:
        end = End(**data["end"]) if data["end"] else None
        reports = tuple(Report(**report) for report in data["reports"])
        return cls(data["uid"], data["attempt"], data["step"], reports, end)


class RunQueue(Protocol):
    """Who decides what runs: the study hands one to ``execute``. All calls come from one thread."""

    def take(self, count: int) -> Sequence[Job]:
        """Up to ``count`` jobs of one cell; none where there is nothing to start now."""
        ...

    def refill(self, job: Job) -> Job | None:
        """A job of the same cell and stage for a freed slot, or None."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether nothing will ever be left to take, whatever the runs in flight bring."""
        ...

    def report(self, job: Job, reports: Sequence[Report]) -> bool:
        """Records reports; whether the run is to be stopped now."""
        ...

    def end(self, job: Job, end: End) -> None:
        """Records how a run ended."""
        ...

    def retry(self, job: Job) -> Job:
        """The next attempt of a job whose worker died."""
        ...

    def release(self, jobs: Sequence[Job]) -> None:
        """Takes jobs of one cell back, to give them out again, together and with no others."""
        ...

    def fail(self, job: Job, reason: str) -> None:
        """Records that a run's infrastructure failed for good."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether all runs are to be left where they are, to be resumed later."""
        ...

    def tick(self) -> None:
        """Called a few times a second."""
        ...
