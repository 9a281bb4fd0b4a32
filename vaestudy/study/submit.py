"""Studies whose driver runs in a Ray cluster: begun, followed and gone on with by name, from anywhere.

The cluster's job server knows of each such study where its results lie and which plug-ins it needs; nothing about it
is kept here.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vaestudy.errors import ConflictError, UsageError, VaestudyError
from vaestudy.execution import ClusterJob, JobServer
from vaestudy.spec import Study, study_hash
from vaestudy.store import checked
from vaestudy.study.parcel import STUDY_FILE, pack
from vaestudy.study.status import Status

START_SECONDS = 120.0
"""What a driver may take to load, on hosts that have much else to do, before its study has a folder."""

WITHIN = ("--address", "auto")
"""The driver joins the cluster that it runs in."""


class RemoteError(VaestudyError):
    """A command of ours failed in the cluster; the exit code is its own."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code


def shared(results: str) -> str:
    """A folder on storage that every host of the cluster has at this path, or in an object store.

    Raises:
        UsageError: it is no absolute path, so hosts would not agree on it.
    """
    if "://" in results:
        return checked(results)
    if not PurePosixPath(results).is_absolute():
        raise UsageError(
            f"--results: expected an absolute path that every host of the cluster shares, got {results!r}; e.g. "
            f"--results /shared/{PurePosixPath(results).name or 'results'}"
        )
    return results


def facts(study: Study, results: str) -> dict[str, str]:
    """What a job server is to know of a study."""
    return {
        "study": study.name,
        "hash": study_hash(study),
        "results": results,
        "plugins": ",".join(study.plugins),
    }


def launching(results: str, options: Sequence[str] = ()) -> list[str]:
    """The arguments of ``vaestudy`` that begin a study in the cluster, or go on with it, where its parcel lies."""
    return ["launch", STUDY_FILE, *WITHIN, "--results", results, *options]


def submit(server: JobServer, study: Study, results: str, options: Sequence[str] = ()) -> ClusterJob:
    """Begins a study in a cluster, or goes on with it; whoever submits may leave.

    Args:
        results: the folder of all studies (``shared``).
        options: more of ``vaestudy launch``.

    Raises:
        UsageError: a plug-in cannot travel.
        ConflictError: a driver of the study runs there already.
    """
    _check_idle(server, study.name)
    with _parcel(study.plugins, study) as parcel:
        return server.submit(study.name, launching(results, options), parcel, facts(study, results))


def resume(server: JobServer, name: str, options: Sequence[str] = ()) -> ClusterJob:
    """Goes on with a study that was submitted.

    Args:
        options: of ``vaestudy resume``.

    Raises:
        ConflictError: it was never submitted there, or a driver of it runs already.
    """
    last = _check_idle(server, name) or _newest(server, name)
    arguments = ["resume", name, *WITHIN, "--results", last.facts["results"], *options]
    with _parcel(_plugins(last)) as parcel:
        return server.submit(name, arguments, parcel, last.facts)


def stop(server: JobServer, name: str) -> None:
    """Saves a submitted study and stops it; returns when it has.

    Raises:
        ConflictError: it was never submitted there. RemoteError: it is not running, or does not stop.
    """
    last = _newest(server, name)
    _ask(server, last, ["stop", name])
    server.wait(last.id)


def remote_status(server: JobServer, name: str) -> Status:
    """How far a submitted study is; waits for one whose driver is still starting, and has no folder yet.

    Raises:
        ConflictError: it was never submitted there, or has not begun. RemoteError: it cannot be told.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        last = _newest(server, name)
        try:
            return Status.load(json.loads(_ask(server, last, ["--json", "status", name])))
        except RemoteError as error:
            if error.exit_code != ConflictError.exit_code:
                raise
            if last.ended or time.monotonic() > deadline:
                raise ConflictError(f"study {name!r} has not begun; {describe(last)}") from error


def logs(server: JobServer, name: str) -> str:
    """What the newest driver of a submitted study has printed.

    Raises:
        ConflictError: it was never submitted there.
    """
    return server.output(_newest(server, name).id)


def describe(job: ClusterJob) -> str:
    """A job in a line."""
    why = f" (exit code {job.code})" if job.code else f": {job.message.splitlines()[0]}" if job.message else ""
    return f"job {job.id} is {job.state}{why}"


def _newest(server: JobServer, name: str) -> ClusterJob:
    jobs = server.jobs(name)
    if not jobs:
        raise ConflictError(f"no study {name!r} was submitted to {server.address}; begin with: vaestudy submit")
    return jobs[-1]


def _check_idle(server: JobServer, name: str) -> ClusterJob | None:
    """The newest job of a study, which must have ended; None where there was none."""
    jobs = server.jobs(name)
    if jobs and not jobs[-1].ended:
        raise ConflictError(
            f"{describe(jobs[-1])}; follow it with: vaestudy status {name} --watch --address {server.address}"
        )
    return jobs[-1] if jobs else None


def _ask(server: JobServer, job: ClusterJob, arguments: Sequence[str]) -> str:
    """What one of our commands says in the cluster, of the results of a job."""
    with _parcel(_plugins(job)) as parcel:
        answer = server.ask(["-q", *arguments, "--results", job.facts["results"]], parcel)
    if answer.code:
        said = [line for line in answer.text.splitlines() if line.strip()] or ["nothing"]
        raise RemoteError(f"in the cluster: {said[-1].removeprefix('vaestudy: error: ')}", answer.code)
    return answer.text


def _plugins(job: ClusterJob) -> list[str]:
    return [name for name in job.facts.get("plugins", "").split(",") if name]


@contextmanager
def _parcel(plugins: Sequence[str], study: Study | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vaestudy-parcel-") as folder:
        pack(Path(folder), plugins, study)
        yield Path(folder)
