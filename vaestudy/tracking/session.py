"""One conversation with MLflow about one study: what it has, and everything that is sent."""

from __future__ import annotations

import getpass
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaestudy.errors import ServiceError
from vaestudy.records import OUTCOMES, Run, RunRecord, trial_name
from vaestudy.spec import Study
from vaestudy.tracking import rows, views
from vaestudy.tracking.address import connect
from vaestudy.tracking.note import note
from vaestudy.tracking.stored import Model, Picture, RefusedError, StoredRun

NOTE_TAG = "mlflow.note.content"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is shown: a study, its hash, and the command line that began it."""

    study: Study
    study_hash: str
    command: str


@dataclass
class Shipped:
    """What MLflow has of one run.

    Attributes:
        step: the last update that was sent, -1 for none.
        settled: the attempt whose end was sent, 0 for none.
        described: the attempt under which its parameters and tags were sent in this session, 0 for none.
    """

    run_id: str
    status: str = "RUNNING"
    deleted: bool = False
    best: bool = False
    step: int = -1
    settled: int = 0
    described: int = 0


class Session:
    """A connection that knows what MLflow has. After a failure nobody knows: begin a new one.

    Attributes:
        begun: the cells and stages of the runs that MLflow has.
    """

    def __init__(self, subject: Subject, uri: str):
        """
        Raises:
            ServiceError: MLflow does not answer.
        """
        self._study = subject.study
        self._source = {**subject.study.tracking.tags, **_source(subject.command)}
        self._data = {name: rows.data_set(workload) for name, workload in subject.study.workloads.items()}
        self._store = connect(uri)
        self.experiment_id = self._store.experiment(
            subject.study.name, subject.study_hash, _experiment_tags(subject.study)
        )
        found = self._store.runs(self.experiment_id)
        self.runs = {uid: _shipped(run) for uid, run in found.items()}
        self.begun = {(run.tags.get("cell", ""), run.tags.get("stage", "")) for run in found.values()}
        self._metrics: set[str] = set().union(*(run.metrics for run in found.values()))
        self._viewed = views.Known()
        self.study_run = self._study_run(subject.study_hash)

    def progress(self, record: RunRecord) -> int:
        """Sends what is new of a run up to its end; returns the number of rows.

        Raises:
            RefusedError: the run was deleted in MLflow.
            ServiceError: MLflow does not answer.
        """
        shipped = self._begun(record)
        if shipped.status != "RUNNING":
            self._store.reopen(shipped.run_id)
            shipped.status = "RUNNING"
        new = rows.curve_rows(record, shipped.step)
        self._describe(shipped, record)
        self._store.log(shipped.run_id, new)
        # A new attempt begins behind what was sent; what it measures again was sent already.
        shipped.step = max([shipped.step, *(report.step for report in record.reports)])
        self._metrics |= {row.key for row in new}
        return len(new)

    def end(self, record: RunRecord, figures: Mapping[str, Path | bytes], pictures: Sequence[Picture] = ()) -> int:
        """Sends the end of a run, which ``progress`` has begun; returns the number of rows. Its status comes last: a
        run that MLflow has as ended is there in full."""
        assert record.end is not None
        shipped = self.runs[record.run.uid]
        summary = rows.summary_rows(record)
        self._store.log(shipped.run_id, summary, tags=rows.tags(record), model=self._model(shipped.run_id, record.run))
        self._store.log_files(shipped.run_id, {f"figures/{name}": content for name, content in figures.items()})
        self._store.log_pictures(shipped.run_id, pictures)
        shipped.status = rows.status(record)
        self._store.close(shipped.run_id, rows.status(record), rows.ended(record, time.time()))
        shipped.settled = record.attempt
        self._metrics |= {row.key for row in summary}
        return len(summary)

    def interrupt(self, record: RunRecord) -> None:
        """Marks a run that has not ended as stopped with its study."""
        shipped = self.runs[record.run.uid]
        self._store.log(shipped.run_id, tags={"outcome": rows.INTERRUPTED})
        self._store.close(shipped.run_id, "KILLED", rows.ended(record, time.time()))
        shipped.status = "KILLED"

    def tell(self, records: Sequence[RunRecord], answers: Sequence[str], decided: bool) -> None:
        """Marks the winners so far, writes the answer so far into the note, zooms the views to where methods differ.

        Args:
            decided: whether no run follows, so that the views may leave out what did not win.
        """
        self._mark_best(rows.best(self._study, records))
        text = {NOTE_TAG: note(self._study, records, self.experiment_id, answers)}
        self._store.tag_experiment(self.experiment_id, text)
        self._store.log(self.study_run.run_id, tags=text)
        self._write_views(views.Known(frozenset(self._metrics), rows.final_nelbo(self._study, records), decided))

    def _mark_best(self, uids: set[str]) -> None:
        """Tags these runs, and no others, with ``best``."""
        for uid, shipped in self.runs.items():
            if shipped.deleted:
                continue
            if uid in uids and not shipped.best:
                self._store.log(shipped.run_id, tags={"best": "yes"})
            elif shipped.best and uid not in uids:
                self._store.untag(shipped.run_id, "best")
            shipped.best = uid in uids

    def refresh_views(self) -> None:
        """Writes the saved views where there are metrics that they do not know."""
        if self._metrics != self._viewed.metrics:
            self._write_views(replace(self._viewed, metrics=frozenset(self._metrics)))

    def close(self, complete: bool, files: Mapping[str, bytes]) -> None:
        """Ends the study's run, which gets the report's files."""
        self._store.log_files(self.study_run.run_id, files)
        self._store.close(self.study_run.run_id, "FINISHED" if complete else "KILLED", rows.milliseconds(time.time()))

    def _write_views(self, known: views.Known) -> None:
        try:
            self._store.tag_experiment(self.experiment_id, views.tags(self._study, known))
        except RefusedError as error:  # their form is not documented: a server may know another one
            log.warning("saved views left out: %s", error)
        self._viewed = known

    def _describe(self, shipped: Shipped, record: RunRecord) -> None:
        if shipped.described == record.attempt:
            return
        tags = {**rows.tags(record), "outcome": rows.RUNNING}
        self._store.log(shipped.run_id, params=rows.params(self._study, record.run), tags=tags)
        self._store.log_data(shipped.run_id, self._data[record.run.workload])
        shipped.described = record.attempt

    def _begun(self, record: RunRecord) -> Shipped:
        uid = record.run.uid
        if uid not in self.runs:
            tags = {
                **self._source,
                **rows.tags(record),
                "mlflow.parentRunId": self.study_run.run_id,
                "outcome": rows.RUNNING,
            }
            started = rows.milliseconds(record.started)
            self.begun.add((record.run.cell, record.run.stage))
            self.runs[uid] = Shipped(self._store.create_run(self.experiment_id, record.run.name, tags, started))
        if self.runs[uid].deleted:
            raise RefusedError(f"{record.run.name} was deleted in MLflow")
        return self.runs[uid]

    def _model(self, run_id: str, run: Run) -> Model | None:
        if run.stage != "confirm":
            return None
        name = f"{run.method}-{trial_name(run.trial).removeprefix('#')}-seed-{run.seed}".replace(
            ".", "-"
        )  # MLflow forbids dots here
        return Model(
            self._store.model(self.experiment_id, run_id, name, rows.params(self._study, run)), self._data[run.workload]
        )

    def _study_run(self, study_hash: str) -> Shipped:
        name = f"STUDY {self._study.name}"
        if study_hash not in self.runs:
            text = note(self._study, (), self.experiment_id)
            tags = {**self._source, "role": "study", "uid": study_hash, NOTE_TAG: text}
            return Shipped(self._store.create_run(self.experiment_id, name, tags, rows.milliseconds(time.time())))
        known = self.runs.pop(study_hash)
        if known.deleted:
            raise ServiceError(f"the run {name!r} was deleted in MLflow; restore it there to go on")
        if known.status != "RUNNING":
            self._store.reopen(known.run_id)
        return known


def _shipped(run: StoredRun) -> Shipped:
    ended = run.status != "RUNNING" and run.tags.get("outcome") in OUTCOMES
    settled = int(run.tags["attempt"]) if ended else 0
    return Shipped(run.run_id, run.status, run.deleted, "best" in run.tags, run.step, settled)


def _experiment_tags(study: Study) -> dict[str, str]:
    return {
        **study.tracking.tags,
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": rows.primary_metric(study),
        "mlflow.experiment.primaryMetric.greaterIsBetter": "false",
    }


def _source(command: str) -> dict[str, str]:
    # Of any type but JOB, MLflow shows only what follows the last slash.
    return {"mlflow.source.name": command, "mlflow.source.type": "JOB", "mlflow.user": _user()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
