"""Hash, dump and differences of studies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spec.files import GOOD, load, varied
from vaestudy.spec import differences, dump_study, study_hash
from vaestudy.spec.loader import load_study

SHIPPED = sorted(Path(__file__).parents[2].glob("studies/*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_dumped_study_reads_back_equal(tmp_path: Path, path: Path) -> None:
    study = load_study(path)
    back = load(tmp_path, dump_study(study))
    assert back == study
    assert study_hash(back) == study_hash(study)


def test_a_dump_of_every_kind_of_key_reads_back_equal(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert load(tmp_path, dump_study(study)) == study


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\x85"), max_size=40))
def test_any_text_survives_the_dump(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("dump")
    study = load(folder).model_copy(update={"description": text})
    assert load(folder, dump_study(study)).description == text


def test_the_hash_is_the_same_in_every_process(tmp_path: Path) -> None:
    assert study_hash(load(tmp_path)) == "823cae43a8c98777"


def test_the_order_of_keys_does_not_change_the_hash(tmp_path: Path) -> None:
    lines = ["      lr: {log: [1e-5, 1e-2]}\n", "      one_minus_beta1: {log: [0.01, 0.5]}\n"]
    swapped = varied(("".join(lines), "".join(reversed(lines))))
    assert study_hash(load(tmp_path, swapped)) == study_hash(load(tmp_path))


@pytest.mark.parametrize(
    "override",
    [
        "search.trials=60",
        "description=other",
        "confirm.seeds=9",
        "report.formats=[html]",
        "budget.retries=0",
        "storage.results=/elsewhere",
        "tracking.mlflow=none",
        "name=renamed",
        "resources.workers=1",
    ],
)
def test_what_changes_no_number_does_not_change_the_hash(tmp_path: Path, override: str) -> None:
    assert study_hash(load(tmp_path, GOOD, [override])) == study_hash(load(tmp_path))


@pytest.mark.parametrize(
    "override",
    [
        "seed=4",
        "train.epochs=21",
        "methods.adam.search.lr.log=[1e-5, 1e-1]",
        "search.sampler.name=random",
        "confirm.iwae_samples=11",
        "confirm.elbo_samples=51",
        "confirm.weight_draws=401",
        "resources.population=1",
        "workloads.grey.data.seed=1",
        "methods.adam.fixed.eps=1e-7",
    ],
)
def test_what_changes_a_number_changes_the_hash(tmp_path: Path, override: str) -> None:
    assert study_hash(load(tmp_path, GOOD, [override])) != study_hash(load(tmp_path))


def test_differences_are_named_by_key(tmp_path: Path) -> None:
    old = load(tmp_path)
    changes = ["train.epochs=80", "methods.adam.search.lr={uniform: [0.1, 1]}", "train.stages.0.beta=1"]
    new = load(tmp_path, GOOD, changes)
    assert differences(old, new) == [
        "train.epochs: 20 -> 80",
        "train.stages.0.beta: 0.0 -> 1.0",
        "methods.adam.search.lr.log: [1e-05, 0.01] -> (absent)",
        "methods.adam.search.lr.uniform: (absent) -> [0.1, 1.0]",
    ]
    assert differences(old, old) == []
