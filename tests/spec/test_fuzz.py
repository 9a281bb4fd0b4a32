"""Whatever is written into a study file, loading gives a study or a SpecError."""

from __future__ import annotations

import copy
import io
import re
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.spec.files import GOOD, load
from vaestudy.cli.main import main
from vaestudy.errors import SpecError
from vaestudy.spec import dump_study, first_rung

TREE = YAML(typ="safe", pure=True).load(GOOD)
FUZZ = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [each for key, value in items for each in [(*path, key), *paths(value, (*path, key))]]


def parent(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        tree = tree[key]
    return tree


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**120), 10**120),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["train_size", "adam", "sgd", "digits", "linear", "cosine", "*a", "http://u:p@h", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
PIECES = st.binary(max_size=6) | st.sampled_from(
    [
        b"[",
        b"{",
        b": ",
        b"\t",
        b"&a ",
        b"*a",
        b"!!int ",
        b"- ",
        b"? ",
        b"|\n",
        b"---\n",
        b"%YAML 1.3\n---\n",
        b'"\\UFFFFFFFF"',
    ]
)


def load_or_refuse(folder: Path, text: str | bytes) -> None:
    try:
        study = load(folder, text)
    except SpecError as error:
        assert error.problems
        assert all("\n" not in str(problem) for problem in error.problems)
    else:
        assert load(folder, dump_study(study)) == study
        assert first_rung(study) >= 1


@FUZZ
@given(data=st.data())
def test_a_mutated_study_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    tree = copy.deepcopy(TREE)
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(tree, data)
    load_or_refuse(tmp_path_factory.mktemp("fuzz"), _text(tree))


@settings(FUZZ, max_examples=100)
@given(data=st.data())
def test_the_command_calls_a_mutated_study_sound_or_names_its_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tree = copy.deepcopy(TREE)
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(tree, data)
    check(tmp_path_factory.mktemp("fuzz"), _text(tree).encode())


@settings(FUZZ, max_examples=100)
@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 30), new=PIECES)
def test_the_command_calls_mutated_bytes_sound_or_names_their_problems(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, new: bytes
) -> None:
    raw = GOOD.encode()
    check(tmp_path_factory.mktemp("fuzz"), raw[:start] + new + raw[start + length :])


def check(folder: Path, raw: bytes) -> None:
    """``vaestudy check`` on a file: exit 0 or 2, each problem on one line, within 5 seconds of processor time."""
    file = folder / "study.yaml"
    file.write_bytes(raw)
    said = io.StringIO()
    start = time.process_time()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["check", str(file)])
    assert time.process_time() - start < 5
    lines = said.getvalue().splitlines()
    if code == 0:
        assert re.fullmatch(r".+: sound; hash [0-9a-f]{16}", lines[0]), lines
    else:
        assert code == 2, lines
        assert all("error: " in line for line in lines[:-1]), lines
        assert re.fullmatch(rf"vaestudy: {len(lines) - 1} problems?", lines[-1]), lines


def _mutate(tree: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(tree) or [("version",)]))
    holder, key = parent(tree, path), path[-1]
    match data.draw(st.sampled_from(["delete", "retype", "swap", "nest", "rename"])):
        case "delete":
            del holder[key]
        case "retype":
            holder[key] = data.draw(VALUES)
        case "swap":
            holder[key] = copy.deepcopy(_at(tree, data.draw(st.sampled_from(paths(tree)))))
        case "nest":
            holder[key] = data.draw(st.sampled_from([[holder[key]], {"a": holder[key]}, {str(key): holder[key]}]))
        case "rename" if isinstance(holder, dict):
            holder[data.draw(st.text(max_size=8))] = holder.pop(key)


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    return parent(tree, path)[path[-1]]


def _text(value: Any) -> str:
    """YAML in flow form with every word quoted; also of what no dumper would write."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(str(key))}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return {"None": "null", "nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(str(value), str(value))


@FUZZ
@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 30), new=PIECES)
@example(start=0, length=0, new=b"%YAML 1.1\n---\n")
def test_a_file_with_a_piece_of_bytes_exchanged_is_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, new: bytes
) -> None:
    raw = GOOD.encode()
    load_or_refuse(tmp_path_factory.mktemp("fuzz"), raw[:start] + new + raw[start + length :])
