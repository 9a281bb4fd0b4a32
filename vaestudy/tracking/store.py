"""Every call of MLflow, but for the bulk reading of ``history``: safe to repeat, and its failures are ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TypeVar

from mlflow import Image, MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_LOGGED_IMAGES, MLFLOW_MODEL_IS_EXTERNAL
from sqlalchemy.exc import SQLAlchemyError

from vaestudy.errors import ServiceError
from vaestudy.tracking.address import SQLITE, store_file
from vaestudy.tracking.history import HISTORY_ROWS, bulk_history
from vaestudy.tracking.rows import PROGRESS
from vaestudy.tracking.stored import DataSet, Model, Picture, RefusedError, Row, Status, StoredRun

HASH_TAG = "study_hash"
ROWS_PER_CALL, ENTRIES_PER_CALL = 800, 100
"""MLflow takes 1,000 entities a call, of them 100 parameters and 100 tags."""
PAGE = 1000

OLDEST_FIRST = ["attributes.start_time ASC", "attributes.run_id ASC"]
REFUSALS = (
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
)

T = TypeVar("T")


class Store:
    """An MLflow store at an address without login; ``address.connect`` makes one."""

    def __init__(self, uri: str):
        self._uri = uri
        with self._translated():
            self._client = MlflowClient(uri)

    def ping(self) -> None:
        """Asks for one experiment.

        Raises:
            ServiceError: no answer, or refused; says how to test it.
        """
        with self._translated():
            self._client.search_experiments(max_results=1)

    def experiment(self, name: str, study_hash: str, tags: Mapping[str, str]) -> str:
        """The id of the study's experiment, made if there is none.

        Its name is the study's, or, where another study (or a deleted one) has that name, name and hash.
        """
        for candidate in _names(name, study_hash):
            with self._translated():
                found = self._client.get_experiment_by_name(candidate)
                if found is None:
                    return self._client.create_experiment(candidate, self._artifacts(), {**tags, HASH_TAG: study_hash})
            if _is_ours(found, study_hash):
                return str(found.experiment_id)
        raise ServiceError(
            f"the experiment {candidate!r} at {self._uri} was deleted; restore it there, "
            "or remove it for good with: mlflow gc"
        )

    def find_experiment(self, name: str, study_hash: str) -> str | None:
        """The id of the study's experiment; None where there is none."""
        for candidate in _names(name, study_hash):
            with self._translated():
                found = self._client.get_experiment_by_name(candidate)
            if found is not None and _is_ours(found, study_hash):
                return str(found.experiment_id)
        return None

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of an experiment."""
        with self._translated():
            for key, value in tags.items():
                self._client.set_experiment_tag(experiment_id, key, value)

    def runs(self, experiment_id: str) -> dict[str, StoredRun]:
        """Every run of an experiment by its tag ``uid``.

        A server that is slower than our patience can complete a request that we repeat: of two runs with one uid the
        older is kept and the other deleted.
        """
        found: dict[str, StoredRun] = {}
        for run in self._all_runs(experiment_id):
            uid = run.data.tags.get("uid")
            if uid is None:
                continue
            if uid not in found:
                found[uid] = _stored(run)
            elif run.info.lifecycle_stage == "active":
                with self._translated():
                    self._client.delete_run(run.info.run_id)
        return found

    def every_run(self, experiment_id: str) -> list[StoredRun]:
        """Every run of an experiment that has a tag ``uid``, doubled and deleted ones too, the oldest first."""
        return [_stored(run) for run in self._all_runs(experiment_id) if "uid" in run.data.tags]

    def history(self, run_ids: Sequence[str], key: str) -> dict[str, list[Row]]:
        """All stored values of a metric, by run, in one request for a hundred runs."""
        found: dict[str, list[Row]] = {run_id: [] for run_id in run_ids}
        for piece in _pieces(run_ids):
            for run_id, row in self._history(piece, key):
                found[run_id].append(row)
        return found

    def _history(self, run_ids: Sequence[str], key: str) -> list[tuple[str, Row]]:
        with self._translated():
            rows = bulk_history(self._client, self._uri, run_ids, key)
            if len(rows) < HISTORY_ROWS:
                return rows
            if len(run_ids) == 1:
                whole = self._client.get_metric_history(run_ids[0], key)
                return [(run_ids[0], Row(key, m.value, m.timestamp, m.step)) for m in whole]
        half = len(run_ids) // 2
        return self._history(run_ids[:half], key) + self._history(run_ids[half:], key)

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], started: int) -> str:
        """A new run, RUNNING since ``started`` (milliseconds since 1970)."""
        with self._translated():
            run = self._client.create_run(experiment_id, start_time=started, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        rows: Sequence[Row] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        model: Model | None = None,
    ) -> None:
        """Sends rows, parameters and tags in as few calls as MLflow allows; a step's rows go in one transaction."""
        metrics = [[_metric(row, model) for row in piece] for piece in _whole_steps(rows)]
        param_pieces = _pieces([Param(key, value) for key, value in (params or {}).items()])
        tag_pieces = _pieces([RunTag(key, value) for key, value in (tags or {}).items()])
        with self._translated():
            for entries in zip_longest(metrics, param_pieces, tag_pieces, fillvalue=()):
                self._client.log_batch(run_id, *entries)

    def log_data(self, run_id: str, data: DataSet) -> None:
        """Names the data set that a run trains on."""
        dataset = Dataset(data.name, data.digest, source_type="vaestudy", source=data.section)
        with self._translated():
            self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "train")])])

    def log_files(self, run_id: str, files: Mapping[str, Path | bytes]) -> None:
        """Uploads files under the names given; a file sent twice replaces itself."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            with self._translated():
                self._client.log_artifacts(run_id, folder)

    def log_pictures(self, run_id: str, pictures: Sequence[Picture]) -> None:
        """Puts pictures into the image grid; one sent twice replaces itself.

        The files are those of ``MlflowClient.log_image``, which cannot be repeated: it names them at random.
        """
        if not pictures:
            return
        with tempfile.TemporaryDirectory() as folder, self._translated():
            for picture in pictures:
                name = f"{picture.key}+step+{picture.step}+timestamp+{picture.time}+{picture.uid}"
                for ending in (".png", "+compressed.webp"):  # what the grid opens, and what it shows
                    Image(picture.pixels).save(f"{folder}/{name}{ending}")
            self._client.log_artifacts(run_id, folder, "images")
            self._client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, "True")

    def model(self, experiment_id: str, run_id: str, name: str, params: Mapping[str, str]) -> str:
        """The id of a run's entry on the Models page, without weights, made if there is none."""
        with self._translated():
            found = self._client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'", max_results=1)
            model = (
                found[0]
                if found
                else self._client.create_logged_model(
                    experiment_id, name, run_id, {MLFLOW_MODEL_IS_EXTERNAL: "true"}, dict(params), "vae"
                )
            )
            if model.status != LoggedModelStatus.READY:
                self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        return str(model.model_id)

    def close(self, run_id: str, status: Status, ended: int) -> None:
        """Ends a run at ``ended`` (milliseconds since 1970)."""
        with self._translated():
            self._client.set_terminated(run_id, status, ended)

    def reopen(self, run_id: str) -> None:
        """Sets an ended run RUNNING again."""
        with self._translated():
            self._client.update_run(run_id, "RUNNING")

    def restore(self, run_id: str) -> None:
        """Takes back that a run was deleted."""
        with self._translated():
            self._client.restore_run(run_id)

    def retire(self, run_id: str) -> None:
        """Deletes a run that another one with its uid is to replace."""
        with self._translated():
            self._client.delete_tag(run_id, "uid")
            self._client.delete_run(run_id)

    def untag(self, run_id: str, key: str) -> None:
        """Takes a tag off a run."""
        with self._translated():
            self._client.delete_tag(run_id, key)

    def _all_runs(self, experiment_id: str) -> Iterator[MlflowRun]:
        token: str | None = None
        while True:
            with self._translated():
                page = self._client.search_runs([experiment_id], "", ViewType.ALL, PAGE, OLDEST_FIRST, token)
            yield from page
            token = page.token
            if not token:
                return

    def _artifacts(self) -> str | None:
        # A server decides for itself. A bare database would put files under the current folder.
        return (store_file(self._uri).parent / "mlartifacts").as_uri() if self._uri.startswith(SQLITE) else None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            if error.error_code in REFUSALS:
                raise RefusedError(f"MLflow at {self._uri} refuses: {_first_line(error)}") from error
            raise ServiceError(self._why(error, error.error_code)) from error
        except SQLAlchemyError as error:
            raise ServiceError(self._why(error)) from error
        except OSError as error:  # artifacts: a lost connection, or a full disk
            raise ServiceError(f"MLflow at {self._uri}: files cannot be stored: {_first_line(error)}") from error

    def _why(self, error: Exception, code: str = "") -> str:
        if self._uri.startswith(SQLITE):
            path = store_file(self._uri)
            return f"the MLflow store {path} cannot be used: {_first_line(error)}; test it with: sqlite3 {path} .tables"
        if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return (
                f"MLflow at {self._uri} refuses us: {_first_line(error)}; check the login in the credential, "
                f"and test it with: curl -u USER {self._uri}/api/2.0/mlflow/experiments/search?max_results=1"
            )
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"MLflow at {self._uri} has a certificate that is not trusted here; let "
                f"MLFLOW_TRACKING_SERVER_CERT_PATH name its authority's, and test it with: curl --cacert FILE "
                f"{self._uri}/health"
            )
        return f"MLflow at {self._uri} does not answer: {_first_line(error)}; test it with: curl {self._uri}/health"


def _names(name: str, study_hash: str) -> tuple[str, str]:
    """What the experiment of a study may be called."""
    return name, f"{name}-{study_hash[:8]}"


def _is_ours(experiment: Experiment, study_hash: str) -> bool:
    return experiment.lifecycle_stage == "active" and experiment.tags.get(HASH_TAG) == study_hash


def _stored(run: MlflowRun) -> StoredRun:
    return StoredRun(
        run.info.run_id,
        run.info.status,
        run.info.lifecycle_stage != "active",
        int(run.data.metrics.get(PROGRESS, -1)),
        run.data.tags,
        frozenset(run.data.metrics),
    )


def _metric(row: Row, model: Model | None) -> Metric:
    if model is None:
        return Metric(row.key, row.value, row.time, row.step)
    return Metric(row.key, row.value, row.time, row.step, model.model_id, model.data.name, model.data.digest)


def _whole_steps(rows: Iterable[Row]) -> list[list[Row]]:
    # MLflow commits the metrics of a call together, so what it has of a step is all of it or nothing.
    pieces: list[list[Row]] = []
    for _, group in groupby(rows, key=lambda row: row.step):
        step = list(group)
        if pieces and len(pieces[-1]) + len(step) <= ROWS_PER_CALL:
            pieces[-1] += step
        else:
            pieces.append(step)
    return pieces


def _pieces(entries: Sequence[T]) -> list[Sequence[T]]:
    return [entries[start : start + ENTRIES_PER_CALL] for start in range(0, len(entries), ENTRIES_PER_CALL)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
