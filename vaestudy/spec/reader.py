"""Text to nodes: YAML 1.2 with positions, and the laws of form.

YAML is read at the level of events, so that every limit holds while reading and every value keeps its line. Plain
scalars follow YAML 1.2's core schema: ``1e-3`` is a number and ``no`` a word. Tags, merge keys and a second document
have no place in a study file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from vaestudy.errors import Problem, SpecError

MAX_BYTES = 1 << 20
MAX_NODES = 10_000
MAX_DEPTH = 32
MAX_DIGITS = 100
"""More digits than any number in a study needs, and few enough that every integer is also a float."""

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
WHOLE = re.compile(r"[-+]?\d+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]")
"""What drives terminals, and means nothing in a text; tabs and new lines do."""


class Mark(NamedTuple):
    """A place in the file, both numbers from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Node:
    """A value of the file: a scalar, a tuple of nodes, or a dict of nodes by key.

    Attributes:
        mark: where its key stands, or itself where it has none; None where an override gave it.
        override: the key of the override that gave it.
        size: how many nodes it stands for, its own included.
    """

    value: bool | int | float | str | tuple[Node, ...] | dict[str, Node] | None
    mark: Mark | None = None
    override: str = ""
    size: int = 1

    def plain(self) -> Any:
        """The value without positions, lists as tuples."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return tuple(child.plain() for child in self.value)
        return self.value


def read_file(path: Path) -> Node:
    """The one document of a study file as nodes.

    Raises:
        SpecError: the file cannot be read; or as ``read``.
    """
    return read(_text(path), path)


def read(text: str, file: Path | None = None) -> Node:
    """The one document of ``text`` as nodes; ``file`` is what problems name.

    Raises:
        SpecError: the text is no YAML, or breaks a law of form; lists every problem found up to where reading ended.
    """
    builder = _Builder(text, file)
    try:
        node = builder.document()
    except SpecError as error:
        raise SpecError([*builder.problems, *error.problems]) from None
    except (YAMLError, AssertionError, ValueError, OverflowError) as error:  # the last three: the library's own checks
        raise SpecError([*builder.problems, _syntax(error, text, file)]) from error
    if builder.problems:
        raise SpecError(builder.problems)
    return node


def _text(path: Path) -> str:
    try:
        if path.is_file():
            with path.open("rb") as file:
                return decode(file.read(MAX_BYTES + 1), path)
        exists, folder = path.exists(), path.is_dir()
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror or error}", file=path)]) from error
    if folder:
        what = "this is a folder; expected a study file"
    else:
        what = "not a regular file" if exists else "no such file; `vaestudy init` writes one to begin with"
    raise SpecError([Problem("", what, file=path)])


def decode(raw: bytes, file: Path) -> str:
    """The text of a study file.

    Raises:
        SpecError: it is too large, or not UTF-8 text.
    """
    if len(raw) > MAX_BYTES:
        raise SpecError([Problem("", f"too large: a study file has at most {MAX_BYTES} bytes", file=file)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", f"not UTF-8 text at byte {error.start}", file=file)]) from None
    if "\0" in text:
        raise SpecError([Problem("", f"not UTF-8 text at byte {raw.index(0)} (a NUL)", file=file)])
    return text


class _Builder:
    """Makes nodes from events; ``problems`` are those after which reading can go on."""

    def __init__(self, text: str, file: Path | None):
        self._events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        self._file = file
        self._anchors: dict[str, Node | None] = {}
        self._count = 0
        self.problems: list[Problem] = []

    def document(self) -> Node:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, events.StreamEndEvent):
            return Node(None, Mark(1, 1))
        if start.version is not None and tuple(start.version) != (1, 2):
            raise self._fatal(start, "a study file is YAML 1.2; remove the %YAML line")
        node = self._node(next(self._events), depth=0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, events.StreamEndEvent):
            raise self._fatal(after, "one document expected; a second starts here")
        return node

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._fatal(event, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # open: an alias to it from within is recursive
        self._grow(event, 1)
        node = self._value(event, depth)
        if event.tag is not None:
            self._report(event, f"tag {event.tag!r} is not allowed; write a plain value")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _value(self, event: Any, depth: int) -> Node:
        if isinstance(event, events.MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(event, depth)
        return Node(self._scalar(event), _mark(event))

    def _sequence(self, start: Any, depth: int) -> Node:
        items = []
        while not isinstance(event := next(self._events), events.SequenceEndEvent):
            items.append(replace(self._node(event, depth + 1), mark=_mark(event)))
        return Node(tuple(items), _mark(start), size=1 + sum(item.size for item in items))

    def _mapping(self, start: Any, depth: int) -> Node:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), events.MappingEndEvent):
            key = self._key(event)
            if key in entries:
                first = entries[key].mark
                self._report(event, f"key {_short(key)} is given twice (first in line {first.line if first else '?'})")
            entries[key] = replace(self._node(next(self._events), depth + 1), mark=_mark(event))
        return Node(entries, _mark(start), size=1 + sum(child.size for child in entries.values()))

    def _key(self, event: Any) -> str:
        if not isinstance(event, events.ScalarEvent) or event.tag is not None or event.anchor is not None:
            raise self._fatal(event, "a key must be a plain word")
        self._printable(event)
        return str(event.value)

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise self._fatal(event, f"alias *{event.anchor} has no anchor &{event.anchor} before it")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._fatal(event, f"recursive alias *{event.anchor}: it would contain itself")
        self._grow(event, node.size)
        return node

    def _grow(self, event: Any, size: int) -> None:
        self._count += size
        if self._count > MAX_NODES:
            raise self._fatal(event, f"aliases expand past {MAX_NODES} nodes, or the file has more")

    def _scalar(self, event: Any) -> bool | int | float | str | None:
        text = str(event.value)
        self._printable(event)
        if not event.implicit[0]:
            return text
        if text in WORDS:
            return WORDS[text]
        if WHOLE.fullmatch(text) and len(text) <= MAX_DIGITS:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if NUMBER.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text

    def _printable(self, event: Any) -> None:
        if SURROGATE.search(event.value):
            self._report(event, "holds half of a surrogate pair, which is no character")
        if found := CONTROL.search(event.value):
            self._report(event, f"holds the control character #x{ord(found[0]):02x}, which has no place in a text")

    def _report(self, event: Any, message: str) -> None:
        self.problems.append(self._problem(event, message))

    def _fatal(self, event: Any, message: str) -> SpecError:
        return SpecError([self._problem(event, message)])

    def _problem(self, event: Any, message: str) -> Problem:
        line, column = _mark(event)
        return Problem("", message, line, column, self._file)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _syntax(error: Exception, text: str, file: Path | None) -> Problem:
    """What the YAML library found, on one line."""
    if isinstance(error, MarkedYAMLError):
        mark, opened = error.problem_mark, error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        since = f" (opened in line {opened.line + 1}, column {opened.column + 1})" if opened else ""
        hint = "; indent with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
        says = ", ".join(str(part).split("\n")[0] for part in (error.context, error.problem) if part)
        return Problem("", f"not valid YAML: {says}{since}{hint}", line, column, file)
    if isinstance(error, ReaderError):
        before = text[: error.position]
        what = f"character #x{ord(text[error.position]):04x} is not allowed"
        return Problem("", what, before.count("\n") + 1, len(before) - before.rfind("\n"), file)
    return Problem("", f"not valid YAML: {str(error).splitlines()[0]}", file=file)
