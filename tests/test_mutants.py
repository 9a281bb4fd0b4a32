"""The mutation tester: which faults it makes, what it leaves alone, and that docs/mutants.md is explained."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.mutants.mutations import mutants
from tests.mutants.report import Tried, page, share, table, unexplained
from tests.mutants.trial import verdict

ROOT = Path(__file__).parents[1]
MODULES = tomllib.loads((ROOT / "tests/mutants/modules.toml").read_text())
REASONS = tomllib.loads((ROOT / "tests/mutants/survivors.toml").read_text())


def made(source: str) -> set[str]:
    return {mutant.key for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("y = a < b", {"a < b -> y = a <= b"}),
        ("y = a >= b", {"a >= b -> y = a > b"}),
        ("y = a is None", {"a is None -> y = a is not None"}),
        ("y = a in b", {"a in b -> y = a not in b"}),
        ("y = a < b < c", {"a < b < c -> y = a <= b < c", "a < b < c -> y = a < b <= c"}),
        ("y = a + b", {"a + b -> y = a - b"}),
        ("y = a * b", {"a * b -> y = a / b"}),
        ("y = a ** b", {"a ** b -> y = a * b"}),
        ("y = a and b", {"a and b -> y = a or b"}),
        ("y = not a", {"not a -> y = a"}),
        ("y = -a", {"-a -> y = a"}),
        ("y = 3", {"3 -> y = 4"}),
        ("y = 0.5", {"0.5 -> y = 1.0"}),
        ("y = True", {"True -> y = False"}),
        ("y = min(a)", {"min(a) -> y = max(a)"}),
        ("y = a.all()", {"a.all() -> y = a.any()"}),
        ("y = a.clamp(b)", {"a.clamp(b) -> y = a"}),
        ("y = torch.clamp(a, b)", {"torch.clamp(a, b) -> y = a"}),
        ("y = a if b else c", {"b -> not b"}),
        ("y = [x for x in a if b(x)]", {"[x for x in a if b(x)] -> y = [x for x in a if True]"}),
    ],
)
def test_code_has_the_mutants_of_its_kind(source: str, changed: set[str]) -> None:
    short = {key.replace("module: y = ", "").replace("module: ", "") for key in made(source)}
    whole = {key.replace("b -> not b", "a if b else c -> y = a if not b else c") for key in changed}
    assert short == whole


def test_statements_change_too() -> None:
    assert made("def f():\n    y += b\n") == {"f: y += b -> y -= b"}
    assert made("def f():\n    g(a)\n") == {"f: g(a) -> pass"}


@pytest.mark.parametrize(
    "source",
    [
        '"""Text."""',
        "def f(a: x[1] = b) -> x[2]: ...",
        "@d(1)\ndef f(): ...",
        "raise E(f'{a + b}', 1)",
        "assert a < 1",
        "log.warning('x', 1)",
        "S = Source('x', 1)",
        "y = zip(a, b, strict=True)",
        "y = f'{a + b:03d}'",
        "y = 'a' + b",
        "y: x[1] = b",
    ],
)
def test_words_and_what_holds_anyway_are_left_alone(source: str) -> None:
    assert made(source) == set()


def test_a_whole_number_below_zero_grows_but_keeps_its_sign() -> None:
    assert made("y = -1") == {"module: y = -1 -> y = -2"}


def test_a_mutant_is_told_by_what_it_changes_and_not_by_its_line() -> None:
    source = "class C:\n    def f(self):\n        return a < b\n"
    assert made(source) == {"C.f: return a < b -> return a <= b"}
    assert made("import x\n\n\n" + source) == made(source)


def test_equal_changes_are_numbered() -> None:
    assert made("y = 1\ny = 1") == {"module: y = 1 -> y = 2", "module: y = 1 -> y = 2 #2"}


def test_a_mutants_tree_has_its_change_alone() -> None:
    trees = {mutant.key: ast.unparse(mutant.tree) for mutant in mutants("y = 1\nz = a < b")}
    assert trees["module: z = a < b -> z = a <= b"] == "y = 1\nz = a <= b"


TRIED = [Tried("a.py", 40, 10, 1, ["f: x -> y"]), Tried("b.py", 5, 5, 0, [])]


def test_the_score_is_the_share_of_all_that_was_tried() -> None:
    assert share(TRIED) == pytest.approx(14 / 15)
    assert share([]) == 0
    assert table(TRIED).splitlines()[2:] == [
        "| `a.py` | 40 | 10 | 9 | 1 | 90 % |",
        "| `b.py` | 5 | 5 | 5 | 0 | 100 % |",
        "| **all** | 45 | 15 | 14 | 1 | 93 % |",
    ]


def test_a_survivor_is_listed_with_its_reason_and_missed_where_it_has_none() -> None:
    assert "- `f: x -> y`: the same\n" in page(TRIED, {"a.py": {"f: x -> y": "the same"}}, 10)
    assert "- `f: x -> y`: no reason yet\n" in page(TRIED, {}, 0)
    assert unexplained(TRIED, {"b.py": {"f: x -> y": "of another"}}) == ["a.py: f: x -> y"]
    assert unexplained(TRIED, {"a.py": {"f: x -> y": "the same"}}) == []


@pytest.mark.slow
def test_a_mutant_dies_by_a_test_and_lives_without_one() -> None:
    source = (ROOT / "vaestudy/analysis/winners.py").read_text()
    tests = ["tests/analysis/test_winners.py"]
    mutated = ast.parse(source.replace("min(known)[1] if", "max(known)[1] if"))
    endless = ast.parse(
        source.replace("    if budget == 0:", "    while budget == 3:\n        pass\n    if budget == 0:")
    )
    assert verdict("vaestudy.analysis.winners", mutated, tests, 120) == "killed"
    assert verdict("vaestudy.analysis.winners", ast.parse(source), tests, 120) == "survived"
    assert verdict("vaestudy.analysis.winners", endless, tests, 20) == "timed out"


@pytest.mark.parametrize("module", MODULES)
def test_the_tests_of_a_mutated_module_exist(module: str) -> None:
    assert (ROOT / module).is_file()
    assert [name for name in MODULES[module] if not (ROOT / name).exists()] == []


def test_every_statistic_is_mutated() -> None:
    folder = ROOT / "vaestudy/analysis/statistics"
    statistics = {str(path.relative_to(ROOT)) for path in folder.glob("*.py") if path.name != "__init__.py"}
    assert statistics <= set(MODULES)


@pytest.mark.parametrize("module", REASONS)
def test_a_reason_is_of_a_mutant_that_exists(module: str) -> None:
    assert set(REASONS[module]) <= made((ROOT / module).read_text())
