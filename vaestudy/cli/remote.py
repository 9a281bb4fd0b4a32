"""The command that brings a study's driver into a cluster, and what others do where it is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeGuard

import typer

from vaestudy.cli.arguments import Overrides, StudyArgument, Until, load, parsed_results
from vaestudy.cli.output import Output
from vaestudy.errors import ConflictError, DiskError, UsageError
from vaestudy.store import ResultsFolder

if TYPE_CHECKING:
    from vaestudy.execution import ClusterJob, JobServer
    from vaestudy.spec import Study
    from vaestudy.study.status import Status

Place = Literal["ray", "kuberay", "slurm"]


def submit(
    context: typer.Context,
    study: StudyArgument,
    overrides: Overrides = None,
    on: Annotated[Place, typer.Option("--on", help="What runs there.")] = "ray",
    address: Annotated[
        str, typer.Option("--address", help="With ray: its job server.", envvar="RAY_API_SERVER_ADDRESS")
    ] = "http://127.0.0.1:8265",
    results: Annotated[
        ResultsFolder | None,
        typer.Option(
            "--results",
            parser=parsed_results,
            metavar="FOLDER",
            help="A folder that all hosts of the cluster share, or s3://BUCKET/FOLDER.",
            show_default="the study's",
        ),
    ] = None,
    until: Until = None,
    wait: Annotated[bool, typer.Option("--wait", help="With ray: stay until it ends, with its exit code.")] = False,
    hosts: Annotated[int, typer.Option("--hosts", min=1, help="With kuberay, slurm: so many that train.")] = 2,
    image: Annotated[str, typer.Option("--image", help="With kuberay: of its containers.")] = "vaestudy:latest",
    render: Annotated[
        Path | None,
        typer.Option("--render", help="With kuberay, slurm: only write what would be submitted, into this new folder."),
    ] = None,
) -> None:
    """Runs a study in a cluster, driver and all; whoever submits it may leave."""
    from vaestudy.study.submit import shared

    if on == "ray" and render is not None:
        raise UsageError("--render writes what Kubernetes and SLURM read; with it give --on kuberay or --on slurm")
    if on != "ray" and (wait or until):
        raise UsageError(f"--{'wait' if wait else 'until'} is for --on ray; budget.wall_clock limits a study anywhere")
    loaded = load(study, overrides, results)
    place = shared(str(results or loaded.storage.results))
    if on == "ray":
        _to_ray(context.obj, loaded, place, address, until, wait)
    elif on == "kuberay":
        _to_kuberay(context.obj, loaded, place, image, hosts, render)
    else:
        _to_slurm(context.obj, loaded, place, hosts, render)


def _to_ray(output: Output, study: Study, results: str, address: str, until: str | None, wait: bool) -> None:
    from vaestudy.study.submit import submit as submit_study

    job = submit_study(server(address), study, results, until_option(until))
    follow(output, study.name, address, job, wait)


def _to_kuberay(output: Output, study: Study, results: str, image: str, hosts: int, render: Path | None) -> None:
    from tempfile import TemporaryDirectory

    from vaestudy.study import kuberay

    if render is not None:
        with _new(render) as folder:
            kuberay.render(folder, study, results, image, hosts)
        output.result(f"Wrote {render}; submit it with: kubectl create -k {render}")
        return
    with TemporaryDirectory(prefix="vaestudy-kuberay-") as temporary:
        name = kuberay.render(Path(temporary), study, results, image, hosts)
        kuberay.create(Path(temporary), name)
    output.result(f"Submitted as RayJob {name}.")
    output.note(f"Look at it with: kubectl -n {kuberay.NAMESPACE} get rayjob {name}")


def _to_slurm(output: Output, study: Study, results: str, hosts: int, render: Path | None) -> None:
    from vaestudy.study import slurm
    from vaestudy.study.folder import StudyFolder

    if render is not None:
        with _new(render.resolve()) as folder:
            script = slurm.render(folder, study, results, hosts)
        output.result(f"Wrote {script.parent}; all nodes must have it there. Submit it with: sbatch {script}")
        return
    if "://" in results:
        raise UsageError(
            "--on slurm: what travels needs a folder that all nodes share, and an object store is none; write it into "
            "one with --render DIR, and submit it from there"
        )
    slurm.check()
    place = StudyFolder(Path(results) / study.name)
    place.agree(study)
    place.make()
    with _new(place.next_submission) as folder:
        script = slurm.render(folder, study, results, hosts)
    output.result(f"Submitted as SLURM job {slurm.batch(script)}.")
    output.note(f"It prints to {script.with_name(slurm.OUTPUT)}")
    output.note(f"Follow it with: vaestudy status {study.name} --watch --results {results}")


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """The folder, made just now; it goes again where it cannot be filled.

    Raises:
        ConflictError: it is there already. DiskError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise ConflictError(f"{folder} exists already; name another, e.g. {folder}-2") from None
    except OSError as error:
        raise DiskError(f"cannot make {folder}: {error.strerror}") from error
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder)
        raise


def until_option(until: str | None) -> list[str]:
    """The option that says so again."""
    return [] if until is None else ["--until", until]


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
