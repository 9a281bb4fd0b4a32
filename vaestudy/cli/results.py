"""Commands that show and export what studies found."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaestudy.cli.arguments import DEFAULT_RESULTS, NameArgument, Results, folder, study_place
from vaestudy.cli.output import Output
from vaestudy.errors import ServiceError, UsageError, nearest
from vaestudy.store import ResultsFolder

if TYPE_CHECKING:
    from vaestudy.analysis.across import Across
    from vaestudy.analysis.findings import Findings
    from vaestudy.records import RunRecord

BARS = "▁▂▃▄▅▆▇█"


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    for command in (report, export, compare, trial, ui):
        app.command()(command)


def report(
    context: typer.Context,
    name: NameArgument,
    results: Results = None,
    html: Annotated[bool, typer.Option("--html", help="Write the whole report as one HTML page instead.")] = False,
) -> None:
    """Shows the comparison, from the records alone."""
    found = folder(name, results)
    if not html:
        show_report(context.obj, found.path)
        return
    from vaestudy.study.paper import make_export

    make_export(found.path, ["html"], found.report)
    page = found.report / "report.html"
    context.obj.json({"file": str(page)}) if context.obj.json_lines else context.obj.result(str(page))


def show_report(output: Output, path: Path) -> None:
    """Prints a study's report."""
    from vaestudy.analysis.report import report as make_report

    made, found = make_report(path)
    if output.json_lines:
        for row in made.rows:
            output.json(dict(zip([name.replace("\n", " ") for name in made.header], row, strict=True)))
        return
    for answer in made.answers:
        output.result(answer)
    output.result("")
    output.table(made.header[:-1], [row[:-1] for row in made.rows], made.best)
    output.result("\nBest settings")
    methods = made.header.index("method")
    output.table([*made.header[: methods + 1], ""], [[*row[: methods + 1], row[-1]] for row in made.rows])
    output.result(f"\n{made.search.title}")
    output.table(made.search.header, made.search.rows)
    output.result("")
    for note in made.notes:
        output.note(f"· {note}")
    show_findings(output, found)


def show_findings(output: Output, found: Findings) -> None:
    """Prints who leads at which budget, the claims that are settled, and what the audits raise."""
    from vaestudy.analysis.tables import leaders

    settled = [
        [claim.verdict, claim.statement, claim.evidence]
        for claims in found.claims.values()
        for claim in claims
        if claim.verdict in ("supported", "contradicted")
    ]
    for workload, changes in found.leaders.items():
        if changes:
            output.result(f"\n{leaders(workload, changes)}")
    if settled:
        output.result("\nClaims that these data settle")
        output.table(["here", "statement", "evidence"], settled)
    marks = {"note": "·", "warning": "!"}
    raised = [[marks[audit.level], audit.text] for audit in found.audits if audit.level in marks]
    if raised:
        output.result("\nAudits")
        output.table(["", "!: a result may be unfair; ·: to be known"], raised)
    output.note(
        f"\n{len(found.audits)} audits, {len(raised)} with something to say; all findings: vaestudy report --html"
    )


def export(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The name of a known study; none with --from.")] = None,
    results: Results = None,
    formats: Annotated[
        str | None, typer.Option("--format", help="Of csv, parquet, md, tex, html, with commas.", show_default="all")
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="The tables alone, without figures: of 10,000 trials in seconds.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write.", show_default="the study's report folder")
    ] = None,
    paper: Annotated[
        Path | None, typer.Option("--paper", help="Write the bundle for a paper into this folder instead.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Make the bundle from an earlier bundle's or export's Parquet.")
    ] = None,
) -> None:
    """Writes tables and figures, or the bundle for a paper, from the records alone."""
    if (name is None) == (source is None):
        raise UsageError("export takes the NAME of a study, or --from FOLDER with --paper FOLDER; not both")
    if paper is None:
        written = _export_tables(name, results, formats, tables, out)
    elif formats or out or tables:
        raise UsageError("--paper writes every format into its own folder; leave out --format, --tables and --out")
    else:
        written = _export_paper(name, results, source, paper)
    output: Output = context.obj
    for path in written:
        output.json({"file": str(path)}) if output.json_lines else output.result(str(path))


def _export_tables(
    name: str | None, results: ResultsFolder | None, formats: str | None, tables: bool, out: Path | None
) -> list[Path]:
    from vaestudy.analysis.table_files import FORMATS, export_tables

    if name is None:
        raise UsageError("--from needs --paper FOLDER: where to write the bundle")
    place = study_place(name, results)
    # Tables need neither torch nor optuna, which take seconds to import; nor does finding the study by its facts.
    path = place if (place / "study.json").is_file() else folder(name, results).path
    wanted = [part.strip() for part in formats.split(",")] if formats else FORMATS
    if tables:
        plain = wanted if formats else [part for part in wanted if part != "html"]
        return export_tables(path, plain, out or path / "report")
    from vaestudy.study.paper import make_export

    return make_export(path, wanted, out or path / "report")


def _export_paper(name: str | None, results: ResultsFolder | None, source: Path | None, paper: Path) -> list[Path]:
    from vaestudy.study.paper import make_bundle

    return make_bundle(source or folder(str(name), results).path, paper)


def compare(
    context: typer.Context,
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Names of known studies, or folders with records.")
    ],
    results: Results = None,
) -> None:
    """Compares studies: aligns what is the same by its content, says what is not comparable and why."""
    from vaestudy.analysis.across import across
    from vaestudy.analysis.stored import open_records

    places = {study: _records_folder(study, results) for study in studies}
    if len({place.resolve() for place in places.values()}) < max(2, len(studies)):
        raise UsageError(f"compare takes two or more different studies, got: {', '.join(studies)}")
    show_across(context.obj, across({study: open_records(place) for study, place in places.items()}))


def _records_folder(study: str, results: ResultsFolder | None) -> Path:
    """Where a study's records lie: the folder that is named, or that of the known study of this name."""
    place = Path(study)
    return place if (place / "study.json").is_file() else folder(study, results).path


def show_across(output: Output, made: Across) -> None:
    """Prints what is comparable across studies, and what is not."""
    from vaestudy.analysis.across import HEADER

    if output.json_lines:
        for kind, items in (("score", made.lines), ("obstacle", made.obstacles)):
            for item in items:
                output.json({"kind": kind, **asdict(item)})
        for note in made.notes:
            output.json({"kind": "note", "text": note})
        return
    if made.lines:
        output.table(HEADER, [line.cells() for line in made.lines])
    else:
        output.result("Nothing is comparable.")
    if made.obstacles:
        output.result("\nNot comparable")
    for obstacle in made.obstacles:
        output.result(f"· {obstacle}")
    output.result("")
    for note in made.notes:
        output.note(f"· {note}")


def trial(
    context: typer.Context,
    name: NameArgument,
    which: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A uid or its beginning, or e.g. adam#17, or adam#17/3 for confirmation seed 3."
        ),
    ],
    results: Results = None,
) -> None:
    """Shows one run: settings, curve, outcome, where it lies."""
    from vaestudy.records import attempt_folder, read_runs

    output: Output = context.obj
    found = folder(name, results)
    record = _pick(list(read_runs(found.path)), which)
    place = attempt_folder(found.path, record.run.uid, record.attempt)
    if output.json_lines:
        output.json(
            {
                "run": record.run,
                "attempt": record.attempt,
                "end": record.end,
                "folder": place,
                "reports": record.reports,
            }
        )
        return
    end = record.end
    output.result(f"{record.run.name}   {record.run.cell}   uid {record.run.uid}   attempt {record.attempt}")
    output.result(
        f"outcome: {end.outcome if end else 'in flight'}"
        + (f" ({end.failure})" if end and end.failure != "none" else "")
        + (f": {end.reason}" if end and end.reason else "")
    )
    values = [report.metrics["val/nelbo"] for report in record.reports if "val/nelbo" in report.metrics]
    if values:
        ends = f"{values[0]:.2f} -> {values[-1]:.2f} nats in {record.reports[-1].epoch} epochs"
        output.result(f"validation −ELBO: {sparkline(values)}  {ends}")
    output.table(["setting", "value"], [[key, str(value)] for key, value in record.run.settings.items()])
    if end:
        output.table(["summary", "value"], [[key, f"{value:.6g}"] for key, value in sorted(end.metrics.items())])
    output.result(f"folder: {place}")
    output.result(f"again:  vaestudy launch {found.resolved} search.trials={record.run.trial + 1} --results ./again")


def ui(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Open on this study.")] = None,
    results: Results = None,
    port: Annotated[
        int | None,
        typer.Option(min=1024, max=65535, help="On this machine only.", show_default="5000, of Optuna's pages 8080"),
    ] = None,
    optuna: Annotated[bool, typer.Option("--optuna", help="Optuna's own pages of the study's trials instead.")] = False,
) -> None:
    """Serves the MLflow pages of the studies on this machine; Ctrl-C ends it."""
    if optuna:
        _serve_optuna(context.obj, name, results, port or 8080)
    else:
        _serve_mlflow(context.obj, name, results, port or 5000)


def _serve_optuna(output: Output, name: str | None, results: ResultsFolder | None, port: int) -> None:
    from vaestudy.search import open_storage, serve_dashboard

    if name is None:
        raise UsageError("ui --optuna takes the NAME of a study")
    found = folder(name, results)
    _check_free(port)
    storage = open_storage(found.recorded().storage.optuna, found.path)
    output.result(f"http://127.0.0.1:{port}/dashboard")
    output.note("Serving on this machine only; Ctrl-C ends it.")
    try:
        serve_dashboard(storage, port)
    except KeyboardInterrupt:
        output.note("")
    finally:
        storage.close()


def _serve_mlflow(output: Output, name: str | None, results: ResultsFolder | None, port: int) -> None:
    from vaestudy.tracking.address import SQLITE, store_file, study_url, tracking_uri, ui_command, without_login
    from vaestudy.tracking.pages import serve

    found = folder(name, results) if name else None
    listed = results or DEFAULT_RESULTS
    place = found.path.parent if found else listed.path
    uri = tracking_uri(found.recorded().tracking.mlflow if found else "sqlite", place)
    if uri is None:
        raise UsageError(f"study {name!r} has tracking.mlflow: none; there is nothing to show")
    if (found.store if found else listed.store) and uri.startswith(SQLITE) and not store_file(uri).exists():
        raise UsageError(
            f"MLflow's SQLite is not here ({store_file(uri)}): it stays on the host of the study's driver; run this "
            "there, or let tracking.mlflow name a server"
        )
    command = ui_command(uri, place, port)
    if command:
        _check_free(port)
    base = f"http://127.0.0.1:{port}" if command else without_login(uri)
    experiment = _experiment(found.path) if found else None
    output.result(
        study_url(f"{base}/", experiment, "leaderboard") if experiment else f"{base}/?workflowType=machine_learning"
    )
    if not command:
        return
    output.note("Serving on this machine only, in a few seconds; Ctrl-C ends it.")
    try:
        serve(command)
    except KeyboardInterrupt:
        output.note("")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(f"port {port} is taken; name another one with --port") from error


def _experiment(study: Path) -> str | None:
    """MLflow's number of a study, as its shipper left it; None before the first row was shipped."""
    try:
        return str(json.loads((study / "shipped.json").read_text())["experiment_id"])
    except (OSError, ValueError, KeyError):
        return None


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve in one line; values above the first quarter's start are cut at its top."""
    step = max(1, len(values) // width)
    shown = list(values)[::step]
    low, high = min(shown), sorted(shown)[int(0.9 * (len(shown) - 1))]
    span = (high - low) or 1.0
    return "".join(BARS[min(int((value - low) / span * (len(BARS) - 1)), len(BARS) - 1)] for value in shown)


def _pick(records: list[RunRecord], which: str) -> RunRecord:
    """The run that an ID means."""
    names = {_short(record): record for record in records}
    if which in names:
        return names[which]
    found = [record for record in records if record.run.uid.startswith(which)]
    if len(found) == 1:
        return found[0]
    what = "several runs" if found else "no run"
    raise UsageError(f"{what} with ID {which!r}; {nearest(which, names)}"[:600])


def _short(record: RunRecord) -> str:
    from vaestudy.records import DEFAULTS

    run = record.run
    base = f"{run.method}#{'defaults' if run.trial == DEFAULTS else run.trial}"
    return base if run.stage == "search" else f"{base}/{run.seed}"
