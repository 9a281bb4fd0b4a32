"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaestudy.errors import UsageError, nearest
from vaestudy.interrupts import loading
from vaestudy.store import ResultsFolder, results_at

if TYPE_CHECKING:
    from vaestudy.records import Stage
    from vaestudy.spec import Study
    from vaestudy.study.folder import StudyFolder

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a known study.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of a known study.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, e.g. search.trials=5.", show_default=False),
]


def parsed_results(text: str) -> ResultsFolder:
    """What ``--results`` means."""
    try:
        found = results_at(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    if not found.store and found.path.exists() and not os.access(found.path, os.R_OK):
        raise typer.BadParameter(f"path {text!r} is not readable")
    return found


Results = Annotated[
    ResultsFolder | None,
    typer.Option(
        "--results",
        parser=parsed_results,
        metavar="FOLDER",
        help="The folder of all studies, or s3://BUCKET/FOLDER.",
        show_default="./results",
    ),
]
Address = Annotated[
    str | None, typer.Option("--address", help="A Ray cluster, host:port or auto.", show_default="this machine")
]
JobServerAddress = Annotated[
    str | None,
    typer.Option(
        "--address", help="The job server of the cluster it was submitted to, http://host:8265.", show_default="here"
    ),
]
Until = Annotated[str | None, typer.Option("--until", help="Stop, resumable, after e.g. 90s, 30m, 2h.")]

Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", help="Run only search, target, confirm or sources; may be repeated.", show_default="all"),
]

DEFAULT_RESULTS = ResultsFolder(Path("results"))


def is_file(study: str) -> bool:
    """Whether a STUDY argument means a file rather than a name."""
    return study.endswith((".yaml", ".yml")) or "/" in study or Path(study).exists()


def load(study: str, overrides: Sequence[str] | None, results: ResultsFolder | None) -> Study:
    """The study that a STUDY argument means, after overrides."""
    path = Path(study) if is_file(study) else folder(study, results).resolved
    with loading():
        from vaestudy.spec.loader import load_study  # torch comes with it: a second that --help need not wait

        return load_study(path, overrides or ())


def folder(name: str, results: ResultsFolder | None) -> StudyFolder:
    """The folder of a study by name; of a study file, the folder of the name in it."""
    from vaestudy.study.folder import find

    place = results or DEFAULT_RESULTS
    if is_file(name):
        study = load(name, None, results)
        name, place = study.name, results or results_at(study.storage.results)
    return find(name, place.path, place.store)


def check_free(study: str, overrides: Sequence[str] | None, results: ResultsFolder | None) -> None:
    """Refuses a study that is running already, before anything slow.

    Raises:
        ConflictError: a driver has it.
    """
    from vaestudy.spec.heading import heading
    from vaestudy.study.folder import StudyFolder

    if not is_file(study):
        folder(study, results).check_free()
    elif (found := heading(Path(study), overrides or ())) is not None:
        place = results or found.results
        StudyFolder(place.path / found.name, place.store).check_free()


def study_place(name: str, results: ResultsFolder | None) -> Path:
    """Where the folder of a study of this name lies, or would lie, up to date."""
    from vaestudy.study.working_copy import refresh

    place = results or DEFAULT_RESULTS
    refresh(place.path / name, place.store)
    return place.path / name


def stages(names: Sequence[str] | None) -> tuple[Stage, ...]:
    """The stages that ``--stage`` names, all where it is not given.

    Raises:
        UsageError: a name is no stage.
    """
    from vaestudy.records import STAGES

    for name in names or ():
        if name not in STAGES:
            raise UsageError(f"--stage: unknown stage {name!r} - {nearest(name, STAGES)}")
    return tuple(stage for stage in STAGES if not names or stage in names)


def command_line() -> str:
    """How this command was called, as MLflow shows it."""
    return shlex.join(["vaestudy", *sys.argv[1:]])
