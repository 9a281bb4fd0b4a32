"""A study run from the command line: what is said before, meanwhile and after."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from vaestudy.cli import live
from vaestudy.cli.arguments import DEFAULT_RESULTS, command_line
from vaestudy.cli.output import Output
from vaestudy.errors import UsageError
from vaestudy.interrupts import loading
from vaestudy.store import ResultsFolder

if TYPE_CHECKING:
    from vaestudy.records import Stage
    from vaestudy.spec import Study
    from vaestudy.study.folder import StudyFolder
    from vaestudy.study.status import Status


def run(
    output: Output,
    study: Study,
    results: ResultsFolder,
    address: str | None,
    until: str | None,
    wanted: Sequence[Stage],
    retry_failed: bool = False,
    lock: AbstractContextManager[object] | None = None,
) -> None:
    """Runs a study from its command to its report; ``lock`` is the study's, where it is held already."""
    with loading():
        from vaestudy.cli.results import show_report
        from vaestudy.study.folder import StudyFolder, parse_duration
        from vaestudy.study.launch import launch as run_study

    place = StudyFolder(results.path / study.name, results.store)
    try:
        limit = None if until is None else parse_duration(until)
    except UsageError as error:
        raise UsageError(f"--until: {error}") from None
    _header(output, study, results)
    with live.Watcher(output) as watcher:
        final = run_study(
            study,
            results.path,
            command=command_line(),
            store=results.store,
            address=address,
            seconds=limit,
            listener=watcher.show,
            notice=output.note,
            retry_failed=retry_failed,
            stages=wanted,
            lock=lock,
        )
    _footer(output, study, results, place, final)
    show_report(output, place.path)


def _header(output: Output, study: Study, results: ResultsFolder) -> None:
    output.note(f"{study.name}: {' '.join(study.description.split())}")
    output.note(
        f"Results in {results}/{study.name}; look at them in MLflow with: vaestudy ui {study.name}{where(results)}"
    )


def _footer(output: Output, study: Study, results: ResultsFolder, place: StudyFolder, final: Status) -> None:
    if final.state == "complete":
        output.note(f"Complete: {final.finished_runs} runs. Tables and figures in {place.report}\n")
    else:
        output.note(
            f"{final.finished_runs} of {final.planned_runs} runs so far; go on with: "
            f"vaestudy resume {study.name}{where(results)}\n"
        )


def where(results: ResultsFolder) -> str:
    """The option that says so again."""
    usual = not results.store and results.path.resolve() == DEFAULT_RESULTS.path.resolve()
    return "" if usual else f" --results {results}"
