"""Loading: what is accepted, how problems are reported, overrides, plug-ins."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.spec.files import GOOD, load, varied
from vaestudy.errors import SpecError
from vaestudy.optimizers import optimizers
from vaestudy.spec.loader import load_study


def problems(folder: Path, text: str | bytes, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text, overrides)
    return [str(problem).removeprefix(str(folder / "study.yaml")) for problem in caught.value.problems]


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert study.methods["adam"].fixed["eps"] == 1e-6
    assert study.methods["adam"].search["lr"].log == (1e-5, 1e-2)


def test_no_is_a_word_as_yaml_1_2_has_it(tmp_path: Path) -> None:
    assert load(tmp_path, varied(("project: thesis", "project: no"))).tracking.tags == {"project": "no"}


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), "# a comment\n---\n" + GOOD, "%YAML 1.2\n---\n" + GOOD],
    ids=["BOM", "CRLF", "comment", "directive"],
)
def test_the_dress_of_a_file_does_not_matter(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == load(tmp_path)


def test_an_alias_stands_for_its_anchor(tmp_path: Path) -> None:
    text = varied(("{log: [1e-5, 1e-2]}", "&rate {log: [1e-5, 1e-2]}"), ("lr: {log: [1e-3, 1.0]}", "lr: *rate"))
    study = load(tmp_path, text)
    assert study.methods["ivon"].search["lr"] == study.methods["adam"].search["lr"]


def test_problems_of_types_and_of_laws_come_together_in_the_order_of_lines(tmp_path: Path) -> None:
    text = varied(
        ("epochs: 20", "epochs: true"),
        ("name: sobol", "name: sobl"),
        ("seed: 3", "sead: 3"),
        ("optimizer: adam", "optimizer: adamz"),
        ("batch_size: 50", "batch_size: 5000"),
    )
    assert problems(tmp_path, text) == [
        ":4:1: error: sead: unknown key - did you mean 'seed'? (one of: budget, confirm, description, methods, name, "
        "plugins, report, resources, search, seed, shared_search, storage, target, tracking, train, version, "
        "workloads)",
        ":10:5: error: workloads.digits-mlp.batch_size: expected at most the 1000 training examples, got 5000",
        ":17:3: error: train.epochs: expected a whole number, got a boolean (true)",
        ":24:5: error: methods.adam.optimizer: unknown optimizer 'adamz' - did you mean 'adam'? (one of: "
        + ", ".join(sorted(optimizers.entries))
        + ")",
        ":40:31: error: search.sampler.name: input should be 'random', 'sobol', 'tpe' or 'gp', got 'sobl'",
    ]


def test_a_problem_in_a_list_names_its_index_and_its_own_column(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, varied(("[1e-5, 1e-2]", "[-1e-5, fast]")))
    assert problem == ":27:25: error: methods.adam.search.lr.log.1: expected a number, got 'fast'"


def test_overrides_reach_every_kind_of_place(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        GOOD,
        [
            "search.trials=30",
            "methods.adam.search.lr={log: [1e-4, 1e-1]}",
            "methods.adam.search.lr.log=[1e-3, 1e-1]",
            "train.stages.0.share=0.1",
            "shared_search.train.beta.over.choice=[0.5, 1]",
            "description=",
            "shared_search.train.free_bits.nats={choice: [0.0, 0.5]}",
            "tracking.tags.a.b=c",
            "description=of = signs",
        ],
    )
    assert study.search.trials == 30
    assert study.methods["adam"].search["lr"].log == (1e-3, 1e-1)
    assert study.train.stages[0].share == 0.1
    assert study.shared_search["train.beta.over"].choice == (0.5, 1)
    assert study.shared_search["train.free_bits.nats"].choice == (0.0, 0.5)
    assert study.tracking.tags["a.b"] == "c"
    assert study.description == "of = signs"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.trials=abc", r"search\.trials: expected a whole number, got 'abc' \(given by the override of"),
        ("serach.trials=3", r"serach: unknown key - did you mean 'search'\?"),
        ("search.trials", "expected key=value"),
        ("=3", "expected key=value"),
        ("name.first=a", "expected no further key after 'name', got 'first'"),
        ("train.stages.7.share=0.1", "expected an index below 2 after 'stages', got '7'"),
        ("search=[1", r"search: not valid YAML: while parsing a flow sequence.*\(given as an override\)"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(tmp_path, GOOD, [override])


def test_the_value_of_a_refused_override_is_not_shown(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, GOOD, "storage.optuna=postgresql://user:hunter2@host/db")
    assert "storage.optuna" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "this is a folder"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_what_is_no_file_is_said(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "study.yaml"
    make(path)  # type: ignore[operator]  # three kinds of callables
    with pytest.raises(SpecError, match=message) as caught:
        load_study(path)
    assert caught.value.exit_code == 2


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file")
    with pytest.raises(SpecError, match="cannot be read: Permission denied"):
        load_study(path)


def test_a_plug_in_brings_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugged_rule.py").write_text(
        "from vaestudy.optimizers.base import rule\nfrom vaestudy.hyperparameters import Positive\n\n"
        "@rule('plugged')\ndef plugged(theta, g, t, *, lr: Positive = 0.5):\n    '''A plug-in.'''\n"
        "    return (theta - lr * g,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(optimizers, "entries", dict(optimizers.entries))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    text = varied(("optimizer: ivon", "optimizer: plugged"), ("    fixed: {ess: train_size}\n", ""))
    assert load(tmp_path, text + "plugins: [plugged_rule]\n").methods["ivon"].optimizer == "plugged"


def test_a_plug_in_that_fails_is_quoted_on_one_line_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_plugin.py").write_text("x = 1\nraise RuntimeError('two\\nlines')\n")
    monkeypatch.syspath_prepend(tmp_path)
    [problem] = problems(tmp_path, GOOD + "plugins: [broken_plugin]\n")
    place = tmp_path / "broken_plugin.py"
    assert problem == f":46:11: error: plugins.0: importing 'broken_plugin' failed: RuntimeError: two ({place}:2)"


def test_defaults_are_written_out(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert study.workloads["digits-mlp"].model.arguments == {"hidden": (16, 8), "latent_dim": 4, "activation": "relu"}
    assert study.methods["adam"].fixed == {"eps": 1e-6, "warmup": 0.1, "beta2": 0.999, "weight_decay": 0.0}
