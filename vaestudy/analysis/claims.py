"""The field's folklore as statements, each with a verdict, a number and its interval from the study's own data.

A claim is about families of optimizers, as the registry has them. A family's best method by the primary score stands
for it; since any other of its methods might have, the intervals hold for all of them. Where each method was searched
once nothing is said of methods: a claim is then about these winners, about the trials of one search, or not tested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vaestudy.analysis.compare import Comparison, by_unit, scores
from vaestudy.analysis.evidence import Evidence, as_scores, best_of
from vaestudy.analysis.factorial import PLAIN, Factorial
from vaestudy.analysis.families import kind
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.outcomes import last_fall
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.methods import Scores
from vaestudy.analysis.targets import Reach
from vaestudy.analysis.trial_claims import REMEDIES, fragile, non_stationary, prevents_collapse, rate_sensitivity
from vaestudy.analysis.verdicts import Answer, Asked, Claim, Question, nats, settle, spread

ONE_SEARCH = "one search each: how another would have ended is not known (search.replicates)"
TOGETHER = "seconds are compared only between runs that train alone (resources.population 1)"
SHARED = "seconds are compared only between workers that share neither a core nor a device (resources.cpus, gpus)"


def claims(
    records: Records, comparison: Comparison, reaches: Sequence[Reach], factors: Factorial | None
) -> dict[str, list[Claim]]:
    """The claims by workload; the intervals of a workload's claims hold at once."""
    found = {}
    for workload in records.study["workloads"]:
        data = Evidence(records, comparison, reaches, workload)
        found[workload] = settle(dict([*_of_families(data), *_of_weights(data), *_of_remedies(data, factors)]))
    return found


def _of_families(data: Evidence) -> Iterator[tuple[str, Asked]]:
    sgd, adam, rmsprop = map(kind, ("sgd", "adam", "rmsprop"))
    for fast, slow in [("adam", "sgd"), ("rmsprop", "sgd"), *((other, "adam") for other in data.others)]:
        yield data.of_winners(f"{kind(fast)} converges faster than {kind(slow)}"), _speed(data, fast, slow)
    yield data.of_trials(f"{sgd} is more sensitive to its learning rate than {adam}"), rate_sensitivity(data)
    for worse, better in [("adam", "sgd"), *(("adam", other) for other in data.others)]:
        statement = f"{kind(worse)} settles at worse optima than {kind(better)}"
        yield data.of_winners(statement), _worse_optimum(data, worse, better)
    yield data.of_trials(f"{rmsprop} is numerically fragile: more of its trials diverge than of {adam}"), fragile(data)
    statement = f"{rmsprop} suits non-stationary problems: it gains on {adam} where beta is annealed"
    yield data.of_trials(statement), non_stationary(data)


def _of_weights(data: Evidence) -> Iterator[tuple[str, Asked]]:
    variational = kind("variational")
    statement = f"{variational[0].upper()}{variational[1:]} costs more time than {kind('adam')}"
    yield data.of_winners(statement), _cost_of_weights(data)
    statement = "Averaging over the posterior of the weights improves the test NLL"
    yield data.of_winners(statement), _use_of_weights(data)


def _of_remedies(data: Evidence, factors: Factorial | None) -> Iterator[tuple[str, Asked]]:
    for remedy, statement in REMEDIES.items():
        yield data.of_trials(statement), prevents_collapse(data, remedy)
    if factors is None:
        statement = "Remedies still help once the optimizer is tuned at equal cost"
        yield statement, "it needs a factorial of optimizers and fixed remedies"
        return
    for workload, optimizer, remedy in factors.cells:
        if workload == data.workload and remedy != PLAIN:
            statement = f"With {remedy}, {optimizer} is better still when tuned at equal cost"
            yield statement, _tuned_remedy(data, factors, optimizer, remedy)


# --- speed and optima -------------------------------------------------------------------------------------------------


def _speed(data: Evidence, fast: str, slow: str) -> Asked:
    pair = data.pair(fast, slow)
    if isinstance(pair, str):
        return pair
    if not {row.method for row in pair.rows} <= set(data.reaches):
        return "no usable target"
    reached = [time for row in pair.rows for time in data.reaches[row.method].times.values()]
    if not any(map(math.isfinite, reached)):
        return "no winner of either reaches the target"

    def answer(comparisons: int) -> Answer:
        ours, theirs = (_logarithms(data.reaches[row.method].capped) for row in pair.rows)
        ratio = _ratio(data.paired(ours, theirs, comparisons))
        told = f"{pair.one.method} takes {spread(ratio)} times the gradient evaluations of {pair.other.method}"
        return Answer(ratio, f"{told} to the target; a miss counts as the cap{pair.told}")

    return Question(answer, neutral=1.0, below=True, comparisons=pair.comparisons)


def _logarithms(values: Mapping[int, float]) -> Scores:
    """The logarithms of numbers by unit; nothing takes less than one gradient evaluation."""
    return as_scores({unit: math.log(max(value, 1.0)) for unit, value in values.items()})


def _ratio(logarithms: Interval) -> Interval:
    """The interval of a ratio from that of its logarithm; the end of one too large for a number is unbounded."""
    with np.errstate(over="ignore"):
        estimate, low, high = np.exp([logarithms.estimate, logarithms.low, logarithms.high]).tolist()
    return Interval(estimate, low, high, logarithms.n)


def _worse_optimum(data: Evidence, worse: str, better: str) -> Asked:
    pair = data.pair(worse, better)
    if isinstance(pair, str):
        return pair
    falls = {row.method: last_fall(data.records, data.confirmed(row.method)) for row in pair.rows}
    fell = " and ".join(f"{method} {fall:.2f}" for method, fall in falls.items())

    def answer(comparisons: int) -> Answer:
        found, told = _compared(data, pair.one.scores, pair.other.scores, comparisons)
        falling = [method for method, fall in falls.items() if not fall < abs(found.estimate)]
        words = f"{data.score}, {pair.one.method} less {pair.other.method}: {told}{pair.told}"
        words += f"; fall of the validation loss in the last tenth of training: {fell} nats"
        return Answer(found, words, f"still falling: {' and '.join(falling)}" if falling else "")

    return Question(answer, comparisons=pair.comparisons)


def _compared(data: Evidence, ours: Scores, theirs: Scores, comparisons: int) -> tuple[Interval, str]:
    """The difference of two scores, and the same in words."""
    found = data.paired(ours, theirs, comparisons)
    return found, nats(found, data.detectable(ours, theirs, comparisons))


# --- variational inference over the weights ---------------------------------------------------------------------------


def _cost_of_weights(data: Evidence) -> Asked:
    pair = data.pair("variational", "adam")
    if isinstance(pair, str):
        return pair
    if shared := _not_alone(data.records.study["resources"]):
        return shared

    def answer(comparisons: int) -> Answer:
        ours, theirs = (_log_seconds(data, row.method) for row in pair.rows)
        ratio = _ratio(data.paired(ours, theirs, comparisons))
        told = f"a gradient evaluation takes {spread(ratio)} times as long under {pair.one.method} as under "
        return Answer(ratio, told + pair.other.method + pair.told)

    return Question(answer, neutral=1.0, comparisons=pair.comparisons)


def _not_alone(resources: Mapping[str, Any]) -> str:
    """Why runs cannot have had a machine's time to themselves; empty where each had its cores and its device."""
    if resources["population"] > 1:
        return TOGETHER
    alone = float(resources["cpus"]).is_integer() and float(resources["gpus"]).is_integer()
    return "" if alone else SHARED


def _log_seconds(data: Evidence, method: str) -> Scores:
    """The logarithm of the seconds that a gradient evaluation took, by unit."""
    runs = data.confirmed(method)
    seconds = np.log(column(runs, "final/train_seconds") / column(runs, "final/grad_evals"))
    return as_scores(by_unit(data.records, runs.assign(log_seconds=seconds), "log_seconds"))


def _use_of_weights(data: Evidence) -> Asked:
    members = data.members("variational")
    if not members:
        return f"no confirmed method of {kind('variational')}"
    runs = data.confirmed(members[0].method)
    averaged, at_mean = (scores(data.records, runs, f"final/test_nll_{name}") for name in ("weights", "at_mean"))
    if not averaged.keys() & at_mean.keys():
        return "no confirmation run was judged over a posterior of its weights"

    def answer(comparisons: int) -> Answer:
        found, told = _compared(data, averaged, at_mean, comparisons)
        return Answer(found, f"test NLL of {members[0].method}, averaged less at the mean: {told}{best_of(members)}")

    return Question(answer, below=True, comparisons=len(members))


# --- remedies ---------------------------------------------------------------------------------------------------------


def _tuned_remedy(data: Evidence, factors: Factorial, optimizer: str, remedy: str) -> Asked:
    if not data.replicated:
        return ONE_SEARCH
    remedied, plain = (factors.cells[data.workload, optimizer, name].scores for name in (remedy, PLAIN))

    def answer(comparisons: int) -> Answer:
        found, told = _compared(data, remedied, plain, comparisons)
        return Answer(found, f"{data.score} of {optimizer} with it less without: {told}")

    return Question(answer, below=True)
