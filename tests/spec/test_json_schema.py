"""The JSON Schema for editors, and the shipped study files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.spec.files import GOOD, varied
from vaestudy.spec.json_schema import json_schema
from vaestudy.spec.loader import load_study

STUDIES = Path(__file__).parents[2] / "studies"
SHIPPED = sorted(STUDIES.glob("*.yaml"))


def complaints(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(YAML(typ="safe", pure=True).load(text))]


def test_the_shipped_schema_is_in_step() -> None:
    assert json.loads((STUDIES / "study.schema.json").read_text()) == json_schema(), (
        "write it anew: vaestudy schema > studies/study.schema.json"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_study_files_satisfy_the_schema(path: Path) -> None:
    assert complaints(path.read_text()) == []


def test_every_kind_of_key_satisfies_the_schema() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("optimizer: ivon", "optimizer: ivn"),
        ("latent_dim: 4", "latent_dims: 4"),
        ("seed: 3", "sead: 3"),
        ("epochs: 20", "epochs: 0"),
        ("model: linear", "model: liner"),
        ("{log: [1e-5, 1e-2]}", "{}"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    assert complaints(varied((old, new))) != []


def test_the_spaces_are_one_per_optimizer_for_all_data_sets() -> None:
    mnist, fashion = (load_study(STUDIES / f"{name}-optimizers.yaml") for name in ("mnist", "fashion"))
    assert mnist.methods == fashion.methods
    assert mnist.shared_search == fashion.shared_search
    assert mnist.train == fashion.train


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_the_real_studies_keep_the_protocol(name: str) -> None:
    study = load_study(STUDIES / f"{name}-optimizers.yaml")
    rates = [method.search["lr"].log for method in study.methods.values()]
    assert all(bounds is not None and bounds[1] / bounds[0] >= 1e5 * (1 - 1e-9) for bounds in rates)
    assert study.search.pruner.name == "none"
    assert study.search.replicates >= 10
