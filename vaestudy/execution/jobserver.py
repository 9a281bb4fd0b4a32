"""A Ray cluster's job server: there a study's driver is started from elsewhere, and asked after.

What became of a job is read from its status and exit code; what it printed is for people, and for answers of jobs that
have ended.
"""

from __future__ import annotations

import logging
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vaestudy.errors import ConflictError, ServiceError, UsageError
from vaestudy.execution.cluster import check_token

State = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
POLL_SECONDS = 0.5
ANSWER_SECONDS = 120.0

VAESTUDY = ("python", "-m", "vaestudy")
"""How a job calls us, in the folder that travelled with it."""

NOISY = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of Ray's client, which tell of every package."""

ANSWERING = 'said=$({command} 2>&1); code=$?; echo "$said" | sed "s/^/{mark} /"; exit $code'
"""Marks each line of an answer: Ray writes lines of its own into the same file, before it, between and after."""


def job_id(study: str, number: int) -> str:
    """The name of a study's job; the first one is number 1."""
    return f"vaestudy-{study}-{number}"


@dataclass(frozen=True)
class ClusterJob:
    """A job as its server tells of it.

    Attributes:
        facts: what was said of it when it was submitted.
        message: the server's words on its status.
        code: the exit code of its command; None before its end, or where it never began.
        started: seconds since 1970.
    """

    id: str
    state: State
    facts: Mapping[str, str]
    message: str
    code: int | None
    started: float

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True)
class Answer:
    """What a command that has ended in the cluster printed, and its exit code."""

    text: str
    code: int


class JobServer:
    """The job server at an address such as ``http://head:8265``."""

    def __init__(self, address: str):
        """
        Raises:
            UsageError: ``ray[default]`` is not installed here. ServiceError: nothing answers, or it refuses us, or we
                have no token for it.
        """
        self.address = address
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError as error:
            raise _lacking() from error
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)
        check_token(f"Ray's job server at {address}")
        with self._translated():
            try:
                self._client = JobSubmissionClient(address)
            except RuntimeError as error:
                if "ray[default]" in str(error):
                    raise _lacking() from error
                raise

    def submit(self, study: str, arguments: Sequence[str], parcel: Path, facts: Mapping[str, str]) -> ClusterJob:
        """Begins a command of ours in the cluster, as the next job of a study.

        Args:
            arguments: of ``vaestudy``.
            parcel: a folder that travels; the command runs in it.
            facts: kept with the job; the study's name is among them, as ``study``.

        Raises:
            ConflictError: somebody submitted the study at the same moment.
        """
        number = 1 + max((int(job.id.rpartition("-")[2]) for job in self.jobs(study)), default=0)
        name = job_id(study, number)
        with self._translated():
            try:
                self._submit(name, shlex.join([*VAESTUDY, *arguments]), parcel, facts)
            except RuntimeError as error:
                if "already exists" in str(error):
                    raise ConflictError(f"study {study!r} is being submitted by somebody else: {name}") from error
                raise
        return self.job(name)

    def jobs(self, study: str) -> list[ClusterJob]:
        """Those of a study, the oldest first."""
        with self._translated():
            found = [_job(details) for details in self._client.list_jobs() if _is_of(details, study)]
        return sorted(found, key=lambda job: job.started)

    def job(self, name: str) -> ClusterJob:
        """One job, as it is now."""
        with self._translated():
            return _job(self._client.get_job_info(name))

    def wait(self, name: str, seconds: float | None = None) -> ClusterJob:
        """The job once it has ended.

        Raises:
            ServiceError: it has not, after so many seconds.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not (job := self.job(name)).ended:
            if deadline is not None and time.monotonic() > deadline:
                raise ServiceError(f"Ray at {self.address}: {name} has not ended after {seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        return job

    def output(self, name: str) -> str:
        """All that a job has printed so far."""
        with self._translated():
            return str(self._client.get_job_logs(name))

    def ask(self, arguments: Sequence[str], parcel: Path) -> Answer:
        """Runs a short command of ours in the cluster, to its end."""
        mark = secrets.token_hex(8)
        name = f"vaestudy-ask-{mark}"
        with self._translated():
            self._submit(name, ANSWERING.format(command=shlex.join([*VAESTUDY, *arguments]), mark=mark), parcel, {})
            job = self.wait(name, ANSWER_SECONDS)
            lines = self.output(name).splitlines(keepends=True)
            self._client.delete_job(name)
        if job.code is None:
            raise ServiceError(f"Ray at {self.address}: {job.message.splitlines()[0]}")
        said = [line.removeprefix(f"{mark} ") for line in lines if line.startswith(f"{mark} ")]
        return Answer("".join(said), job.code)

    def _submit(self, name: str, entrypoint: str, parcel: Path, facts: Mapping[str, str]) -> None:
        environment = {"working_dir": str(parcel)}
        self._client.submit_job(
            entrypoint=entrypoint, submission_id=name, runtime_env=environment, metadata=dict(facts)
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Ray's failures as ours."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # those of requests are OSErrors
            lines = str(error).strip().splitlines() or [type(error).__name__]
            hint = "; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as on the cluster" if "oken" in str(error) else ""
            raise ServiceError(
                f"Ray's job server at {self.address}: {lines[0][:300].rstrip('.')}{hint}; test it with: "
                f"curl {self.address}/api/version"
            ) from error


def _lacking() -> UsageError:
    return UsageError("submitting to a cluster needs Ray's job client; pip install 'vaestudy[cluster]'")


def _is_of(details: Any, study: str) -> bool:
    return bool(details.submission_id) and (details.metadata or {}).get("study") == study


def _job(details: Any) -> ClusterJob:
    return ClusterJob(
        str(details.submission_id),
        details.status.value,
        dict(details.metadata or {}),
        details.message or "",
        details.driver_exit_code,
        (details.start_time or 0) / 1000,
    )
