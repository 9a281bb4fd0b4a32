"""Every claim gets each verdict from data that were built for it, of one search and of five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.analysis.values import around
from tests.made_up import Builder, Made, arm, falling, study
from vaestudy.analysis.claims import claims
from vaestudy.analysis.compare import Row, compare
from vaestudy.analysis.evidence import Evidence, Pair, as_scores
from vaestudy.analysis.factorial import factorial
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.statistics.aggregate import probability_of_improvement
from vaestudy.analysis.statistics.intervals import Interval, independent_difference, rate_difference, rate_interval
from vaestudy.analysis.statistics.methods import Scores, estimate
from vaestudy.analysis.targets import reaches, target
from vaestudy.analysis.verdicts import Answer, Asked, Claim, Question, Verdict, settle, spread

VERDICTS: dict[int, Verdict] = {1: "supported", -1: "contradicted", 0: "not settled"}
"""By what the data say of the folklore: as told, the opposite, nothing."""
REPLICATES = (1, 5)
TRIALS, SEEDS = {1: 20, 5: 12}, {1: 6, 5: 2}
"""By the number of replicates."""
METHODS = {name: arm(name) for name in ("sgd", "rmsprop", "ivon", "adam")}

FASTER_ADAM = "Adam's kind converges faster than SGD's kind"
FASTER_RMSPROP = "RMSprop's kind converges faster than SGD's kind"
SENSITIVE = "SGD's kind is more sensitive to its learning rate than Adam's kind"
WORSE = "Adam's kind settles at worse optima than SGD's kind"
FRAGILE = "RMSprop's kind is numerically fragile: more of its trials diverge than of Adam's kind"
NON_STATIONARY = "RMSprop's kind suits non-stationary problems: it gains on Adam's kind where beta is annealed"
COST = "Variational inference over the weights costs more time than Adam's kind"
USE = "Averaging over the posterior of the weights improves the test NLL"
WINNERS = (FASTER_ADAM, FASTER_RMSPROP, WORSE, COST, USE)
REMEDIES = ("KL annealing prevents collapse", "Free bits prevent collapse", "Two-stage training prevents collapse")
SEARCHES = (SENSITIVE, FRAGILE, NON_STATIONARY)
TUNED = "With annealing, adam is better still when tuned at equal cost"
COMPARISONS = 9
"""How many claims the study of optimizers tests: all but two of the remedies, and no factorial."""


def claimed(records: Records) -> dict[str, Claim]:
    """The claims by their statements, without the word about one search that some begin with."""
    comparison = compare(records)
    goals = [target(records, "w")]
    found = claims(records, comparison, reaches(records, goals), factorial(records, comparison))
    return {plain(claim.statement): claim for claim in found["w"]}


def plain(statement: str) -> str:
    return statement.partition(": ")[2] if statement.startswith("Of ") else statement


def sign(index: int) -> int:
    return 1 if index % 2 == 0 else -1


def searched(told: int, trials: int, replicate: int) -> dict[str, list[float | None]]:
    """L_val by method; every other trial, the first included, is annealed.

    SGD's rates are good in a few trials and Adam's in most, or the other way round. RMSprop is best where beta is
    annealed and diverges elsewhere; or it is worst there, best elsewhere, and Adam diverges where it is best.
    """
    edge = 2 + replicate % 2
    few: list[float | None] = [28.0 if trial < edge else 40.0 for trial in range(trials)]
    many: list[float | None] = [28.0 if trial < trials - edge else 40.0 for trial in range(trials)]
    half: list[float | None] = [28.0 if trial % 4 < 2 else 40.0 for trial in range(trials)]
    if told == 0:
        return {"sgd": half, "adam": half, "rmsprop": [26.0 if trial % 4 < 2 else 41.0 for trial in range(trials)]}
    if told == 1:
        return {"sgd": few, "adam": many, "rmsprop": [26.0, None] * (trials // 2)}
    adam = [28.0 if trial == 0 else 40.0 if trial % 2 == 0 else None for trial in range(trials)]
    return {"sgd": many, "adam": adam, "rmsprop": [45.0, 26.0] * (trials // 2)}


def confirmed(told: int, seeds: int, base: float, signs: list[int]) -> dict[str, list[Made]]:
    """Seeds by method: test NLL, when they come below 30 nats, seconds, and the NLL averaged over weights.

    Args:
        signs: of what each seed has too much.
    """
    nlls = around(base, seeds)
    adam = [nll + 0.5 * told + 0.05 * sign for nll, sign in zip(nlls, signs, strict=True)]
    slow, fast = {1: ((4, 5), (1, 1)), -1: ((1, 1), (4, 5)), 0: ((1, 4), (1, 4))}[told]

    def run(seed: int, nll: float, evaluations: tuple[int, int], **metrics: float) -> Made:
        evaluation = evaluations[signs[seed] < 0]
        curve = falling(*[70.0] * evaluation, *[29.0] * (8 - evaluation))
        named = {name.replace("final_", "final/"): value for name, value in metrics.items()}
        return Made(nll, metrics={"final/train_seconds": 1.0, **named}, curve=curve)

    return {
        "sgd": [run(seed, nll, slow) for seed, nll in enumerate(nlls)],
        "adam": [run(seed, nll, fast) for seed, nll in enumerate(adam)],
        "rmsprop": [run(seed, nll, fast) for seed, nll in enumerate(nlls)],
        "ivon": [
            run(
                seed,
                nll,
                (1, 1),
                final_train_seconds=2.0**told * (1 + 0.01 * signs[seed]),
                final_test_nll_at_mean=nll,
                final_test_nll_weights=nll - 0.2 * told + 0.01 * signs[seed],
            )
            for seed, nll in enumerate(nlls)
        ],
    }


def optimizers(results: Path, told: int, replicates: int) -> Records:
    trials, seeds = TRIALS[replicates], SEEDS[replicates]
    made = study(
        METHODS, seeds=seeds, search={"trials": trials, "replicates": replicates}, target={"nats": {"w": 30.0}}
    )
    builder = Builder(results, made)
    rates = np.geomspace(1e-4, 1.0, trials).tolist()
    for replicate, base in enumerate(around(28.0, replicates)):
        signs = [sign(seed if replicates == 1 else replicate) for seed in range(seeds)]
        losses, runs = searched(told, trials, replicate), confirmed(told, seeds, base, signs)
        for method in METHODS:
            schedules = ["linear" if trial % 2 == 0 else "constant" for trial in range(trials)]
            settings = [{"lr": lr, "beta.schedule": name} for lr, name in zip(rates, schedules, strict=True)]
            values = [Made(loss, own) for loss, own in zip(losses.get(method, [28.0]), settings, strict=False)]
            builder.search(method, values, replicate=replicate)
            winner = 1 if (method, told) == ("rmsprop", -1) else 0
            builder.confirm(method, winner, runs[method], replicate=replicate)
    return load(builder.folder)


def remedies(results: Path, told: int, replicates: int) -> Records:
    """Every combination of the three remedies equally often; as told, those with two or three do not collapse.

    Where nothing is to be seen, as many with a remedy collapse as without it: those with an odd number.
    """
    trials = 48 if replicates == 1 else 8
    builder = Builder(results, study({"adam": arm()}, search={"trials": trials, "replicates": replicates}))
    for replicate in range(replicates):
        builder.search("adam", [remedied(trial, told) for trial in range(trials)], replicate=replicate)
    return load(builder.folder)


def remedied(trial: int, told: int) -> Made:
    annealed, free, staged = (bool(trial >> place & 1) for place in range(3))
    count = annealed + free + staged
    collapses = {1: count < 2, -1: count >= 2, 0: count % 2 == 1}[told]
    setting = {"beta.schedule": "linear" if annealed else "constant", "free_bits.nats": 0.1 if free else 0.0}
    stages = {"stages.warm.share": 0.2} if staged else {}
    return Made(49.9 if collapses else 28.0, setting | stages)


def crossed(results: Path, told: int, replicates: int) -> Records:
    """A factorial of two optimizers and annealing, which helps, hurts, or neither."""
    ends = {"plain": {}, "annealing": {"train.beta.schedule": "linear"}}
    methods = {f"{name}-{end}": arm(name, fixed) for name in ("sgd", "adam") for end, fixed in ends.items()}
    plain = {"train": {"epochs": 5, "beta": {"schedule": "constant"}}}
    builder = Builder(results, study(methods, seeds=2, search={"trials": 1, "replicates": replicates}, **plain))
    for replicate, base in enumerate(around(28.0, replicates)):
        for method in methods:
            shift = (-0.5 * told + 0.05 * sign(replicate)) if method.endswith("annealing") else 0.0
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [base + shift, base + shift + 0.1], replicate=replicate)
    return load(builder.folder)


@pytest.fixture(scope="module")
def folklore(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """What is told of optimizers holds; one search."""
    return optimizers(tmp_path_factory.mktemp("folklore"), 1, 1)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """What is told of optimizers holds; five searches."""
    return optimizers(tmp_path_factory.mktemp("repeated"), 1, 5)


@pytest.fixture(scope="module")
def told(
    folklore: Records, repeated: Records, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], dict[str, Claim]]:
    """By the number of searches and what the data say, each claim as the study that was built for it has it."""
    found = {}
    for replicates in REPLICATES:
        for sense in VERDICTS:
            folder = tmp_path_factory.mktemp("told")
            raced = (
                {1: folklore, 5: repeated}[replicates] if sense == 1 else optimizers(folder / "a", sense, replicates)
            )
            by_optimizers = claimed(raced)
            by_remedies = claimed(remedies(folder / "b", sense, replicates))
            by_factorial = claimed(crossed(folder / "c", sense, replicates))
            found[replicates, sense] = {
                **{name: by_optimizers[name] for name in (*WINNERS, *SEARCHES)},
                **{name: by_remedies[name] for name in REMEDIES},
                TUNED: by_factorial[TUNED],
            }
    return found


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Claim]:
    """The claims of a study of adam alone."""
    builder = Builder(tmp_path_factory.mktemp("lone"), study(("adam",)))
    builder.search("adam", [28.0, 29.0])
    builder.confirm("adam", 0, [28.0, 29.0])
    return claimed(load(builder.folder))


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sense", VERDICTS)
@pytest.mark.parametrize("replicates", REPLICATES)
@pytest.mark.parametrize("statement", [*WINNERS, *SEARCHES, *REMEDIES])
def test_each_claim_is_judged_by_the_data(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], statement: str, replicates: int, sense: int
) -> None:
    assert told[replicates, sense][statement].verdict == VERDICTS[sense]


@pytest.mark.parametrize("sense", VERDICTS)
def test_tuned_remedies_are_judged_by_several_searches(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], sense: int
) -> None:
    assert told[5, sense][TUNED].verdict == VERDICTS[sense]


def test_one_search_each_says_nothing_of_tuned_remedies(told: Mapping[tuple[int, int], Mapping[str, Claim]]) -> None:
    why = "one search each: how another would have ended is not known (search.replicates)"
    assert told[1, 1][TUNED] == Claim(TUNED, "not tested", why)


@pytest.mark.parametrize("statement", WINNERS)
def test_of_one_search_each_what_is_said_is_of_these_winners(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], statement: str
) -> None:
    assert told[1, 1][statement].statement == f"Of these winners: {statement}"
    assert told[5, 1][statement].statement == statement


@pytest.mark.parametrize("statement", [*SEARCHES, *REMEDIES])
def test_of_one_search_each_what_trials_say_is_of_that_search(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], statement: str
) -> None:
    assert told[1, 1][statement].statement == f"Of the trials of one search: {statement}"
    assert told[5, 1][statement].statement == statement


@pytest.mark.parametrize(
    ("statement", "evidence"),
    [
        (FASTER_ADAM, "adam takes 0.23 [0.17, 0.31] times the gradient evaluations of sgd to the target; a miss"),
        (SENSITIVE, "decades of good rates from 0.0001 to 1: sgd 0.80, adam 3.20; difference −2.40 [−3.29, −1.41]"),
        (
            WORSE,
            "test NLL, adam less sgd: 0.51 [0.38, 0.64] nats (detectable: 0.17); fall of the validation loss in the ",
        ),
        (FRAGILE, "diverged trials, rmsprop less adam: 50 [30, 67] points"),
        (NON_STATIONARY, "P(a trial of rmsprop beats one of adam), annealed less not: 1.00 [0.81, 1.00]"),
        (COST, "a gradient evaluation takes 2.00 [1.95, 2.06] times as long under ivon as under adam"),
        (USE, "test NLL of ivon, averaged less at the mean: −0.20 [−0.22, −0.17] nats (detectable: 0.03)"),
        (REMEDIES[0], "collapsed trials of adam, with it less without: −50 [−72, −12] points"),
        (TUNED, "test NLL of adam with it less without: −0.49 ["),
    ],
)
def test_each_verdict_comes_with_its_number_and_interval(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], statement: str, evidence: str
) -> None:
    assert told[5, 1][statement].evidence.startswith(evidence)


def test_the_intervals_of_all_tested_claims_hold_at_once(
    told: Mapping[tuple[int, int], Mapping[str, Claim]], repeated: Records
) -> None:
    """Adam less SGD is 0.55 in three replicates and 0.45 in two: the standard error is 0.0245. Bonferroni for 9."""
    assert sum(claim.verdict != "not tested" for claim in claimed(repeated).values()) == COMPARISONS
    error = np.std([0.55, 0.45, 0.55, 0.45, 0.55], ddof=1) / 5**0.5
    half = stats.t.ppf(1 - 0.05 / (2 * COMPARISONS), 4) * error
    assert f"0.51 [{0.51 - half:.2f}, {0.51 + half:.2f}] nats" in told[5, 1][WORSE].evidence


def test_shares_of_trials_are_never_surer_than_independent_trials_are(
    told: Mapping[tuple[int, int], Mapping[str, Claim]],
) -> None:
    """The difference is 50 points in each of five replicates of 12 trials: 30 of 60 instead of 0 of 60."""
    found = rate_difference(30, 60, 0, 60, 1 - 0.05 / COMPARISONS)
    assert f"50 [{100 * found.low:.0f}, {100 * found.high:.0f}] points" in told[5, 1][FRAGILE].evidence


def test_of_one_search_the_intervals_of_shares_of_trials_hold_at_once_too(
    told: Mapping[tuple[int, int], Mapping[str, Claim]],
) -> None:
    """Of 20 trials 10 of rmsprop diverge and none of adam; 2 of sgd and 18 of adam are good, over 4 decades."""
    level = 1 - 0.05 / COMPARISONS
    diverged = rate_difference(10, 20, 0, 20, level)
    good = independent_difference(rate_interval(2, 20, level), rate_interval(18, 20, level))
    assert f"50 [{100 * diverged.low:.0f}, {100 * diverged.high:.0f}] points" in told[1, 1][FRAGILE].evidence
    ends = f"[{4 * good.low:.2f}, {4 * good.high:.2f}]".replace("-", "−")
    assert f"difference −3.20 {ends}" in told[1, 1][SENSITIVE].evidence


def test_of_one_search_the_interval_of_a_chance_to_beat_holds_at_once_too(
    told: Mapping[tuple[int, int], Mapping[str, Claim]],
) -> None:
    """All of ten annealed trials beat all of ten, none of ten others any of ten."""
    level = 1 - 0.05 / COMPARISONS
    always, never = ([1.0] * 10, [0.0] * 10)
    annealed = probability_of_improvement([always], [never], level)
    found = independent_difference(annealed, probability_of_improvement([never], [always], level))
    assert f"1.00 [{found.low:.2f}, 1.00]" in told[1, 1][NON_STATIONARY].evidence


# --- what a study needs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (FASTER_ADAM, "no confirmed method of SGD's kind"),
        (FASTER_RMSPROP, "no confirmed method of RMSprop's kind and none of SGD's kind"),
        (SENSITIVE, "no confirmed method of SGD's kind"),
        (WORSE, "no confirmed method of SGD's kind"),
        (FRAGILE, "no confirmed method of RMSprop's kind"),
        (NON_STATIONARY, "no confirmed method of RMSprop's kind"),
        (COST, "no confirmed method of variational inference over the weights"),
        (USE, "no confirmed method of variational inference over the weights"),
        *[(statement, "no optimizer has search trials with it and without it") for statement in REMEDIES],
        (
            "Remedies still help once the optimizer is tuned at equal cost",
            "it needs a factorial of optimizers and fixed remedies",
        ),
    ],
)
def test_a_claim_without_its_methods_is_not_tested_and_says_what_it_needs(
    lone: dict[str, Claim], statement: str, why: str
) -> None:
    assert (lone[statement].verdict, lone[statement].evidence) == ("not tested", why)


def declaring(records: Records, section: str, **changed: Any) -> Records:
    """The same records of a study that declares something else."""
    made = records.study
    return replace(records, facts={**records.facts, "study": {**made, section: {**made[section], **changed}}})


@pytest.mark.parametrize("statement", [*SEARCHES, REMEDIES[0]])
def test_trials_that_are_not_independent_test_no_claim_about_a_space(repeated: Records, statement: str) -> None:
    claim = claimed(declaring(repeated, "search", sampler={"name": "tpe"}))[statement]
    assert (claim.verdict, claim.evidence) == ("not tested", "the search trials are not independent (stage P)")


@pytest.mark.parametrize("statement", WINNERS)
def test_confirmed_winners_test_claims_whoever_found_them(repeated: Records, statement: str) -> None:
    assert claimed(declaring(repeated, "search", sampler={"name": "tpe"}))[statement].verdict == "supported"


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"population": 4}, "seconds are compared only between runs that train alone"),
        ({"cpus": 0.5}, "seconds are compared only between workers that share neither a core nor a device"),
        ({"gpus": 0.5}, "seconds are compared only between workers that share neither a core nor a device"),
    ],
)
def test_runs_that_share_what_they_run_on_test_no_claim_about_seconds(
    repeated: Records, resources: dict[str, float], why: str
) -> None:
    claim = claimed(declaring(repeated, "resources", **resources))[COST]
    assert claim.verdict == "not tested"
    assert claim.evidence.startswith(why)


def test_without_a_target_nothing_is_said_of_speed(repeated: Records) -> None:
    facts = {**repeated.facts, "study": {**repeated.study, "target": None}}
    claim = claimed(replace(repeated, facts=facts))[FASTER_ADAM]
    assert (claim.verdict, claim.evidence) == ("not tested", "no usable target")


def test_a_target_that_no_winner_reaches_says_nothing_of_speed(repeated: Records) -> None:
    claim = claimed(declaring(repeated, "target", nats={"w": 20.0}))[FASTER_ADAM]
    assert (claim.verdict, claim.evidence) == ("not tested", "no winner of either reaches the target")


def test_winners_that_need_equally_long_in_every_replicate_leave_no_interval(tmp_path: Path) -> None:
    claim = claimed(raced(tmp_path, sgd=falling(70.0, 70.0, 29.0)))[FASTER_ADAM]
    assert claim.verdict == "not settled"
    assert "0.50 (no interval: no spread)" in claim.evidence


def test_a_winner_that_misses_the_target_counts_with_its_cap(tmp_path: Path) -> None:
    claim = claimed(raced(tmp_path, sgd=falling(70.0, 70.0, 31.0, 31.0, 31.0)))[FASTER_ADAM]
    assert "adam takes 0.25 " in claim.evidence


def raced(tmp_path: Path, sgd: list[dict[str, float]]) -> Records:
    """Three replicates in which adam reaches 30 nats at its first evaluation."""
    made = study(seeds=1, search={"trials": 1, "replicates": 3}, target={"nats": {"w": 30.0}})
    builder = Builder(tmp_path, made)
    for replicate in range(3):
        for method, curve in {"sgd": sgd, "adam": falling(70.0, 29.0)}.items():
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [Made(28.0, curve=curve)], replicate=replicate)
    return load(builder.folder)


def test_a_ratio_of_which_two_replicates_tell_next_to_nothing_is_unbounded(tmp_path: Path) -> None:
    made = study(seeds=1, search={"trials": 1, "replicates": 2}, target={"nats": {"w": 30.0}})
    builder = Builder(tmp_path, made)
    for replicate, scale in enumerate([1.0, 1e60]):
        for method, cost in {"sgd": 20.0, "adam": 20.0 * scale}.items():
            curve = [{"val/nelbo": 70.0, "cost/grad_evals": 0.0}, {"val/nelbo": 29.0, "cost/grad_evals": cost}]
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [Made(28.0, curve=curve)], replicate=replicate)
    claim = claimed(load(builder.folder))[FASTER_ADAM]
    assert claim.verdict == "not settled"
    assert "[0.00, inf] times" in claim.evidence


# --- flat curves ------------------------------------------------------------------------------------------------------


def ending(tmp_path: Path, *nelbos: float) -> Claim:
    """The claim about optima where adam's winners are 0.5 nats worse and end with these validation losses."""
    builder = Builder(tmp_path, study(seeds=1, search={"trials": 1, "replicates": 5}))
    for replicate, base in enumerate(around(28.0, 5)):
        flat = falling(70.0, *[29.0] * 10)
        for method, nll, curve in (
            ("sgd", base, flat),
            ("adam", base + 0.5 + 0.02 * sign(replicate), falling(70.0, *[30.0] * 8, *nelbos)),
        ):
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [Made(nll, curve=curve)], replicate=replicate)
    return claimed(load(builder.folder))[WORSE]


def test_a_difference_of_curves_that_still_fall_by_as_much_is_no_optimum(tmp_path: Path) -> None:
    """Of ten evaluations after the start the last tenth is what follows the ninth: 0.6 nats, more than 0.5."""
    claim = ending(tmp_path, 29.7, 29.1)
    assert claim.verdict == "not settled"
    assert claim.evidence.startswith("still falling: adam; test NLL, adam less sgd: 0.50 [")
    assert claim.evidence.endswith(
        "fall of the validation loss in the last tenth of training: adam 0.60 and sgd 0.00 nats"
    )


def test_what_fell_before_the_last_tenth_does_not_keep_a_claim_open(tmp_path: Path) -> None:
    claim = ending(tmp_path, 29.2, 29.1)
    assert claim.verdict == "supported"
    assert claim.evidence.endswith("adam 0.10 and sgd 0.00 nats")


def test_curves_that_fall_are_not_named_where_nothing_is_told_apart(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(seeds=3, search={"trials": 1, "replicates": 2}))
    for replicate in range(2):
        for method in ("sgd", "adam"):
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, around(28.0 + replicate, 3), replicate=replicate)
    claim = claimed(load(builder.folder))[WORSE]
    assert claim.verdict == "not settled"
    assert claim.evidence.startswith("test NLL")


# --- learning rates ---------------------------------------------------------------------------------------------------


def searching(tmp_path: Path, sgd: dict[str, object], adam: dict[str, object]) -> Claim:
    """The claim about sensitivity of two methods with these arms."""
    builder = Builder(tmp_path, study({"sgd": sgd, "adam": adam}, trials=20))
    rates = np.geomspace(1e-3, 1e-1, 20).tolist()
    for method, good in (("sgd", 2), ("adam", 18)):
        losses = [28.0 if trial < good else 40.0 for trial in range(20)]
        builder.search(method, [Made(loss, {"lr": rate}) for loss, rate in zip(losses, rates, strict=True)])
        builder.confirm(method, 0, [28.0, 29.0])
    return claimed(load(builder.folder))[SENSITIVE]


def rate(low: float, high: float) -> dict[str, list[float]]:
    return {"log": [low, high]}


def test_equal_ranges_on_a_common_scale_are_compared(tmp_path: Path) -> None:
    """SGD's rate times 1 / (1 - 0.9) has Adam's range."""
    sgd = arm("momentum", {"momentum": 0.9}, lr=rate(1e-4, 1e-1))
    claim = searching(tmp_path, sgd, arm(lr=rate(1e-3, 1.0)))
    assert claim.verdict == "supported"
    assert claim.evidence.startswith("decades of good rates from 0.001 to 1: sgd 0.30, adam 2.70; difference −2.40 [")


@pytest.mark.parametrize(
    ("sgd", "why"),
    [
        (
            arm("momentum", lr=rate(1e-4, 1.0)),  # by default momentum is 0.9
            "the declared rates have other ranges, times 1 / (1 − momentum) where there is one: sgd 0.001 to 10, adam "
            "0.0001 to 1",
        ),
        (
            arm("momentum", lr=rate(1e-4, 1.0), one_minus_momentum=rate(0.01, 1.0)),
            "the rate times 1 / (1 − momentum) has no declared range where momentum is searched: sgd",
        ),
        (arm("sgd", lr={"uniform": [0.0, 1.0]}), "it needs log-uniform learning rates of both"),
    ],
)
def test_other_ranges_of_rates_have_no_sensitivity(tmp_path: Path, sgd: dict[str, object], why: str) -> None:
    claim = searching(tmp_path, sgd, arm())
    assert (claim.verdict, claim.evidence) == ("not tested", why)


# --- families ---------------------------------------------------------------------------------------------------------


def registered(records: Records, optimizer: str, family: str) -> Records:
    """The same records with another family of an optimizer in the registry."""
    known = records.facts["optimizers"]
    return replace(
        records, facts={**records.facts, "optimizers": {**known, optimizer: {**known[optimizer], "family": family}}}
    )


@pytest.mark.parametrize("family", ["other", "sign"])
def test_a_family_without_folklore_is_held_against_adams_kind(repeated: Records, family: str) -> None:
    name = {"other": "ivon", "sign": "sign"}[family]
    found = claimed(registered(repeated, "ivon", family))
    assert found[USE].evidence == "no confirmed method of variational inference over the weights"
    assert found[f"{name} converges faster than Adam's kind"].verdict == "not settled"
    assert found[f"Adam's kind settles at worse optima than {name}"].verdict == "supported"


def members(tmp_path: Path, best: str) -> dict[str, Claim]:
    """Five searches of adam, sgd, momentum and nesterov; the best of SGD's kind is 0.5 nats better than the others."""
    methods = {name: arm(name) for name in ("sgd", "momentum", "nesterov", "adam")}
    builder = Builder(tmp_path, study(methods, seeds=1, search={"trials": 1, "replicates": 5}))
    for replicate, base in enumerate(around(28.0, 5)):
        for method in methods:
            flat = falling(70.0, *[29.0] * 10)
            nll = base + 0.03 * sign(replicate) * (method == "adam") - 0.5 * (method == best)
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [Made(nll, curve=flat)], replicate=replicate)
    return claimed(load(builder.folder))


@pytest.mark.parametrize("best", ["sgd", "momentum", "nesterov"])
def test_the_best_by_the_primary_score_stands_for_its_family(tmp_path: Path, best: str) -> None:
    claim = members(tmp_path, best)[WORSE]
    assert claim.verdict == "supported"
    assert claim.evidence.startswith(f"test NLL, adam less {best}: 0.51 [")
    assert f"; {best}: the best of {best}, " in claim.evidence


def test_whoever_stands_for_a_family_the_interval_holds_for_all_of_its_methods(tmp_path: Path) -> None:
    """Three methods of SGD's kind against one of Adam's are three comparisons, and nothing else is tested."""
    claim = members(tmp_path, "momentum")[WORSE]
    half = stats.t.ppf(1 - 0.05 / 6, 4) * np.std([0.53, 0.47, 0.53, 0.47, 0.53], ddof=1) / 5**0.5
    assert f"0.51 [{0.506 - half:.2f}, {0.506 + half:.2f}] nats" in claim.evidence


# --- remedies ---------------------------------------------------------------------------------------------------------


def test_runs_that_only_trained_too_little_have_not_collapsed(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study({"adam": arm()}, trials=40))
    annealed, not_annealed = {"beta.schedule": "linear"}, {"beta.schedule": "constant"}
    builder.search(
        "adam",
        [*[Made(28.0, annealed)] * 20, *[Made(55.0, not_annealed, failure="undertrained")] * 20],
    )
    claim = claimed(load(builder.folder))[REMEDIES[0]]
    assert claim.verdict == "not settled"
    assert "with it less without: 0 [" in claim.evidence


def test_a_difference_of_shares_lies_within_100_points(tmp_path: Path) -> None:
    """Minus 100 points in one replicate and none in the other: Student's t would reach to minus 685 points."""
    builder = Builder(tmp_path, study({"adam": arm()}, search={"trials": 8, "replicates": 2}))
    for replicate in range(2):
        schedules = [{"beta.schedule": "linear" if trial % 2 else "constant"} for trial in range(8)]
        losses = [49.9 if trial % 2 == 0 and replicate == 0 else 28.0 for trial in range(8)]
        values = [Made(loss, own) for loss, own in zip(losses, schedules, strict=True)]
        builder.search("adam", values, replicate=replicate)
    claim = claimed(load(builder.folder))[REMEDIES[0]]
    assert claim.evidence == "collapsed trials of adam, with it less without: −50 [−100, 100] points"


def test_an_optimizer_that_was_tried_with_a_remedy_only_says_nothing_of_it(tmp_path: Path) -> None:
    """Sgd, always annealed, collapses; of adam as many trials with annealing as without."""
    builder = Builder(tmp_path, study({"sgd": arm("sgd"), "tuned": arm("adam")}, trials=20))
    settings = [{"beta.schedule": "linear" if trial % 2 else "constant"} for trial in range(20)]
    builder.search("tuned", [Made(49.9 if trial % 4 < 2 else 28.0, own) for trial, own in enumerate(settings)])
    builder.search("sgd", [Made(49.9, {"beta.schedule": "linear"})] * 20)
    claim = claimed(load(builder.folder))[REMEDIES[0]]
    assert claim.verdict == "not settled"
    assert claim.evidence.startswith("collapsed trials of tuned, with it less without: 0 [")


def test_a_remedy_whose_every_seed_failed_is_not_settled(tmp_path: Path) -> None:
    methods = {"a": arm("sgd"), "b": arm(), "c": arm("sgd", {"train.free_bits.nats": 0.1})}
    methods["d"] = arm("adam", {"train.free_bits.nats": 0.1})
    plain = {"epochs": 5, "beta": {"schedule": "constant"}}
    builder = Builder(tmp_path, study(methods, search={"trials": 1, "replicates": 2}, train=plain))
    for replicate in range(2):
        for method in methods:
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [49.9, 49.9] if method == "d" else [28.0, 29.0], replicate=replicate)
    claim = claimed(load(builder.folder))["With free bits, adam is better still when tuned at equal cost"]
    assert (claim.verdict, claim.evidence) == (
        "not settled",
        "test NLL of adam with it less without: unknown (n = 0) nats",
    )


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Interval(0.321, 0.26, 0.384, 5), "0.32 [0.26, 0.38]"),
        (Interval(-0.0131, -0.0302, 0.0044, 5), "−0.013 [−0.030, 0.004]"),
        (Interval(0.001, -0.0004, 0.0024, 5), "0.001 [0.000, 0.002]"),
        (Interval(-0.001, -0.15, 0.15, 5), "0.00 [−0.15, 0.15]"),
        (Interval(0.5, np.nan, np.nan, 1), "0.50 (no interval: n = 1)"),
        (Interval(0.5, np.nan, np.nan, 4), "0.50 (no interval: no spread)"),
        (Interval(np.nan, np.nan, np.nan, 0), "unknown (n = 0)"),
    ],
)
def test_an_interval_is_told_with_as_many_digits_as_it_needs(found: Interval, told: str) -> None:
    assert spread(found) == told


# --- equal methods ----------------------------------------------------------------------------------------------------

FAMILIES: Mapping[str, Sequence[str]] = {
    "sgd": ("sgd", "momentum", "nesterov"),
    "adam": ("adam", "adamw"),
    "rmsprop": ("rmsprop",),
    "variational": ("ivon",),
}
PAIRS = (("adam", "sgd"), ("rmsprop", "sgd"), ("rmsprop", "adam"), ("variational", "adam"))
NOTHING = Interval(np.nan, np.nan, np.nan, 0)


class Equal(Evidence):
    """Five replicates of seven methods that do not differ, in score, speed or share of failed trials."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        methods = [method for members in FAMILIES.values() for method in members]
        drawn = {
            method: (rng.normal(size=5), rng.normal(size=5), rng.binomial(8, 0.2, size=5) / 8) for method in methods
        }
        self.measures = {m: [as_scores(dict(enumerate(map(float, of)))) for of in found] for m, found in drawn.items()}
        registry = {method: {"family": family} for family, members in FAMILIES.items() for method in members}
        facts = {"optimizers": registry, "study": {"methods": {method: {"optimizer": method} for method in methods}}}
        self.records = Records(facts, pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
        rows = [row(method, self.measures[method][0]) for method in methods]
        self._rows = sorted(rows, key=lambda row: row.score.estimate)

    def asked(self) -> dict[str, Asked]:
        """Each measure of each pair of families."""
        found: dict[str, Asked] = {}
        for one, other in PAIRS:
            pair = self.pair(one, other)
            assert isinstance(pair, Pair)
            for measure in range(3):
                answer = partial(self.answer, pair, measure)
                found[f"{one}, {other}, {measure}"] = Question(answer, comparisons=pair.comparisons)
        return found

    def answer(self, pair: Pair, measure: int, comparisons: int) -> Answer:
        ours, theirs = (self.measures[row.method][measure] for row in pair.rows)
        return Answer(self.paired(ours, theirs, comparisons), "")


def row(method: str, scores: Scores) -> Row:
    """A confirmed method of which nothing is known but its scores."""
    found = estimate(scores)
    return Row("w", 1, method, {}, 5, 5, scores, found, NOTHING, NOTHING, {}, {}, None, 0.0, (0, 0), {}, {}, False)


def told_apart(asked: Mapping[str, Asked]) -> bool:
    return any(claim.verdict != "not settled" for claim in settle(asked))


def test_equal_methods_support_or_contradict_a_claim_in_at_most_5_percent_of_studies() -> None:
    studies = [Equal(seed).asked() for seed in range(200)]
    assert sum(map(told_apart, studies)) <= 10
    each_alone = [
        any(told_apart({name: replace(one, comparisons=1)}) for name, one in asked.items()) for asked in studies
    ]
    assert sum(each_alone) > 20
