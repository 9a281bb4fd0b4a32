"""Two traps of published comparisons, and the whole report beside them.

A mean over runs of which some collapsed describes none of them; a search that judges the annealed training loss
prefers trials whose beta was small.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.analysis.values import around
from tests.made_up import Builder, Made, study
from vaestudy.analysis.export import export
from vaestudy.analysis.findings import findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.report import report
from vaestudy.analysis.statistics.intervals import rate_interval

# --- six seeds at 28.8 and four at the constant decoder ---------------------------------------------------------------

TRIVIAL = {"final/l_trivial": 52.85}
"""What a constant image costs on DeepOBS's mnist_vae."""
SEEDS = [*around(28.80, 6), *[52.95] * 4]
"""Their mean is 38.46, which DeepOBS published with a standard deviation of 12.47."""
FORMS = ("comparison.md", "comparison.tex", "comparison.csv", "curves.csv", "runs.csv", "report.html")


@pytest.fixture(scope="module")
def collapsing(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    builder = Builder(tmp_path_factory.mktemp("collapsing"), study(trials=1, seeds=10))
    for method, values in {"sgd": SEEDS, "adam": around(27.83, 10)}.items():
        builder.search(method, [Made(values[0], metrics=TRIVIAL)])
        builder.confirm(method, 0, [Made(value, metrics=TRIVIAL) for value in values])
    return builder


@pytest.fixture(scope="module")
def files(collapsing: Builder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The exported tables and the page by name."""
    out = tmp_path_factory.mktemp("exported")
    export(collapsing.folder, ["csv", "md", "tex", "html"], out)
    return {name: (out / name).read_text() for name in FORMS}


def test_the_seeds_are_those_of_the_published_mean() -> None:
    assert sum(SEEDS) / len(SEEDS) == pytest.approx(38.46)


def test_six_sound_and_four_collapsed_seeds_are_a_rate_and_a_mean_of_the_rest_in_the_terminal(
    collapsing: Builder,
) -> None:
    made, _ = report(collapsing.folder)
    sgd = dict(zip(made.header, made.rows[1], strict=True))
    assert sgd["method"] == "sgd"
    assert sgd["collapsed\n[95 %]"] == "40 % [12, 74]"
    assert (sgd["sound\nseeds"], sgd["test NLL ↓\n[nats, IWAE-10]"][:5]) == ("6/10", "28.80")
    assert any("sgd: its seeds fall into two groups" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "rate", "mean"),
    [
        ("comparison.md", "| 40 % [12, 74] |", "| 28.80 ± 0.2"),
        ("comparison.tex", r"& 40 \% [12, 74] &", r"& 28.80 $\pm$ 0.2"),
        ("report.html", ">40 % [12, 74]<", ">28.80 ± 0.2"),
    ],
)
def test_six_sound_and_four_collapsed_seeds_are_a_rate_and_a_mean_of_the_rest_in_every_document(
    files: dict[str, str], name: str, rate: str, mean: str
) -> None:
    assert rate in files[name]
    assert mean in files[name]


def test_six_sound_and_four_collapsed_seeds_are_a_rate_and_a_mean_of_the_rest_in_numbers(
    files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "comparison.csv").write_text(files["comparison.csv"])
    sgd = pd.read_csv(tmp_path / "comparison.csv").set_index("method").loc["sgd"]
    rate = rate_interval(4, 10)
    found = sgd[["confirm_collapsed", "confirm_collapsed_low", "confirm_collapsed_high", "confirm_collapsed_n"]]
    assert found.tolist() == pytest.approx([0.4, rate.low, rate.high, 10])
    assert (sgd["test_nll_nats"], sgd["test_nll_nats_n"]) == (pytest.approx(28.80), 6)


@pytest.mark.parametrize("name", FORMS)
def test_the_mean_over_both_groups_stands_nowhere(files: dict[str, str], name: str) -> None:
    assert re.findall(r"(?<![\d.])38\.4\d*", files[name]) == []


def test_the_page_names_the_failures_in_its_answer(files: dict[str, str]) -> None:
    assert "Failed, and in no mean: sgd 4 of 10." in files["report.html"]


# --- the annealing trap -----------------------------------------------------------------------------------------------


def annealed(l_val: float, train_loss: float, beta: float = 0.1) -> Made:
    """A trial whose training loss was measured under this beta."""
    return Made(l_val, {"lr": train_loss / 100}, curve=[{"train/loss": train_loss, "train/beta": beta}] * 3)


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Trials with small betas have low training losses and high L_val; one of them was pruned while beta was small.

    Each method's last trial has the lowest L_val and its highest training loss.
    """
    builder = Builder(tmp_path_factory.mktemp("trapped"), study(trials=3, seeds=3, target={"seeds": 3}))
    builder.search("sgd", [annealed(36.0, 18.0), annealed(35.0, 19.0), annealed(34.0, 20.0)])
    builder.search("adam", [annealed(35.0, 21.0), annealed(40.0, 20.0), annealed(28.0, 29.0, beta=1.0)], {1: "pruned"})
    builder.confirm("sgd", 2, around(34.0, 3))
    builder.confirm("adam", 2, around(28.0, 3)[::-1])
    builder.target("adam", 2, [28.0, 28.2, 28.4])
    return load(builder.folder)


def test_the_trap_is_set(trapped: Records) -> None:
    """By the training loss another trial of adam would win, and sgd would be ahead of adam."""
    losses = trapped.metrics[trapped.metrics["metric"] == "train/loss"].merge(trapped.runs, on="uid")
    losses = losses[losses["stage"] == "search"].sort_values("value")
    assert losses["method"].iloc[0] == "sgd"
    assert losses[losses["method"] == "adam"]["trial"].iloc[0] == 1


def test_the_trial_with_the_lowest_annealed_training_loss_does_not_win(trapped: Records) -> None:
    adam, sgd = findings(trapped).comparison.rows
    assert (adam.method, adam.winners, adam.settings) == ("adam", {0: 2}, {"lr": (0.29,)})
    assert (sgd.method, sgd.winners, sgd.settings) == ("sgd", {0: 2}, {"lr": (0.2,)})


def test_no_finding_prefers_low_annealed_training_losses(trapped: Records) -> None:
    found = findings(trapped)
    assert found.targets[0].origin == "median of the best of 3 reruns of adam #002"
    assert found.leaders["w"][-1].leader == "adam"
    assert "adam has the lowest mean test NLL" in found.comparison.answers[0]
    regions = {one.method: one.region.best_lr for one in found.sensitivities if one.region}
    assert regions == {"sgd": 0.2, "adam": 0.29}
