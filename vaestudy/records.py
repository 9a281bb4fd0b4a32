"""The truth about what runs measured: one append-only, checksummed file per attempt of a run.

    <study folder>/runs/<uid>/run.json                    the plan: what the run is, written once
    <study folder>/runs/<uid>/attempt-<k>/spool.jsonl     its k-th execution; only the highest k is believed

A line is on disk (fsync) before anybody else sees it; ``spools.py`` has its form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vaestudy.errors import DataError, DiskError
from vaestudy.spools import inspect_spool, read_spool, spool_lines

Stage = Literal["search", "target", "confirm", "sources"]
Varied = Literal["all", "init", "order", "noise"]
Outcome = Literal["done", "pruned", "diverged", "failed", "cancelled"]
Failure = Literal["none", "diverged", "collapsed", "undertrained"]
STAGES: tuple[Stage, ...] = ("search", "target", "confirm", "sources")
VARIED: tuple[Varied, ...] = ("init", "order", "noise")
OUTCOMES: tuple[Outcome, ...] = ("done", "pruned", "diverged", "failed", "cancelled")

DEFAULTS = -1
"""The number, in the place of a trial's, of the published defaults: what a tuning budget of none can choose."""

PRIMARY = {"elbo": "final/test_nelbo", "nll": "final/test_nll"}
"""The score of a confirmed run that each ``report.primary`` stands for, nats per example; less is better."""

REPLICATE_SEEDS = 10_000
"""Each replicate of a search has a block of so many seeds; its first is the tuning seed of the search's trials."""


def tuning_seed(replicate: int) -> int:
    """The seed under which every trial of a search trains, in its replicate (counted from 0)."""
    return replicate * REPLICATE_SEEDS


@dataclass(frozen=True)
class Run:
    """What one run is: fixed before any work.

    Attributes:
        uid: its identity, ``seeding.uid`` of study hash, cell, trial and seed.
        cell: ``<workload>/<method>``.
        stage: ``search`` (a trial), or a winner under a fresh seed: ``confirm``, ``target`` (the best reference
            method, whose scores make the target) or ``sources`` (one stream varies, the others stay).
        trial: the number of the trial within its cell; in the other stages, of the winner, or ``DEFAULTS``.
        seed: the seed of the streams that vary. varied: which do; all but in ``sources``.
        settings: the sampled and fixed hyperparameters by dotted key, resolved values only.
    """

    uid: str
    cell: str
    workload: str
    method: str
    stage: Stage
    trial: int
    seed: int
    settings: Mapping[str, Any]
    varied: Varied = "all"

    @property
    def replicate(self) -> int:
        """The replicate of the search that it belongs to, from 0."""
        return self.seed // REPLICATE_SEEDS

    @property
    def name(self) -> str:
        """The name a person sees: ``adam #017``, ``adam #017 seed 3``, ``adam #017 target seed 1003``; of a later
        replicate ``adam r2 #017``."""
        words = {"search": "", "confirm": "", "target": " target", "sources": f" {self.varied}"}
        replicate = f" r{self.replicate + 1}" if self.replicate else ""
        base = f"{self.method}{replicate} {trial_name(self.trial)}{words[self.stage]}"
        return base if self.stage == "search" else f"{base} seed {self.seed}"


def trial_name(number: int) -> str:
    """A trial's number as people see it: ``#017``, or ``defaults``."""
    return "defaults" if number == DEFAULTS else f"#{number:03d}"


@dataclass(frozen=True)
class Report:
    """What a run measured at one evaluation.

    Attributes:
        step: updates done; epoch: passes done over the training set (>= 0; 0 is before training).
        time: seconds since 1970 at which it was first measured; kept when the row is sent again.
        metrics: scalars by name, e.g. ``val/nelbo`` in nats per example; non-finite values are left out.
        vectors: per-dimension values by name, e.g. ``val/kl_per_dimension`` in nats.
    """

    step: int
    epoch: int
    time: float
    metrics: Mapping[str, float]
    vectors: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
        outcome: done, pruned (by the pruner), diverged (non-finite loss at ``step``), failed (infrastructure) or
            cancelled (begun, but not wanted any more).
        failure: the failure class by rule (protocol, rule 7).
        metrics: the summary, e.g. ``final/val_nelbo``, ``final/test_nll``; nats per example; finite values only.
        reason: one line, for failed and cancelled.
        vectors: of a confirmed run, its test scores in blocks of examples, ``test/nelbo_blocks`` and
            ``test/nll_blocks`` (``metrics.blocks``), nats per example.
    """

    outcome: Outcome
    step: int
    time: float
    failure: Failure = "none"
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    vectors: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """A run as its current attempt left it; ``end`` is None while it has not ended."""

    run: Run
    attempt: int
    started: float
    reports: tuple[Report, ...]
    end: End | None


class Spool:
    """The append-only file of one attempt.

    What an earlier attempt reported stands: a report of the same update is written as it was, its clocks included, so
    that what others have read already stays true.
    """

    def __init__(self, study: Path, run: Run, attempt: int, started: float):
        self.folder = attempt_folder(study, run.uid, attempt)
        self._last_step = -1
        self._ended = False
        try:
            self._known = _reported(study, run.uid)
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_plan(study, run)
            self._file = (self.folder / "spool.jsonl").open("ab", buffering=0)
            self._length = self._file.tell()
            sync_folder(self.folder)
        except OSError as error:
            raise _disk_error(error, self.folder) from error
        self._append({"kind": "start", "attempt": attempt, "time": started})

    def report(self, *reports: Report) -> tuple[Report, ...]:
        """Appends the reports whose steps are not there yet, in one write; gives those back."""
        fresh: list[Report] = []
        for report in reports:
            if not self._ended and report.step > self._last_step:
                self._last_step = report.step
                fresh.append(self._known.get(report.step, report))
        if fresh:
            self._append(*({"kind": "report", **asdict(report)} for report in fresh))
        return tuple(fresh)

    def restate(self) -> tuple[Report, ...]:
        """Appends all that earlier attempts reported; gives it back."""
        return self.report(*(self._known[step] for step in sorted(self._known)))

    def end(self, end: End) -> bool:
        """Appends the end unless there is one already; whether it was new."""
        if self._ended:
            return False
        self._append({"kind": "end", **asdict(end)})
        self._ended = True
        self._file.close()
        return True

    def close(self) -> None:
        """Closes the file; an attempt that has not ended stays open to a later one."""
        self._file.close()

    def _append(self, *events: Mapping[str, Any]) -> None:
        lines = spool_lines(events)
        try:
            written = 0
            while written < len(lines):
                written += self._file.write(lines[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut()
            raise _disk_error(error, self.folder) from error
        self._length += len(lines)

    def _cut(self) -> None:
        """Takes back what a full disk let through of the last lines."""
        with suppress(OSError):
            self._file.truncate(self._length)


ATTEMPT = "attempt-"
"""How the names of attempts begin."""


def attempt_folder(study: Path, uid: str, attempt: int) -> Path:
    """Where the k-th execution of a run leaves its outputs."""
    return Path(f"{study}/runs/{uid}/{ATTEMPT}{attempt}")  # in one piece: of 10,000 runs the steps would take a second


def attempts(study: Path, uid: str) -> list[int]:
    """The numbers of a run's executions, from 1, rising; empty where there is none yet."""
    try:
        with os.scandir(f"{study}/runs/{uid}") as entries:
            numbers = [entry.name[len(ATTEMPT) :] for entry in entries if entry.name.startswith(ATTEMPT)]
    except FileNotFoundError:
        return []
    return sorted(int(number) for number in numbers if number.isdigit())


def last_attempt(study: Path, uid: str) -> int:
    """The number of the current attempt, 0 where there is none yet (attempts count from 1)."""
    return max(attempts(study, uid), default=0)


def read_plan(study: Path, uid: str) -> Run:
    """The plan of a run.

    Raises:
        DataError: it is missing, damaged or another run's.
    """
    path = Path(f"{study}/runs/{uid}/run.json")
    try:
        run = Run(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a run plan: {error}") from error
    if run.uid != uid:  # paths are made of it
        raise DataError(f"{path}: the plan of run {run.uid!r}, expected that of {uid!r}")
    return run


def read_run(study: Path, uid: str) -> RunRecord:
    """A run as its current attempt left it.

    Raises:
        DataError: the plan or a line before the last is damaged.
    """
    return _read_attempt(study, uid, last_attempt(study, uid))


def read_runs(study: Path) -> Iterator[RunRecord]:
    """Every run of a study that has begun, in the order of their uids."""
    for uid in run_uids(study):
        attempt = last_attempt(study, uid)
        if attempt:
            yield _read_attempt(study, uid, attempt)


def run_uids(study: Path) -> list[str]:
    """The uids of all runs that have a plan."""
    runs = study / "runs"
    folders = runs.iterdir() if runs.is_dir() else ()
    return sorted(folder.name for folder in folders if (folder / "run.json").exists())


def _reported(study: Path, uid: str) -> dict[int, Report]:
    """What all attempts of a run have reported, by update; of two reports the first, and whatever a damaged spool
    still tells."""
    known: dict[int, Report] = {}
    for attempt in attempts(study, uid):
        for event in inspect_spool(attempt_folder(study, uid, attempt) / "spool.jsonl").events:
            if event.pop("kind") == "report":
                known.setdefault(event["step"], Report(**event))
    return known


def _read_attempt(study: Path, uid: str, attempt: int) -> RunRecord:
    path = attempt_folder(study, uid, attempt) / "spool.jsonl"
    started, reports, end = path.parent.stat().st_mtime if attempt else 0.0, [], None  # until its first line is there
    try:
        for event in read_spool(path):
            kind = event.pop("kind")
            if kind == "report":
                reports.append(Report(**event))
            elif kind == "end":
                end = End(**event)
            else:
                started = event["time"]
    except (TypeError, KeyError) as error:
        raise DataError(f"{path}: not of this version: {error}") from error
    return RunRecord(read_plan(study, uid), attempt, started, tuple(reports), end)


def _write_plan(study: Path, run: Run) -> None:
    path = study / "runs" / run.uid / "run.json"
    if path.exists():
        return
    write_atomically(path, json.dumps(asdict(run), indent=1, allow_nan=False))


def check_links(study: Path) -> None:
    """Makes sure that nothing in a study's folder leads out of it, before anything is written there.

    Raises:
        DataError: it holds a link.
    """
    if study.is_dir() and (link := next(_links(study), None)):
        raise DataError(f"{link} is a link; a study's folder holds none, for it could lead out of it: remove it")


def _links(folder: str | Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield entry.path
            elif entry.is_dir():
                yield from _links(entry.path)


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or nothing: a temporary file, fsync, rename.

    Raises:
        DiskError: the disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _disk_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, as fsync does a file's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_error(error: OSError, path: Path) -> DiskError:
    return DiskError(
        f"cannot write {path}: {error.strerror or error}; free space or name another folder under storage.results"
    )
