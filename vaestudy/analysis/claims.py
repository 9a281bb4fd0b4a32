"""The field's folklore as statements, each with a verdict, a number and its interval from the study's own data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from vaestudy.analysis.audits import independent
from vaestudy.analysis.compare import Comparison, Row, by_unit, confirmed, scores, trials
from vaestudy.analysis.factorial import Factorial
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.outcomes import sensitivity
from vaestudy.analysis.statistics.aggregate import probability_of_improvement
from vaestudy.analysis.statistics.intervals import (
    Interval,
    detectable,
    independent_difference,
    rate_difference,
)
from vaestudy.analysis.statistics.methods import Scores, difference
from vaestudy.analysis.tables import minus
from vaestudy.analysis.targets import Reach

Verdict = Literal["supported", "contradicted", "not settled", "not tested"]

SGD = ("sgd", "momentum", "nesterov", "torch.SGD")
ADAM = ("adam", "adamw", "torch.Adam", "torch.AdamW", "torch.NAdam", "torch.RAdam", "torch.Adamax")
RMSPROP = ("rmsprop", "torch.RMSprop")
VARIATIONAL = ("ivon",)
NEVER = 1e300
"""A time that was never reached, larger than any; infinities cannot be subtracted."""
STAGE_P = "the search trials are not independent (stage P)"

REMEDIES = {
    "annealing": "KL annealing prevents collapse",
    "free bits": "Free bits prevent collapse",
    "two-stage": "Two-stage training prevents collapse",
}


@dataclass(frozen=True)
class Claim:
    """A statement and what this study's data say of it.

    Attributes:
        evidence: the number with its 95 % interval, or why there is none.
    """

    statement: str
    verdict: Verdict
    evidence: str


class Evidence:
    """One workload's data, as the claims need them."""

    def __init__(self, records: Records, comparison: Comparison, reaches: Sequence[Reach], workload: str):
        self.records = records
        self.workload = workload
        self._reaches = {reach.method: reach for reach in reaches if reach.workload == workload}
        budget = records.budgets[-1]
        self._rows = [row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)]

    def best(self, family: Sequence[str]) -> Row | None:
        """The family's method with the lowest mean test NLL; rows stand best first."""
        found = [row for row in self._rows if self.records.study["methods"][row.method]["optimizer"] in family]
        return found[0] if found and found[0].nll.n else None

    def sooner(self, one: str, other: str) -> Interval | None:
        """The chance that a run of ``one`` reaches the target before one of ``other``; None without a target."""
        if not {one, other} <= set(self._reaches):
            return None
        ours, theirs = (self._speeds(method) for method in (one, other))
        return probability_of_improvement([ours], [theirs])

    def _speeds(self, method: str) -> list[float]:
        return [-min(time, NEVER) for time in self._reaches[method].times.values()]

    @property
    def independent(self) -> bool:
        """Whether rates and shares of the search trials are those of the declared spaces: stage T."""
        return independent(self.records)

    def search(self, methods: Sequence[str]) -> pd.DataFrame:
        """The ended search trials of these methods."""
        found = pd.concat([trials(self.records, self.workload, method) for method in methods])
        return found[found["outcome"].isin(["done", "diverged"])]

    def confirmed(self, method: str) -> pd.DataFrame:
        """The winner's confirmation runs at the largest budget."""
        return confirmed(self.records, self.workload, method, self.records.budgets[-1])


def claims(
    records: Records, comparison: Comparison, reaches: Sequence[Reach], factors: Factorial | None
) -> dict[str, list[Claim]]:
    """The claims by workload."""
    found = {}
    for workload in records.study["workloads"]:
        data = Evidence(records, comparison, reaches, workload)
        found[workload] = [
            *_speed(data),
            _rate_sensitivity(data),
            _worse_optimum(data),
            _fragile(data),
            _non_stationary(data),
            *_weights(data),
            *_remedies(data),
            *_tuned_remedies(factors, workload),
        ]
    return found


# --- speed and rates --------------------------------------------------------------------------------------------------


def _speed(data: Evidence) -> Iterator[Claim]:
    sgd = data.best(SGD)
    for family, name in ((ADAM, "Adam's kind"), (RMSPROP, "RMSprop")):
        adaptive = data.best(family)
        statement = f"Adaptive methods converge faster: SGD is slower than {name}"
        chance = data.sooner(adaptive.method, sgd.method) if adaptive and sgd else None
        if chance is None or adaptive is None or sgd is None:
            yield _untested(statement, "it needs both families and a usable target")
            continue
        text = f"P({adaptive.method} reaches the target before {sgd.method}) = {_spread(chance)}"
        yield Claim(statement, _against(chance, 0.5), text)


def _rate_sensitivity(data: Evidence) -> Claim:
    statement = "SGD is more sensitive to its learning rate than Adam's kind"
    sgd, adam = data.best(SGD), data.best(ADAM)
    if sgd is None or adam is None or not data.independent:
        return _untested(statement, STAGE_P if sgd and adam else "it needs both families")
    ours, theirs = (sensitivity(data.records, data.workload, row.method).region for row in (sgd, adam))
    if ours is None or theirs is None:
        return _untested(statement, "it needs log-uniform learning rates of both")
    text = f"decades of good rates: {sgd.method} {_spread(ours.decades)}, {adam.method} {_spread(theirs.decades)}"
    narrower = independent_difference(ours.decades, theirs.decades)
    return Claim(statement, _against(narrower, 0.0, below=True), f"{text}; difference {_spread(narrower)}")


def _worse_optimum(data: Evidence) -> Claim:
    statement = "Adam's kind settles at worse optima than SGD"
    sgd, adam = data.best(SGD), data.best(ADAM)
    if sgd is None or adam is None:
        return _untested(statement, "it needs both families")
    worse = difference(adam.scores, sgd.scores)
    return Claim(statement, _against(worse, 0.0), f"test NLL, {adam.method} less {sgd.method}: {_paired(worse)}")


# --- RMSprop ----------------------------------------------------------------------------------------------------------


def _fragile(data: Evidence) -> Claim:
    statement = "RMSprop is numerically fragile: more of its trials diverge than of Adam's kind"
    rmsprop, adam = data.best(RMSPROP), data.best(ADAM)
    if rmsprop is None or adam is None or not data.independent:
        return _untested(statement, STAGE_P if rmsprop and adam else "it needs both families")
    found = [data.search([row.method])["failure"] == "diverged" for row in (rmsprop, adam)]
    more = rate_difference(int(found[0].sum()), len(found[0]), int(found[1].sum()), len(found[1]))
    text = f"diverged trials, {rmsprop.method} less {adam.method}: {_spread(more, percent=True)}"
    return Claim(statement, _against(more, 0.0), text)


def _non_stationary(data: Evidence) -> Claim:
    statement = "RMSprop suits non-stationary problems: it gains on Adam's kind where beta is annealed"
    rmsprop, adam = data.best(RMSPROP), data.best(ADAM)
    if rmsprop is None or adam is None or not data.independent:
        return _untested(statement, STAGE_P if rmsprop and adam else "it needs both families")
    chances = []
    for annealed in (True, False):
        ours, theirs = (_utility(data, row.method, annealed) for row in (rmsprop, adam))
        chances.append(probability_of_improvement([ours], [theirs]))
    if any(math.isnan(chance.low) for chance in chances):
        return _untested(statement, "it needs 5 trials of each with annealing and 5 without")
    gain = independent_difference(*chances)
    text = f"P(a trial of {rmsprop.method} beats one of {adam.method}), annealed less not: {_spread(gain)}"
    return Claim(statement, _against(gain, 0.0), text)


def _utility(data: Evidence, method: str, annealed: bool) -> list[float]:
    search = data.search([method])
    search = search[_remedy_on(search, "annealing") == annealed]
    return [-min(loss, NEVER) for loss in column(search, "final/val_nelbo").fillna(NEVER)]


# --- variational inference over the weights ---------------------------------------------------------------------------


def _weights(data: Evidence) -> Iterator[Claim]:
    ivon, adam = data.best(VARIATIONAL), data.best(ADAM)
    yield _cost_of_weights(data, ivon, adam)
    yield _use_of_weights(data, ivon)


def _cost_of_weights(data: Evidence, ivon: Row | None, adam: Row | None) -> Claim:
    statement = "Variational inference over the weights costs more time than Adam's kind"
    if ivon is None or adam is None:
        return _untested(statement, "it needs both families")
    if data.records.study["resources"]["population"] > 1:
        return _untested(statement, "seconds are compared only between runs that train alone (population 1)")
    slower = difference(_log_seconds(data, ivon.method), _log_seconds(data, adam.method))
    ratio = Interval(math.exp(slower.estimate), math.exp(slower.low), math.exp(slower.high), slower.n)
    worse = difference(ivon.scores, adam.scores)
    text = (
        f"{_spread(ratio)} times the seconds of {adam.method} a gradient evaluation; test NLL {_paired(worse)} "
        "at equal ones"
    )
    return Claim(statement, _against(ratio, 1.0), text)


def _use_of_weights(data: Evidence, ivon: Row | None) -> Claim:
    statement = "Its uncertainty is useful: averaging over weights improves the test NLL"
    averaged = scores(data.records, data.confirmed(ivon.method), "final/test_nll_weights") if ivon else {}
    if ivon is None or not averaged:
        return _untested(statement, "no confirmation run was judged over a posterior of its weights")
    gain = difference(averaged, scores(data.records, data.confirmed(ivon.method), "final/test_nll_at_mean"))
    return Claim(statement, _against(gain, 0.0, below=True), f"test NLL, averaged less at the mean: {_paired(gain)}")


def _log_seconds(data: Evidence, method: str) -> Scores:
    """The logarithm of the seconds that a gradient evaluation took, by unit."""
    runs = data.confirmed(method)
    seconds = np.log(column(runs, "final/train_seconds") / column(runs, "final/grad_evals"))
    found = by_unit(data.records, runs.assign(log_seconds=seconds), "log_seconds")
    return {unit: np.array([value]) for unit, value in found.items()}


# --- remedies ---------------------------------------------------------------------------------------------------------


def _remedies(data: Evidence) -> Iterator[Claim]:
    search = data.search(data.records.methods)
    collapsed = search["failure"] == "collapsed"
    for remedy, statement in REMEDIES.items():
        on = _remedy_on(search, remedy)
        if not on.any() or on.all() or not data.independent:
            yield _untested(statement, STAGE_P if not data.independent else "no search trials with and without it")
            continue
        less = rate_difference(int(collapsed[on].sum()), int(on.sum()), int(collapsed[~on].sum()), int((~on).sum()))
        text = f"collapsed trials over all methods, with it less without: {_spread(less, percent=True)}"
        yield Claim(statement, _against(less, 0.0, below=True), text)


def _remedy_on(search: pd.DataFrame, remedy: str) -> pd.Series[bool]:
    if remedy == "annealing":
        ramps = search.get("setting.beta.schedule", pd.Series("constant", index=search.index)) != "constant"
        return ramps & (column(search, "setting.beta.over") > 0)
    if remedy == "free bits":
        return column(search, "setting.free_bits.nats") > 0
    stages = [name for name in search if str(name).startswith("setting.stages.") and str(name).endswith(".share")]
    shares = [column(search, str(name)).between(0, 1, inclusive="neither") for name in stages]
    return pd.concat(shares, axis=1).any(axis=1) if shares else pd.Series(False, index=search.index)


def _tuned_remedies(factors: Factorial | None, workload: str) -> Iterator[Claim]:
    if factors is None:
        statement = "Remedies still help once the optimizer is tuned at equal cost"
        yield _untested(statement, "it needs a factorial of optimizers and fixed remedies")
        return
    for effect in factors.effects:
        if effect.workload == workload:
            text = f"test NLL of {effect.optimizer} with it less without: {_paired(effect.difference)}"
            statement = f"With {effect.remedy}, {effect.optimizer} is better still when tuned at equal cost"
            yield Claim(statement, _against(effect.difference, 0.0, below=True), text)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def _untested(statement: str, why: str) -> Claim:
    return Claim(statement, "not tested", why)


def _against(found: Interval, level: float, below: bool = False) -> Verdict:
    """Supported where the whole interval lies above the level (``below``: below it), contradicted where beyond it."""
    if math.isnan(found.low):
        return "not settled"
    if found.low > level:
        return "contradicted" if below else "supported"
    if found.high < level:
        return "supported" if below else "contradicted"
    return "not settled"


def _paired(found: Interval) -> str:
    """A paired difference, and the smallest that as many seeds would have seen."""
    smallest = detectable(found)
    return f"{_spread(found)} nats" + ("" if math.isnan(smallest) else f" (detectable: {smallest:.2f})")


def _spread(found: Interval, percent: bool = False) -> str:
    """``0.32 [0.26, 0.38]``, or in percent points."""
    scale, unit, digits = (100, " points", 0) if percent else (1, "", 2)
    centre = minus(f"{scale * found.estimate:.{digits}f}")
    if math.isnan(found.estimate):
        return f"unknown (n = {found.n})"
    if math.isnan(found.low):
        return f"{centre}{unit} (no interval at n = {found.n})"
    ends = minus(f"[{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]")
    return f"{centre} {ends}{unit}"
