"""``check`` holds a plug-in's components to the laws, and nobody else's."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaestudy.cli import main
from vaestudy.optimizers import optimizers
from vaestudy.schedules import schedules

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "studies" / "quickstart.yaml")
DOCUMENTED = re.findall(r"```python\n(# mylab/signum.py.*?)```", (ROOT / "docs/extending.md").read_text(), re.S)

RULE = """
from vaestudy.optimizers.base import rule
from vaestudy.hyperparameters import Positive
@rule("rule")
def mean_of_all(theta, g, t, *, lr: Positive = 0.1):
    '''A rule that looks at more than an entry.'''
    return (theta - lr * g / (g.abs().mean() + 1),)
"""
MIXES = """
import torch
from vaestudy.hyperparameters import Positive, schema
from vaestudy.optimizers.base import TensorState, optimizers
def update(*, lr: Positive = 0.1):
    '''A common step for all members.'''
class Mixes(TensorState):
    hyperparameters = schema(update)
    def init(self, params, hparams):
        return {"t": torch.zeros(len(params), 1)}
    def step(self, grad_fn, params, state, hparams, noise, frozen=None):
        grads, loss = grad_fn(params)
        return params - hparams["lr"] * grads / grads.norm(dim=1).mean(), state, loss
optimizers.add("mixes", lambda layout: Mixes(), update, None)
"""
COUNTS = """
from vaestudy.optimizers.base import rule
from vaestudy.hyperparameters import Positive
COUNT = [0]
@rule("counts")
def counts(theta, g, t, *, lr: Positive = 0.1):
    '''A rate that falls with every call.'''
    COUNT[0] += 1
    return (theta - lr / COUNT[0] * g,)
"""
SHORT = """
from vaestudy.schedules import schedule
@schedule("short")
def short(progress):
    '''Not to the end.'''
    return 0.5 * progress
"""

Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Check]:
    """Checks the default study with a plug-in of this text; the exit code and what was printed."""
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (optimizers, schedules):
        monkeypatch.setattr(registry, "entries", dict(registry.entries))

    def checked(text: str, *options: str) -> tuple[int, str, str]:
        (tmp_path / "plugged_in.py").write_text(text)
        code = main([*options, "check", QUICKSTART, "plugins=[plugged_in]"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield checked
    sys.modules.pop("plugged_in", None)


def test_the_documented_plug_in_keeps_every_law(check: Check) -> None:
    code, out, _ = check(DOCUMENTED[0])
    assert code == 0
    assert re.search(r"^optimizer signum: \d+ laws hold$", out, re.M)
    assert out.count("laws hold") == 1


def test_what_held_is_told_as_json_too(check: Check) -> None:
    code, out, _ = check(DOCUMENTED[0], "--json")
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert first["ok"]
    assert (second["kind"], second["name"]) == ("optimizer", "signum")
    assert second["laws"] > 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RULE, r"optimizer 'rule' breaks the law 'An update rule gives each entry its number by itself.*by up to \d"),
        (MIXES, r"optimizer 'mixes' breaks the law 'A member alone equals the same member among five': .* by up to \d"),
        (
            COUNTS,
            r"optimizer 'counts' breaks the law 'The same members stepped again give the same numbers.*by up to \d",
        ),
        (
            SHORT,
            r"schedule 'short' breaks the law 'It is exactly at its end value at the last update': .* is 0.5, not 1",
        ),
    ],
    ids=["looks beyond an entry", "mixes members", "keeps a count", "stops short"],
)
def test_a_broken_law_is_one_error_that_names_component_law_and_value(text: str, says: str, check: Check) -> None:
    code, out, err = check(text)
    assert code == 2
    assert out == ""
    assert re.match(f"error: plugins: {says}", err.splitlines()[0])
    assert err.splitlines()[1:] == ["vaestudy: 1 problem"]


def test_every_component_that_breaks_a_law_is_listed(check: Check) -> None:
    code, _, err = check(COUNTS + RULE + SHORT)
    assert code == 2
    assert [re.search(r"'(\w+)' breaks", line)[1] for line in err.splitlines()[:-1]] == ["counts", "rule", "short"]  # type: ignore[index]


def test_a_study_without_plug_ins_says_nothing_of_laws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", QUICKSTART]) == 0
    assert "laws" not in capsys.readouterr().out
