"""The house rules that a reader could otherwise only hope for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "vaestudy").rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_a_readers_head(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a file says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


def test_the_constraints_name_no_host_and_pin_torch() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "@" not in text
    assert re.search(r"^torch==\d+\.\d+\.\d+$", text, re.M)


def test_the_readme_shows_the_two_commands_and_every_file_it_names_exists() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make study" in text
    assert "make test" in text
    named = set(re.findall(r"(?:vaestudy|studies|docs)/[\w/.-]+\.(?:py|yaml|md|png)", text))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_page_that_a_page_links_to_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
