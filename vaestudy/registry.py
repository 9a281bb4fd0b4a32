"""One registry for every kind of component: a decorator line adds one, a name finds it.

Optimizers, schedules, models, likelihoods and data sets register here. ``vaestudy components``, ``vaestudy cite``,
the study file's checks, the docs' tables and the contract tests all read this registry.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vaestudy.errors import UsageError, nearest
from vaestudy.hyperparameters import Schema, schema

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where a component was published; ``vaestudy cite`` prints it as BibTeX.

    ``key`` is the BibTeX key, ``identifier`` an arXiv number (``arXiv:1412.6980``), DOI or address.
    """

    key: str
    authors: str
    title: str
    year: int
    identifier: str = ""

    def bibtex(self) -> str:
        """The entry as BibTeX."""
        fields = {"author": self.authors, "title": "{" + self.title + "}", "year": str(self.year)}
        if self.identifier.startswith("arXiv:"):
            fields |= {"eprint": self.identifier.removeprefix("arXiv:"), "archivePrefix": "arXiv"}
        elif self.identifier.startswith("10."):
            fields["doi"] = self.identifier
        elif self.identifier:
            fields["note"] = self.identifier
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{body}\n}}"


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered component: its name, what it is, its hyperparameters and its source.

    Attributes:
        family: what it is one of, e.g. ``adam``; empty for kinds of components that have no families.
        contains: the names of the components that are special cases of it.
    """

    name: str
    component: T
    summary: str
    hyperparameters: Schema
    source: Source | None
    family: str = ""
    contains: tuple[str, ...] = ()


@dataclass
class Registry(Generic[T]):
    """The components of one kind, by name."""

    kind: str
    entries: dict[str, Entry[T]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        component: T,
        signature: Callable[..., object],
        source: Source | None,
        hyperparameters: Schema | None = None,
        *,
        family: str = "",
        contains: tuple[str, ...] = (),
    ) -> None:
        """Registers ``component``; its summary is ``signature``'s docstring, its schema too unless given.

        Raises:
            ValueError: the name is taken by another component.
        """
        known = self.entries.get(name)
        if known is not None and known.component is not component:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        summary = (signature.__doc__ or "").strip().split("\n")[0]
        found = schema(signature) if hyperparameters is None else hyperparameters
        self.entries[name] = Entry(name, component, summary, found, source, family, contains)

    def find(self, name: str) -> Entry[T]:
        """The entry called ``name``.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        if name not in self.entries:
            raise UsageError(f"unknown {self.kind} {name!r} - {nearest(name, self.entries)}")
        return self.entries[name]

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(sorted(self.entries.values(), key=lambda entry: entry.name))

    def __contains__(self, name: object) -> bool:
        return name in self.entries


def import_plugin(module: str) -> None:
    """Imports a module that registers components, as named under ``plugins:`` in a study file.

    Raises:
        UsageError: the name is not a dotted module path, or the module fails to import.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"plugins: {module!r} is not a module name; expected e.g. 'mypackage.optimizers'")
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a user's module raises is the user's to read, on one line
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raised = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if raised.filename.startswith("<frozen") else f" ({raised.filename}:{raised.lineno})"
        raise UsageError(f"plugins: importing {module!r} failed: {what}{where}") from error
