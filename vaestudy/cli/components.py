"""Commands about what there is: components, their sources, the schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaestudy.cli.arguments import load
from vaestudy.cli.output import Output
from vaestudy.errors import ConflictError, UsageError, nearest

if TYPE_CHECKING:
    from vaestudy.analysis.protocol import Reference
    from vaestudy.registry import Entry, Source


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    for command in (components, cite, schema):
        app.command()(command)


def components(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="e.g. optimizer.", show_default=False)] = None,
) -> None:
    """Lists what studies can name: optimizers, schedules, models, likelihoods, data sets."""
    from vaestudy.study.references import REGISTRIES

    output: Output = context.obj
    registries = {registry.kind: registry for registry in REGISTRIES}
    if kind is not None and kind.rstrip("s") not in registries:
        raise UsageError(f"unknown kind {kind!r} - {nearest(kind, registries)}")
    for registry in registries.values() if kind is None else [registries[kind.rstrip("s")]]:
        for entry in registry if output.json_lines else ():
            output.json(
                {
                    "kind": registry.kind,
                    "name": entry.name,
                    "summary": entry.summary,
                    **({"family": entry.family, "contains": entry.contains} if entry.family else {}),
                    "hyperparameters": {
                        name: {"legal": item.domain.says, "default": item.default}
                        for name, item in entry.hyperparameters.items()
                    },
                }
            )
        if not output.json_lines:
            family = ["family"] if any(entry.family for entry in registry) else []
            output.table(
                [registry.kind, *family, "what it is", "hyperparameters"],
                [
                    [entry.name, *([entry.family] if family else []), entry.summary, _signature(entry)]
                    for entry in registry
                ],
            )
            output.result("")


def cite(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(help="A component, a study file or a study; default: everything.")
    ] = None,
) -> None:
    """Prints BibTeX of a component, or of everything that a study and its report use."""
    output: Output = context.obj
    sources: dict[str, Source] = {reference.source.key: reference.source for reference in _references(what)}
    for source in sources.values():
        output.json(source) if output.json_lines else output.out.file.write(source.bibtex() + "\n\n")


def schema() -> None:
    """Prints the JSON Schema of study files, for editors."""
    from vaestudy.spec.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def _signature(entry: Entry[Any]) -> str:
    return ", ".join(
        name if item.required else f"{name}={'none' if item.default is None else item.default}"
        for name, item in entry.hyperparameters.items()
    )


def _references(what: str | None) -> tuple[Reference, ...]:
    from vaestudy.study.references import REGISTRIES, called, everything, references

    if what is None:
        return everything()
    names = [entry.name for registry in REGISTRIES for entry in registry]
    if what in names or called(what):
        return called(what)
    try:
        return references(load(what, None, None))
    except ConflictError:
        raise UsageError(f"no component and no study {what!r}; {nearest(what, names)}") from None
