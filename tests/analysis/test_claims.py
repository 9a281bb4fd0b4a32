"""Every claim gets each verdict from data that were built for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analysis.values import around
from tests.made_up import Builder, Made, arm, falling, study
from vaestudy.analysis.claims import Claim, Verdict, claims
from vaestudy.analysis.compare import compare
from vaestudy.analysis.factorial import factorial
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.targets import reaches, target

VERDICTS: dict[int, Verdict] = {1: "supported", -1: "contradicted", 0: "not settled"}
"""By what the data say of the folklore: as told, the opposite, nothing."""
TRIALS, SEEDS = 12, 6
METHODS = {name: arm(name) for name in ("sgd", "rmsprop", "ivon", "adam")}

SLOWER_THAN_ADAM = "Adaptive methods converge faster: SGD is slower than Adam's kind"
SLOWER_THAN_RMSPROP = "Adaptive methods converge faster: SGD is slower than RMSprop"
SENSITIVE = "SGD is more sensitive to its learning rate than Adam's kind"
WORSE = "Adam's kind settles at worse optima than SGD"
FRAGILE = "RMSprop is numerically fragile: more of its trials diverge than of Adam's kind"
NON_STATIONARY = "RMSprop suits non-stationary problems: it gains on Adam's kind where beta is annealed"
COST = "Variational inference over the weights costs more time than Adam's kind"
USE = "Its uncertainty is useful: averaging over weights improves the test NLL"
OPTIMIZERS = (SLOWER_THAN_ADAM, SLOWER_THAN_RMSPROP, SENSITIVE, WORSE, FRAGILE, NON_STATIONARY, COST, USE)
REMEDIES = ("KL annealing prevents collapse", "Free bits prevent collapse", "Two-stage training prevents collapse")
TUNED = "With annealing, adam is better still when tuned at equal cost"


def claimed(records: Records) -> dict[str, Claim]:
    comparison = compare(records)
    goals = [target(records, "w")]
    found = claims(records, comparison, reaches(records, goals), factorial(records, comparison))
    return {claim.statement: claim for claim in found["w"]}


def sign(index: int) -> int:
    return 1 if index % 2 == 0 else -1


def searched(told: int) -> dict[str, list[float | None]]:
    """L_val by method; every other trial, the first included, is annealed.

    SGD's rates are good in 2 trials of 12 and Adam's in 10, or the other way round. RMSprop is best where beta is
    annealed and diverges elsewhere; or it is worst there, best elsewhere, and Adam diverges where it is best.
    """
    trials = range(TRIALS)
    few: list[float | None] = [28.0 if trial < 2 else 40.0 for trial in trials]
    many: list[float | None] = [28.0 if trial < 10 else 40.0 for trial in trials]
    half: list[float | None] = [28.0 if trial % 4 < 2 else 40.0 for trial in trials]
    if told == 0:
        return {"sgd": half, "adam": half, "rmsprop": [26.0 if trial % 4 < 2 else 41.0 for trial in trials]}
    if told == 1:
        return {"sgd": few, "adam": many, "rmsprop": [26.0, None] * (TRIALS // 2)}
    adam = [28.0 if trial == 0 else 40.0 if trial % 2 == 0 else None for trial in trials]
    return {"sgd": many, "adam": adam, "rmsprop": [45.0, 26.0] * (TRIALS // 2)}


def confirmed(told: int) -> dict[str, list[Made]]:
    """Seeds by method: test NLL, when they come below 30 nats, seconds, and the NLL averaged over weights."""
    base = around(28.0, SEEDS)
    adam = [value + 0.5 * told + 0.05 * sign(seed) for seed, value in enumerate(base)]
    slow, fast = {1: ([4] * SEEDS, [1] * SEEDS), -1: ([1] * SEEDS, [4] * SEEDS), 0: ([1, 4] * 3, [1, 4] * 3)}[told]

    def run(seed: int, nll: float, evaluation: int = 1, **metrics: float) -> Made:
        curve = falling(*[70.0] * evaluation, *[29.0] * (6 - evaluation))
        named = {name.replace("final_", "final/"): value for name, value in metrics.items()}
        return Made(nll, metrics={"final/train_seconds": 1.0, **named}, curve=curve)

    return {
        "sgd": [run(seed, nll, slow[seed]) for seed, nll in enumerate(base)],
        "adam": [run(seed, nll, fast[seed]) for seed, nll in enumerate(adam)],
        "rmsprop": [run(seed, nll, fast[seed]) for seed, nll in enumerate(base)],
        "ivon": [
            run(
                seed,
                nll,
                final_train_seconds=2.0**told * (1 + 0.01 * sign(seed)),
                final_test_nll_weights=nll - 0.2 * told + 0.01 * sign(seed),
            )
            for seed, nll in enumerate(base)
        ],
    }


def optimizers(results: Path, told: int) -> Records:
    made = study(METHODS, trials=TRIALS, seeds=SEEDS, target={"nats": {"w": 30.0}})
    builder = Builder(results, made)
    losses, seeds = searched(told), confirmed(told)
    rates = np.geomspace(1e-4, 1.0, TRIALS).tolist()
    for method in METHODS:
        values = losses.get(method, [28.0])
        schedules = ["linear" if trial % 2 == 0 else "constant" for trial in range(TRIALS)]
        settings = [{"lr": lr, "beta.schedule": name} for lr, name in zip(rates, schedules, strict=True)]
        builder.search(method, [Made(value, setting) for value, setting in zip(values, settings, strict=False)])
        builder.confirm(method, 1 if (method, told) == ("rmsprop", -1) else 0, seeds[method])
    return load(builder.folder)


def remedies(results: Path, told: int) -> Records:
    """Every combination of the three remedies three times; as told, those with two or three do not collapse.

    Where nothing is to be seen, as many with a remedy collapse as without it: those with an odd number.
    """
    builder = Builder(results, study({"adam": arm()}, trials=24))
    trials = []
    for trial in range(24):
        annealed, free, staged = (bool(trial >> place & 1) for place in range(3))
        count = annealed + free + staged
        collapses = {1: count < 2, -1: count >= 2, 0: count % 2 == 1}[told]
        setting = {"beta.schedule": "linear" if annealed else "constant", "free_bits.nats": 0.1 if free else 0.0}
        stages = {"stages.warm.share": 0.2} if staged else {}
        trials.append(Made(49.9 if collapses else 28.0, setting | stages))
    builder.search("adam", trials)
    return load(builder.folder)


def crossed(results: Path, told: int) -> Records:
    """A factorial of two optimizers and annealing, which helps, hurts, or neither."""
    ends = {"plain": {}, "annealing": {"train.beta.schedule": "linear"}}
    methods = {f"{name}-{end}": arm(name, fixed) for name in ("sgd", "adam") for end, fixed in ends.items()}
    plain = {"train": {"epochs": 5, "beta": {"schedule": "constant"}}}
    builder = Builder(results, study(methods, **plain))
    base = around(28.0, 4)
    for method in methods:
        shift = -0.5 * told if method.endswith("annealing") else 0.0
        builder.search(method, [28.0])
        jitter = 0.05 if method.endswith("annealing") else 0.0
        builder.confirm(method, 0, [nll + shift + jitter * sign(seed) for seed, nll in enumerate(base)])
    return load(builder.folder)


@pytest.fixture(scope="module")
def folklore(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return optimizers(tmp_path_factory.mktemp("folklore"), 1)


@pytest.fixture(scope="module")
def told(folklore: Records, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Claim]]:
    """By what the data say, each claim as the study that was built for it has it."""
    found = {}
    for sense in VERDICTS:
        root = tmp_path_factory.mktemp("told")
        about_optimizers = claimed(folklore if sense == 1 else optimizers(root / "optimizers", sense))
        about_remedies, about_tuning = claimed(remedies(root / "remedies", sense)), claimed(crossed(root, sense))
        found[sense] = {
            **{statement: about_optimizers[statement] for statement in OPTIMIZERS},
            **{statement: about_remedies[statement] for statement in REMEDIES},
            TUNED: about_tuning[TUNED],
        }
    return found


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Claim]:
    """The claims of a study of one method that settles its own affairs only."""
    builder = Builder(tmp_path_factory.mktemp("lone"), study(("adam",)))
    builder.search("adam", [28.0, 29.0])
    builder.confirm("adam", 0, [28.0, 29.0])
    return claimed(load(builder.folder))


@pytest.mark.parametrize("sense", VERDICTS)
@pytest.mark.parametrize("statement", [*OPTIMIZERS, *REMEDIES, TUNED])
def test_each_claim_is_judged_by_the_data(told: dict[int, dict[str, Claim]], statement: str, sense: int) -> None:
    assert told[sense][statement].verdict == VERDICTS[sense]


@pytest.mark.parametrize(
    ("statement", "evidence"),
    [
        (SLOWER_THAN_ADAM, "P(adam reaches the target before sgd) = 1.00 ["),
        (SENSITIVE, "decades of good rates: sgd 0.67 [0.08, 1.94], adam 3.33 [2.06, 3.92]; difference −2.67 ["),
        (WORSE, "test NLL, adam less sgd: 0.50 [0.42, 0.58] nats"),
        (FRAGILE, "diverged trials, rmsprop less adam: 50 [15, 75] points"),
        (NON_STATIONARY, "P(a trial of rmsprop beats one of adam), annealed less not: 1.00 ["),
        (COST, "2.00 [1.97, 2.03] times the seconds of adam a gradient evaluation; test NLL −0.50 [−0.58, −0.42] nats"),
        (USE, "test NLL, averaged less at the mean: −0.20 [−0.22, −0.18] nats"),
        (REMEDIES[0], "collapsed trials over all methods, with it less without: −50 [−73, −10] points"),
        (TUNED, "test NLL of adam with it less without: −0.50 [−0.64, −0.36] nats"),
    ],
)
def test_each_verdict_comes_with_its_number_and_interval(
    told: dict[int, dict[str, Claim]], statement: str, evidence: str
) -> None:
    assert told[1][statement].evidence.startswith(evidence)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (SLOWER_THAN_ADAM, "it needs both families and a usable target"),
        (SLOWER_THAN_RMSPROP, "it needs both families and a usable target"),
        (SENSITIVE, "it needs both families"),
        (WORSE, "it needs both families"),
        (FRAGILE, "it needs both families"),
        (NON_STATIONARY, "it needs both families"),
        (COST, "it needs both families"),
        (USE, "no confirmation run was judged over a posterior of its weights"),
        *[(statement, "no search trials with and without it") for statement in REMEDIES],
        (
            "Remedies still help once the optimizer is tuned at equal cost",
            "it needs a factorial of optimizers and fixed remedies",
        ),
    ],
)
def test_a_claim_without_its_methods_is_not_tested_and_says_what_it_needs(
    lone: dict[str, Claim], statement: str, why: str
) -> None:
    assert lone[statement] == Claim(statement, "not tested", why)


# --- what other designs cannot test -----------------------------------------------------------------------------------


def declaring(records: Records, section: str, **changed: Any) -> Records:
    """The same records of a study that declares something else."""
    made = records.study
    return replace(records, facts={**records.facts, "study": {**made, section: {**made[section], **changed}}})


@pytest.mark.parametrize("statement", [SENSITIVE, FRAGILE, NON_STATIONARY, REMEDIES[0]])
def test_trials_that_are_not_independent_test_no_claim_about_a_space(folklore: Records, statement: str) -> None:
    claim = claimed(declaring(folklore, "search", sampler={"name": "tpe"}))[statement]
    assert (claim.verdict, claim.evidence) == ("not tested", "the search trials are not independent (stage P)")


@pytest.mark.parametrize("statement", [SLOWER_THAN_ADAM, WORSE, COST, USE])
def test_confirmed_winners_test_claims_whoever_found_them(folklore: Records, statement: str) -> None:
    assert claimed(declaring(folklore, "search", sampler={"name": "tpe"}))[statement].verdict == "supported"


def test_runs_that_trained_together_test_no_claim_about_seconds(folklore: Records) -> None:
    claim = claimed(declaring(folklore, "resources", population=4))[COST]
    assert (claim.verdict, claim.evidence) == (
        "not tested",
        "seconds are compared only between runs that train alone (population 1)",
    )


def test_rates_on_a_linear_scale_have_no_sensitivity(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study({"sgd": arm("sgd", lr={"uniform": [0.0, 1.0]}), "adam": arm()}))
    for method in ("sgd", "adam"):
        builder.search(method, [28.0])
        builder.confirm(method, 0, [28.0, 29.0])
    claim = claimed(load(builder.folder))[SENSITIVE]
    assert (claim.verdict, claim.evidence) == ("not tested", "it needs log-uniform learning rates of both")


def test_a_remedy_whose_every_seed_failed_is_not_settled(tmp_path: Path) -> None:
    methods = {"a": arm("sgd"), "b": arm(), "c": arm("sgd", {"train.free_bits.nats": 0.1})}
    methods["d"] = arm("adam", {"train.free_bits.nats": 0.1})
    builder = Builder(tmp_path, study(methods, train={"epochs": 5, "beta": {"schedule": "constant"}}))
    for method in methods:
        builder.search(method, [28.0])
        builder.confirm(method, 0, [49.9, 49.9] if method == "d" else [28.0, 29.0])
    claim = claimed(load(builder.folder))["With free bits, adam is better still when tuned at equal cost"]
    assert (claim.verdict, claim.evidence) == (
        "not settled",
        "test NLL of adam with it less without: unknown (n = 0) nats",
    )
