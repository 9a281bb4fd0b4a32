"""Paper bundles and comparisons across studies, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.made_up import Builder, arm, study
from vaestudy.cli import main
from vaestudy.spec import dump_study
from vaestudy.spec.loader import load_study
from vaestudy.spec.models import Component
from vaestudy.study.references import everything, references


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the studies first, second and longer under ./results."""
    monkeypatch.chdir(tmp_path)
    for name, shift, epochs in (("first", 0.0, 5), ("second", 1.0, 5), ("longer", 2.0, 6)):
        builder = Builder(tmp_path / "results", study(trials=1, seeds=2, name=name, train={"epochs": epochs}))
        for method in ("sgd", "adam"):
            builder.search(method, [30.0 + shift])
            builder.confirm(method, 0, [30.0 + shift, 30.2 + shift])
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out, captured.err


def contained(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_is_rebuilt_bit_for_bit_from_an_export(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "export", "first", "--paper", "one")
    assert {Path(line).name for line in out.splitlines()} == {Path(name).name for name in contained(there / "one")}
    ran(capsys, "export", "first", "--format", "parquet", "--out", "tables")
    ran(capsys, "export", "--from", "tables", "--paper", "two")
    assert contained(there / "one") == contained(there / "two")
    assert load_study(there / "one" / "study.yaml") == load_study(there / "results" / "first" / "study.yaml")
    text = (there / "one" / "references.bib").read_text()
    assert "kingma2015adam" in text and "bergstra2012random" in text and "clopper1934use" in text


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["export", "fisrt", "--paper", "p"], 5, "did you mean 'first'"),
        (["export", "--paper", "p"], 2, "NAME of a study, or --from"),
        (["export", "first", "--from", "x", "--paper", "p"], 2, "not both"),
        (["export", "--from", "x"], 2, "--from needs --paper"),
        (["export", "--from", "nowhere", "--paper", "p"], 3, "nowhere/study.json"),
        (["export", "first", "--paper", "p", "--format", "csv"], 2, "leave out --format"),
        (["export", "first", "--paper", "results"], 5, "not a bundle"),
        (["compare", "first"], 2, "two or more"),
        (["compare", "first", "results/first"], 2, "two or more different"),
        (["compare", "first", "secnd"], 5, "did you mean 'second'"),
    ],
)
def test_a_mistake_ends_in_one_clear_error(
    arguments: list[str], code: int, says: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = ran(capsys, *arguments, code=code)
    assert says in err
    assert not (there / "p").exists()


def test_a_bundle_of_facts_that_are_no_study_is_refused(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = there / "results" / "first" / "study.json"
    facts = json.loads(path.read_text())
    del facts["study"]["train"]["epochs"]
    path.write_text(json.dumps(facts))
    _, err = ran(capsys, "export", "--from", "results/first", "--paper", "p", code=3)
    assert "not a resolved study" in err


def test_compare_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "compare", "--help")
    assert "says what is not comparable and why" in " ".join(out.split())


def test_compare_shows_scores_and_what_is_not_comparable(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = ran(capsys, "compare", "first", "results/second", "longer")
    assert "+1.00 ± 0.00" in out and "paired by seed" in out
    assert "first / longer, workload w: train.epochs: 5 -> 6" in out
    assert "the same study seed" in err


def test_compare_says_where_nothing_is_comparable(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "compare", "first", "longer")
    assert out.startswith("Nothing is comparable.")


def test_compare_speaks_json(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "--json", "compare", "first", "second", "longer")
    lines = [json.loads(line) for line in out.splitlines()]
    scores = [line for line in lines if line["kind"] == "score"]
    assert [line["difference"] is None for line in scores] == [True, False] * 2
    assert scores[1]["difference"]["estimate"] == pytest.approx(1.0)
    obstacles = [line for line in lines if line["kind"] == "obstacle"]
    assert {(line["key"], line["old"], line["new"]) for line in obstacles} == {("train.epochs", "5", "6")}
    assert any(line["kind"] == "note" for line in lines)


# --- whom to cite -----------------------------------------------------------------------------------------------------


def cited(**more: object) -> set[tuple[str, str]]:
    return {(reference.name, reference.source.key) for reference in references(study(**more))}  # type: ignore[arg-type]


def test_schedules_are_cited_wherever_they_come_from() -> None:
    assert ("cyclical", "fu2019cyclical") in cited(train={"epochs": 5, "beta": {"schedule": "cyclical"}})
    searched = cited(shared_search={"schedule": {"choice": ["constant", "cosine"]}})
    assert any(name == "cosine" for name, _ in searched)


def test_free_bits_are_cited_where_they_are_on_or_searched() -> None:
    on = {"epochs": 5, "free_bits": {"nats": 0.1}}
    searched = {"train.free_bits.nats": {"choice": [0.0, 0.25]}}
    assert [any(name == "free bits" for name, _ in cited(**more)) for more in ({}, {"train": on})] == [False, True]
    assert any(name == "free bits" for name, _ in cited(shared_search=searched))


@pytest.mark.parametrize(
    ("search", "keys"),
    [
        ({"sampler": {"name": "sobol"}}, {"sobol1967distribution", "owen1995randomly"}),
        ({"sampler": {"name": "tpe"}}, {"bergstra2011algorithms"}),
        ({"sampler": {"name": "gp"}, "pruner": {"name": "hyperband"}}, {"snoek2012practical", "li2018hyperband"}),
        ({"pruner": {"name": "asha"}}, {"bergstra2012random", "li2020system"}),
        ({"pruner": {"name": "median"}}, {"bergstra2012random", "golovin2017vizier"}),
    ],
)
def test_samplers_and_pruners_are_cited(search: dict[str, object], keys: set[str]) -> None:
    assert {key for _, key in cited(search={"trials": 3, **search})} >= keys


def test_a_schedule_and_a_model_of_the_same_name_are_told_apart() -> None:
    ramp = {"epochs": 5, "beta": {"schedule": "linear"}}
    assert ("linear", "sonderby2016ladder") in cited(train=ramp)
    assert ("linear", "tipping1999probabilistic") not in cited(train=ramp)
    made = study()
    workload = made.workloads["w"].model_copy(update={"model": Component(name="linear")})
    keys = {found.source.key for found in references(made.model_copy(update={"workloads": {"w": workload}}))}
    assert "tipping1999probabilistic" in keys
    assert "sonderby2016ladder" not in keys


FEW, MANY = ({"trials": 3, "replicates": count} for count in (3, 6))


@pytest.mark.parametrize(
    ("statistic", "key", "without", "with_it"),
    [
        ("difference of rates", "newcombe1998interval", {"methods": ("adam",)}, {}),
        ("Kaplan-Meier curve", "kaplan1958nonparametric", {}, {"target": {"seeds": 3}}),
        ("interquartile mean", "agarwal2021deep", {}, {"target": {"seeds": 3}}),
        ("signed-rank test", "wilcoxon1945individual", {"seeds": 5}, {"seeds": 6}),
        ("correction for several tests", "holm1979simple", {"seeds": 5}, {"seeds": 6}),
        ("signed-rank test", "wilcoxon1945individual", {"search": FEW}, {"search": MANY}),
        ("rates over replicates", "korn1998confidence", {"seeds": 9}, {"search": FEW}),
        ("all pairs of methods", "dunn1961multiple", {"methods": ("sgd", "adam")}, {"methods": ("sgd", "adam", "b")}),
        ("interval of a variance", "bonett2006approximate", {}, {"confirm": {"seeds": 4, "sources": 3}}),
        ("ranks over workloads", "demsar2006statistical", {"workloads": "abcde"}, {"workloads": "abcdef"}),
        ("variance by source", "bouthillier2021accounting", {}, {"confirm": {"seeds": 4, "sources": 3}}),
        (
            "inclusion of optimizers",
            "choi2019empirical",
            {"methods": {"a": arm("nesterov"), "b": arm("momentum")}},
            {"methods": {"a": arm("adam"), "b": arm("momentum")}},
        ),
    ],
)
def test_a_statistic_is_cited_where_the_report_has_it(
    statistic: str, key: str, without: dict[str, Any], with_it: dict[str, Any]
) -> None:
    found = [
        any(name.startswith(statistic) and source == key for name, source in cited(**more))
        for more in (without, with_it)
    ]
    assert found == [False, True]


@pytest.mark.parametrize("what", ["a study", "everything"])
def test_cite_prints_each_source_once(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(study()))
    out, _ = ran(capsys, "cite", *([str(file)] if what == "a study" else []))
    printed = re.findall(r"@misc{(\w+),", out)
    assert len(printed) == len(set(printed))
    wanted = references(study()) if what == "a study" else everything()
    assert set(printed) == {reference.source.key for reference in wanted}


def test_everything_has_the_sources_of_any_study() -> None:
    more = {"target": {"seeds": 3}, "confirm": {"seeds": 9, "sources": 3}, "workloads": "abcdef"}
    assert set(references(study(**more))) <= set(everything())  # type: ignore[arg-type]


def test_the_expected_best_of_n_is_cited_only_where_trials_are_independent() -> None:
    searches: list[dict[str, object]] = [{}, {"sampler": {"name": "tpe"}}, {"pruner": {"name": "asha"}}]
    found = [cited(search={"trials": 3, **search}) for search in searches]
    assert [any(key == "tang2020showing" for _, key in keys) for keys in found] == [True, False, False]
