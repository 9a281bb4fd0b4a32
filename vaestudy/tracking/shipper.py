"""From the spools to MLflow, as often as needed: every pass sends what MLflow does not have yet.

MLflow itself says what it has (a run is found by its tag ``uid``, its progress is its metric ``cost/updates``), so a
killed shipper, a lost reply or a server restored from yesterday need no special case: the next pass asks again.
``shipped.json`` beside ``runs/`` tells others where each run is and how far; the shipper never reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from vaestudy.errors import DataError, ServiceError, VaestudyError
from vaestudy.records import RunRecord, attempt_folder, last_attempt, read_run, run_uids, write_atomically
from vaestudy.spec import Study
from vaestudy.tracking.backlog import SHIPPED
from vaestudy.tracking.pictures import pictures
from vaestudy.tracking.session import Session, Subject
from vaestudy.tracking.stored import RefusedError

RunFigures = Callable[[RunRecord, Path], Mapping[str, Path | bytes]]
StudyFiles = Callable[[Path], Mapping[str, bytes]]
Answers = Callable[[Path], Sequence[str]]

PLACES_SECONDS = 5.0
"""How often a long pass says how far it is."""


class SupersededError(VaestudyError):
    """Another process is to send the study from now on."""


class Shipper:
    """Sends one study to MLflow. One process per study does so; it may be killed at any moment.

    Attributes:
        problems: why a run is not in MLflow, by uid: its spool is damaged, or MLflow refuses it; the others go on.
    """

    def __init__(
        self,
        study: Study,
        study_hash: str,
        folder: Path,
        uri: str,
        *,
        command: str,
        run_figures: RunFigures,
        study_files: StudyFiles,
        answers: Answers,
        superseded: Callable[[], bool] = lambda: False,
    ):
        """
        Args:
            folder: the study's folder, the one with ``runs/``.
            uri: from ``tracking_uri``; may hold a login.
            command: what the user typed, shown as the source of every run.
            run_figures: figures by file name, of an ended run and the folder of its attempt.
            study_files: what the study's own run carries by path, of the study's folder.
            answers: what may be said so far of each workload and budget, of the study's folder.
            superseded: whether another process is to go on; asked before each run.
        """
        self.problems: dict[str, str] = {}
        self._subject = Subject(study, study_hash, command)
        self._folder = folder
        self._uri = uri
        self._run_figures = run_figures
        self._study_files = study_files
        self._answers = answers
        self._superseded = superseded
        self._session: Session | None = None
        self._seen: dict[str, tuple[int, int]] = {}

    def ship(self) -> int:
        """Sends everything that is new; returns the number of rows sent. Where a stage has ended, so that another one
        has begun in its cell, the answer is written anew.

        Raises:
            ServiceError: not now; call again later, nothing is lost or doubled.
            SupersededError: another process is to go on.
        """
        with self._conversation() as session:
            before = frozenset(session.begun)
            shipped = self._ship_runs(session)
            if any(stage != "search" for _, stage in session.begun - before):
                session.tell(self._records(session), self._answers(self._folder), decided=False)
        return shipped

    def finish(self) -> None:
        """Sends the rest, marks the winners, writes the answer and ends the study's run.

        A run that has not ended is marked as interrupted; it goes on where it is when the study is resumed.

        Raises:
            ServiceError: not now; call again later.
            SupersededError: another process is to go on; nothing is marked as ended.
        """
        with self._conversation() as session:
            self._ship_runs(session)
            self._give_way()
            records = self._records(session)
            interrupted = [record for record in records if record.end is None]
            for record in interrupted:
                session.interrupt(record)
            session.tell(records, self._answers(self._folder), decided=True)
            session.close(not interrupted, self._study_files(self._folder))
            self._write_places(session)
        self._session = None  # what comes after a study's end is a new conversation
        self._seen.clear()

    def _records(self, session: Session) -> list[RunRecord]:
        """The runs that MLflow has."""
        known = [uid for uid in run_uids(self._folder) if uid in session.runs and uid not in self.problems]
        return [read_run(self._folder, uid) for uid in known]

    def _ship_runs(self, session: Session) -> int:
        shipped = 0
        told = time.monotonic()
        for uid in run_uids(self._folder):
            self._give_way()
            shipped += self._ship_run(session, uid)
            if time.monotonic() - told > PLACES_SECONDS:
                self._write_places(session)
                told = time.monotonic()
        session.refresh_views()
        if shipped:
            self._write_places(session)
        return shipped

    def _give_way(self) -> None:
        if self._superseded():
            raise SupersededError("another process is to send the study from now on")

    def _ship_run(self, session: Session, uid: str) -> int:
        attempt = last_attempt(self._folder, uid)
        known = session.runs.get(uid)
        if attempt == 0 or (known and known.settled == attempt):
            return 0
        spool = attempt_folder(self._folder, uid, attempt) / "spool.jsonl"
        state = (attempt, spool.stat().st_size if spool.exists() else 0)
        if state[1] == 0 or self._seen.get(uid) == state:
            return 0
        try:
            sent = self._send(session, uid)
        except (RefusedError, DataError) as error:
            self.problems[uid] = str(error)
            return 0
        self.problems.pop(uid, None)
        self._seen[uid] = state
        return sent

    def _send(self, session: Session, uid: str) -> int:
        record = read_run(self._folder, uid)
        sent = session.progress(record)
        if record.end:
            folder = attempt_folder(self._folder, uid, record.attempt)
            sheets = pictures(record, folder) if self._subject.study.tracking.figures else []
            sent += session.end(record, self._run_figures(record, folder), sheets)
        return sent

    @contextmanager
    def _conversation(self) -> Iterator[Session]:
        self._give_way()
        try:
            if self._session is None:
                self._session = Session(self._subject, self._uri)
            yield self._session
        except ServiceError:
            self._session = None
            self._seen.clear()
            raise

    def _write_places(self, session: Session) -> None:
        places = {
            "experiment_id": session.experiment_id,
            "study_run": session.study_run.run_id,
            "runs": {uid: asdict(shipped) for uid, shipped in session.runs.items()},
        }
        write_atomically(self._folder / SHIPPED, json.dumps(places, indent=1))
