"""What commands do where a study's driver runs in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeGuard

from vaestudy.cli.output import Output
from vaestudy.errors import UsageError

if TYPE_CHECKING:
    from vaestudy.execution import ClusterJob, JobServer
    from vaestudy.study.status import Status


def is_server(address: str | None) -> TypeGuard[str]:
    """Whether an address is that of a job server, not of Ray itself."""
    return address is not None and address.startswith(("http://", "https://"))


def server(address: str) -> JobServer:
    """The job server at an address.

    Raises:
        UsageError: it is none of a job server.
    """
    from vaestudy.execution import JobServer

    if not is_server(address):
        raise UsageError(f"--address: expected a job server such as http://head:8265, got {address!r}")
    return JobServer(address.rstrip("/"))


def at(address: str | None) -> str:
    """The option that says so again."""
    return f" --address {address}" if address else ""


def follow(output: Output, name: str, address: str, job: ClusterJob, wait: bool) -> None:
    """Says how to follow a job; with ``wait`` stays until it has ended."""
    output.result(f"Submitted as {job.id}.")
    output.note(f"Follow it with: vaestudy status {name} --watch{at(address)}")
    if wait:
        _check(server(address).wait(job.id))


def resume(output: Output, name: str, address: str, options: Sequence[str]) -> None:
    """Goes on with a submitted study."""
    from vaestudy.study.submit import resume as resume_study

    follow(output, name, address, resume_study(server(address), name, options), wait=False)


def stop(name: str, address: str) -> None:
    """Saves a submitted study and stops it."""
    from vaestudy.study.submit import stop as stop_study

    stop_study(server(address), name)


def looker(name: str, address: str) -> Callable[[], Status]:
    """Looks how far a submitted study is."""
    from vaestudy.study.submit import remote_status

    asked = server(address)
    return lambda: remote_status(asked, name)


def logs(name: str, address: str) -> str:
    """What the driver of a submitted study has printed."""
    from vaestudy.study.submit import logs as logs_of

    return logs_of(server(address), name)


def _check(job: ClusterJob) -> None:
    from vaestudy.study.submit import RemoteError, describe

    if job.state != "SUCCEEDED":
        raise RemoteError(describe(job), job.code or RemoteError.exit_code)
