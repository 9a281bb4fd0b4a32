"""Every bad study file of ``cases.toml`` gets its message: each problem on one line, no secret, quickly."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.spec.files import load, varied
from vaestudy.errors import SpecError
from vaestudy.spec.reader import MAX_BYTES

CASES = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())["case"]


def file_of(case: dict[str, Any]) -> str | bytes:
    """The bytes of a case's study file; LONG stands for a word of 7,000 letters."""
    if "raw" in case:
        return bytes.fromhex(case["raw"])
    text: str = case["text"] if "text" in case else varied(*map(tuple, case.get("change", ()))) + case.get("append", "")
    return text.replace("LONG", "x" * 7000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_bad_study_file_gets_its_message(tmp_path: Path, case: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, file_of(case))
    lines = str(caught.value).split("\n")
    assert len(lines) == len(case["problems"]), lines
    for line, pattern in zip(lines, case["problems"], strict=True):
        assert re.search(pattern, line), f"{pattern!r} is not in {line!r}"
    assert caught.value.exit_code == 2
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#" * (MAX_BYTES + 1), "too large: a study file has at most 1048576 bytes"),
        ("a: [" + "1," * 300_000 + "1]", "aliases expand past 10000 nodes, or the file has more"),
        ("a: " + "[" * 100_000, "nested deeper than 32 levels"),
        ("a: &a [" + "x," * 9_000 + "]\nb: [*a, *a]", "aliases expand past 10000 nodes"),
        ("seed: " + "9" * 100_000, "seed: expected a whole number, got inf"),
    ],
    ids=["bytes", "items", "depth", "aliases", "digits"],
)
def test_a_huge_file_is_refused_within_a_second(tmp_path: Path, text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(SpecError, match=message):
        load(tmp_path, text)
    assert time.process_time() - start < 1.0
