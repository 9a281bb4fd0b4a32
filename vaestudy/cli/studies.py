"""Commands that make, run and follow studies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vaestudy.cli import live, remote
from vaestudy.cli.arguments import (
    DEFAULT_RESULTS,
    Address,
    JobServerAddress,
    NameArgument,
    Overrides,
    Results,
    Stages,
    StudyArgument,
    Until,
    check_free,
    folder,
    load,
    stages,
    study_place,
)
from vaestudy.cli.laws import plugins_held
from vaestudy.cli.output import Output, seconds
from vaestudy.cli.run import run, where
from vaestudy.errors import ConflictError, DataError, VaestudyError
from vaestudy.records import check_links
from vaestudy.store import ResultsFolder, results_at

if TYPE_CHECKING:
    from vaestudy.study.doctor import Visit
    from vaestudy.study.folder import StudyFolder
    from vaestudy.study.status import Status

# Commands import vaestudy.study inside themselves: with it come torch, ray and optuna, three seconds that --help, init
# and usage errors need not wait for.

Resume = Literal["auto", "never", "must"]


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    for command in (init, check, plan, launch, remote.submit, resume, stop, status, logs, doctor):
        app.command()(command)
    app.command("list")(list_studies)


def init(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The new study's name.")] = "my-study"
) -> None:
    """Writes a commented study file to start from."""
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    template = (files("vaestudy.cli") / "template.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template.replace("my-study", path.stem))
    except FileExistsError:
        raise ConflictError(f"{path} exists already; name another, e.g. {path.stem}-2") from None
    output: Output = context.obj
    output.result(f"Wrote {path}.")
    output.note(f"Next: vaestudy check {path} && vaestudy launch {path}")


def check(
    context: typer.Context,
    study: StudyArgument,
    overrides: Overrides = None,
    results: Results = None,
    show: Annotated[bool, typer.Option("--print", help="Print the resolved file.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of study files.")] = False,
) -> None:
    """Checks a study file, and its plug-ins by the laws of components; reports all problems at once."""
    from vaestudy.spec import dump_study, study_hash
    from vaestudy.spec.json_schema import json_schema

    output: Output = context.obj
    with plugins_held() as held:
        loaded = load(study, overrides, results)
    if output.json_lines:
        output.json({"study": loaded.name, "hash": study_hash(loaded), "ok": True})
        for component, laws in held.items():
            output.json({"kind": component.kind, "name": component.name, "laws": laws})
    elif schema:
        import json

        output.out.file.write(json.dumps(json_schema(), indent=2) + "\n")
    elif show:
        output.out.file.write(dump_study(loaded))
    else:
        output.result(f"{loaded.name}: sound; hash {study_hash(loaded)}")
        for plugin in loaded.plugins:
            output.note(f"runs code from plug-in {plugin}")
        for component, laws in held.items():
            output.result(f"{component.kind} {component.name}: {laws} laws hold")


def plan(
    context: typer.Context,
    study: StudyArgument,
    overrides: Overrides = None,
    results: Results = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Time an epoch of each cell, and say how long it will take.")
    ] = False,
) -> None:
    """Says what a study will cost; writes nothing."""
    from vaestudy.study.plan import plan as make_plan
    from vaestudy.study.plan import probe as time_epochs

    output: Output = context.obj
    loaded = load(study, overrides, results)
    made = make_plan(loaded)
    epochs = time_epochs(loaded) if probe else {}
    if output.json_lines:
        for line in made.lines:
            output.json(
                {
                    "cell": line.cell,
                    "trials": line.trials,
                    "dimensions": line.dimensions,
                    "confirmations": line.confirmations,
                    "grad_evals": line.grad_evals,
                    "epoch_seconds": epochs.get(line.cell),
                }
            )
        return
    header = ["cell", "trials", "searched", "confirmation runs", "updates a run", "gradient evals at most"]
    rows = [
        [
            line.cell,
            str(line.trials),
            str(line.dimensions),
            str(line.confirmations),
            f"{line.updates_per_run:,}",
            f"{line.grad_evals:,}",
        ]
        for line in made.lines
    ]
    if probe:
        header.append("seconds an epoch")
        rows = [[*row, f"{epochs[line.cell]:.3f}"] for row, line in zip(rows, made.lines, strict=True)]
    output.table(header, rows)
    rung = "no pruning" if made.first_rung is None else f"pruning from epoch {made.first_rung}"
    target = f", {made.target_runs} of them for the target" if made.target_runs else ""
    output.result(f"{made.runs} runs at most{target}, {made.epochs} epochs each, {rung}")
    output.result(f"results in {results or results_at(loaded.storage.results)}")
    if probe:
        total = sum(epochs[line.cell] * made.epochs * (line.trials + line.confirmations) for line in made.lines)
        output.result(f"about {seconds(total)} of training on one worker")


def launch(
    context: typer.Context,
    study: StudyArgument,
    overrides: Overrides = None,
    results: Results = None,
    address: Address = None,
    until: Until = None,
    stage: Stages = None,
    resume: Annotated[Resume, typer.Option(help="What to do where the study has begun already.")] = "auto",
) -> None:
    """Runs a study, or goes on with it."""
    wanted = stages(stage)
    check_free(study, overrides, results)
    loaded = load(study, overrides, results)
    place = results or results_at(loaded.storage.results)
    begun = (study_place(loaded.name, place) / "study.yaml").exists()
    if begun and resume == "never":
        raise ConflictError(
            f"study {loaded.name!r} exists already in {place}; name this one otherwise (name={loaded.name}-2)"
        )
    if not begun and resume == "must":
        raise ConflictError(f"study {loaded.name!r} has not begun in {place}; launch it without --resume must")
    run(context.obj, loaded, place, address, until, wanted)


def resume(
    context: typer.Context,
    name: NameArgument,
    results: Results = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="A Ray cluster, host:port or auto; or the job server of the one it was submitted to, http://host:8265.",
            show_default="this machine",
        ),
    ] = None,
    until: Until = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")] = False,
    add_trials: Annotated[int, typer.Option("--add-trials", min=0, help="Search so many more trials per cell.")] = 0,
    add_seeds: Annotated[int, typer.Option("--add-seeds", min=0, help="Confirm under so many more seeds.")] = 0,
    add_replicates: Annotated[
        int, typer.Option("--add-replicates", min=0, help="Repeat each search and its confirmation so many more times.")
    ] = 0,
    stage: Stages = None,
) -> None:
    """Goes on with a study that was stopped or killed, or extends one that has ended."""
    wanted = stages(stage)
    grown = {"trials": add_trials, "seeds": add_seeds, "replicates": add_replicates}
    if remote.is_server(address):
        remote.resume(
            context.obj,
            name,
            address,
            [*remote.until_option(until), *_resumed(retry_failed, grown, stage)],
        )
        return
    found = folder(name, results)
    lock = _locked(found)  # before torch is there: what takes seconds to load keeps nobody from the study
    loaded = load(str(found.resolved), None, results)
    budget = {
        "search.trials": loaded.search.trials + add_trials,
        "search.replicates": loaded.search.replicates + add_replicates,
        "confirm.seeds": loaded.confirm.seeds + add_seeds,
    }
    loaded = load(str(found.resolved), [f"{key}={value}" for key, value in budget.items()], results)
    place = ResultsFolder(found.path.parent, found.store)
    run(context.obj, loaded, place, address, until, wanted, retry_failed, lock)


def _locked(found: StudyFolder) -> ExitStack:
    """Holds a study that has begun, until it is closed or this process ends."""
    check_links(found.path)
    found.check_free()
    lock = ExitStack()
    lock.enter_context(found.lock())
    return lock


def _resumed(retry_failed: bool, grown: Mapping[str, int], stage: Sequence[str] | None) -> list[str]:
    """The options of ``resume`` again."""
    added = [f"--add-{name}={count}" for name, count in grown.items() if count]
    return ["--retry-failed"] * retry_failed + added + [f"--stage={name}" for name in stage or ()]


def stop(context: typer.Context, name: NameArgument, results: Results = None, address: JobServerAddress = None) -> None:
    """Saves a running study and stops it."""
    from vaestudy.study.stop import stop as stop_study

    if address is None:
        stop_study(folder(name, results))
    else:
        remote.stop(name, address)
    context.obj.result(f"Stopped; go on with: vaestudy resume {name}{remote.at(address)}")


def status(
    context: typer.Context,
    name: NameArgument,
    results: Results = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking until it ends.")] = False,
    address: JobServerAddress = None,
) -> None:
    """Says how far a study is."""
    output: Output = context.obj
    look = remote.looker(name, address) if address else _looker(name, results)
    with live.Watcher(output) as watcher:
        began = time.monotonic()
        while watch and (now := look()).state == "running":
            watcher.show(now)
            # A look at a submitted study is a job there, of seconds: it is to leave the hosts to the study.
            time.sleep(max(1.0, 4 * (time.monotonic() - began)))
            began = time.monotonic()
    now = look()
    if output.json_lines:
        output.json(now)
        return
    output.result(
        f"{now.name}: {now.state}, {now.finished_runs} of {now.planned_runs} runs, {seconds(now.elapsed)}"
        + (f", {seconds(now.seconds_left)} left" if now.state == "running" else "")
    )
    live.render(now, output.out)


def _looker(name: str, results: ResultsFolder | None) -> Callable[[], Status]:
    from vaestudy.study.status import status as look_here
    from vaestudy.study.working_copy import refresh

    found = folder(name, results)

    def look() -> Status:
        refresh(found.path, found.store)
        return look_here(found)

    return look


def logs(
    context: typer.Context,
    name: NameArgument,
    results: Results = None,
    address: JobServerAddress = None,
    lines: Annotated[int, typer.Option("--lines", min=1, help="So many of the last ones.")] = 100,
) -> None:
    """Shows what a study's driver and shipper have logged; of a submitted one, what its driver has printed."""
    from vaestudy.study import logs as study_logs

    output: Output = context.obj
    if address is None:
        found = folder(name, results)
        shown = study_logs.read(found.log, found.shipper_log)
    else:
        shown = [{"message": line} for line in remote.logs(name, address).splitlines()]
    for line in shown[-lines:]:
        if output.json_lines:
            output.json(line)
        else:
            output.result(study_logs.in_words(line))


def doctor(
    context: typer.Context,
    name: NameArgument,
    results: Results = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
) -> None:
    """Looks a study over: records, trial database, MLflow, tables, checkpoints."""
    from vaestudy.study import doctor as doctors
    from vaestudy.study.folder import StudyFolder

    output: Output = context.obj
    place = study_place(name, results)
    # A study whose study.yaml is gone is none to other commands.
    known = (place / "study.json").is_file()
    found = StudyFolder(place, (results or DEFAULT_RESULTS).store) if known else folder(name, results)
    visit = doctors.repair(found) if repair else doctors.examine(found)
    _show_findings(output, visit)
    lost = [finding for finding in visit.damage if finding.resumable]
    counted = [finding for finding in visit.damage if not (repair and finding.resumable)]
    if counted:
        raise DataError(
            f"study {found.name!r}: {len(counted)} finding{'s' * (len(counted) != 1)} of damage"
            + (" that --repair cannot repair" if repair else "")
            + "; each says what repairs it"
        )
    if output.json_lines:
        return
    at = where(ResultsFolder(found.path.parent, found.store))
    again = f"; what is lost runs again with: vaestudy resume {found.name}{at}" if lost else ""
    output.result(f"{found.name}: sound" + (again and " but for lost runs") + again)


def _show_findings(output: Output, visit: Visit) -> None:
    for done, findings in ((True, visit.repaired), (False, visit.left)):
        for finding in findings:
            if output.json_lines:
                shown = {key: value for key, value in vars(finding).items() if key != "repair"}
                output.json({**shown, "repaired": done})
            else:
                output.result(f"repaired: {finding.place}: {finding.what}" if done else str(finding))


def list_studies(context: typer.Context, results: Results = None) -> None:
    """Lists the known studies."""
    from vaestudy.study.folder import known
    from vaestudy.study.status import status as look

    output: Output = context.obj
    found = []
    listed = results or DEFAULT_RESULTS
    for place in known(listed.path, listed.store):
        try:
            found.append(look(place))
        except VaestudyError as error:  # the others are to be seen all the same
            output.note(f"{place.path}: {str(error).splitlines()[0]}; see: vaestudy doctor {place.name}")
    if output.json_lines:
        for one in found:
            output.json(one)
    elif found:
        output.table(
            ["study", "state", "runs", "elapsed"],
            [[one.name, one.state, f"{one.finished_runs}/{one.planned_runs}", seconds(one.elapsed)] for one in found],
        )
    else:
        output.note(f"no studies in {listed}; begin with: vaestudy init")
