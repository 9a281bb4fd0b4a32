"""Audits of what came out: spaces by their trials, methods that include others, measurements (protocol, rule 11)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from vaestudy.analysis.compare import Comparison, Row, by_unit, confirmed, ended, sound, trials, winners
from vaestudy.analysis.design_audits import Audit, independent, same_training
from vaestudy.analysis.evidence import as_scores
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.inclusion import inclusions
from vaestudy.analysis.spaces import Dimension, space, unit_cube
from vaestudy.analysis.statistics.intervals import Interval, rate_difference
from vaestudy.analysis.statistics.methods import detectable, difference, simultaneous
from vaestudy.analysis.statistics.subboxes import subbox_ranks
from vaestudy.analysis.statistics.variance import variance_split
from vaestudy.analysis.tables import minus, percent
from vaestudy.analysis.verdicts import at_once
from vaestudy.records import VARIED, trial_name

EDGE = 0.1
"""A winner in this share of a log range at either end lies at its boundary."""
FACTOR = 2.0
"""Methods whose shares of sound trials differ by more have spaces of unequal quality."""
SMALL = 0.1
"""What a bound's bias may be of a difference that is told."""
SATURATED = 0.9
"""Mutual information above this share of log N says more of N than of the codes."""


def outcome_audits(records: Records, comparison: Comparison, workload: str) -> Iterator[Audit]:
    """Every audit of a workload's outcome, in the order of the report."""
    yield from _sound_trials(records, workload)
    yield from _boundaries(records, workload)
    yield from _weight_noise(records, workload)
    yield from _inclusion(records, comparison, workload)
    yield from _subboxes(records, workload)
    yield from _best_checkpoint(records, workload)
    yield from _bias(records, comparison, workload)
    yield from _information(records, workload)
    yield from _variance(records, workload)


# --- the spaces, by their outcome -------------------------------------------------------------------------------------


def _sound_trials(records: Records, workload: str) -> Iterator[Audit]:
    """Whether every method's space holds about as many settings that train at all."""
    found = {method: ended(trials(records, workload, method)) for method in records.methods}
    counts = {m: (int((runs["failure"] == "none").sum()), len(runs)) for m, runs in found.items() if len(runs)}
    if len(counts) < 2:
        return
    most = max(count / n for count, n in counts.values())
    poor = [method for method, (count, n) in counts.items() if FACTOR * count / n < most]
    listed = ", ".join(f"{method} {count} of {n}" for method, (count, n) in counts.items())
    told = f"{workload}: sound trials: {listed}"
    if poor:
        text = f"{told}: the space of {' and '.join(poor)} holds too few good settings for an equal chance"
        yield Audit("Sound trials", "warning", text)
    else:
        yield Audit("Sound trials", "fine", f"{told}, within a factor of {FACTOR:g}")


def _boundaries(records: Records, workload: str) -> Iterator[Audit]:
    won = {method: _winning_trials(records, workload, method) for method in records.methods}
    if not any(map(len, won.values())):
        return
    at_edge = Counter(
        (f"{method} at the {side} end of {dimension.key} ({dimension.low:g} to {dimension.high:g})", len(found))
        for method, found in won.items()
        for row in range(len(found))
        for dimension, side in _edges(space(records, method), found.iloc[[row]])
    )
    if at_edge:
        several = len(records.replicates) > 1
        told = [f"{where} in {n} of {of} replicates" if several else where for (where, of), n in at_edge.items()]
        text = f"{workload}: {'; '.join(told)}: widen these ranges for every method of the chain"
        yield Audit("Boundary", "warning", text)
    else:
        yield Audit("Boundary", "fine", f"{workload}: no winner lies in the outer 10 % of a log range")


def _winning_trials(records: Records, workload: str, method: str) -> pd.DataFrame:
    """The rows of the winners at the largest budget, one a replicate in which a trial reached the cap."""
    search = trials(records, workload, method)
    return search[search["trial"] == search["replicate"].map(winners(records, workload, method, records.budgets[-1]))]


def _edges(dimensions: Sequence[Dimension], trial: pd.DataFrame) -> Iterator[tuple[Dimension, str]]:
    for dimension in dimensions if len(trial) else ():
        place = float(dimension.unit(trial)[0])
        if dimension.kind == "log" and (place < EDGE or place > 1 - EDGE):
            yield dimension, "low" if place < EDGE else "high"


def _weight_noise(records: Records, workload: str) -> Iterator[Audit]:
    """Whether a posterior of the weights starts wider than the weights that it starts from.

    Its standard deviation is 1 / sqrt(ess (hess_init + weight_decay)); that of initial weights about 1 / sqrt(n) for n
    inputs, here of the model's widest hidden layer.
    """
    hidden = records.study["workloads"][workload]["model"].get("hidden")
    for method in records.methods if hidden else ():
        search = trials(records, workload, method)
        precision = column(search, "setting.hess_init") + column(search, "setting.weight_decay").fillna(0.0)
        sizes = (column(search, "setting.ess") * precision).dropna() ** -0.5
        if len(sizes):
            wide = float((sizes > 1 / math.sqrt(max(hidden))).mean())
            text = (
                f"{workload}: in {percent(wide)} of the trials of {method} the noise on the weights starts above "
                f"their own size, 1 / sqrt({max(hidden)})"
            )
            yield Audit("Weight noise", "warning" if wide > 0.5 else "fine", text)


# --- the result -------------------------------------------------------------------------------------------------------


def _inclusion(records: Records, comparison: Comparison, workload: str) -> Iterator[Audit]:
    """What the confirmed runs say of methods that include another; nothing where they cannot say anything."""
    budget = records.budgets[-1]
    rows = {row.method: row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)}
    pairs = [
        (rows[whole], rows[part])
        for whole, part, missing in inclusions(records)
        if not missing and same_training(records, whole, part)
    ]
    for whole, part in pairs:
        yield from _contains(records, workload, whole, part, len(pairs))


def _contains(records: Records, workload: str, whole: Row, part: Row, pairs: int) -> Iterator[Audit]:
    """What is told of one pair, by intervals that hold for so many pairs at once."""
    pair = f"{workload}: {whole.method} contains {part.method}"
    fails = _more_failures(records, workload, whole, part, pairs)
    if fails.low > 0:
        told = f"{whole.failed} of {whole.seeds} confirmation runs instead of {part.failed} of {part.seeds}"
        yield Audit("Inclusion", "warning", f"{pair} and fails in {told}: under-tuned at this budget")
    critical = simultaneous(len(whole.scores.keys() & part.scores.keys()), pairs)
    worse = difference(whole.scores, part.scores, critical)
    told = minus(f"{worse.estimate:+.2f} [{worse.low:+.2f}, {worse.high:+.2f}]")
    told += f" nats, detectable {detectable(whole.scores, part.scores, critical):.2f}"
    if worse.low > 0:
        yield Audit("Inclusion", "warning", f"{pair} and is worse by {told}: under-tuned at this budget")
    elif worse.n > 1 and not fails.low > 0:
        yield Audit("Inclusion", "fine", f"{pair} and is not seen to be worse ({told})")


def _more_failures(records: Records, workload: str, whole: Row, part: Row, pairs: int) -> Interval:
    """The difference of two methods' shares of failed confirmation runs; by replicate where there are several."""
    if len(records.replicates) == 1:
        return rate_difference(whole.failed, whole.seeds, part.failed, part.seeds, at_once(pairs))
    runs = [confirmed(records, workload, row.method, row.budget) for row in (whole, part)]
    ours, theirs = (as_scores(by_unit(records, of.assign(fails=of["failure"] != "none"), "fails")) for of in runs)
    return difference(ours, theirs, simultaneous(len(ours.keys() & theirs.keys()), pairs))


def _subboxes(records: Records, workload: str) -> Iterator[Audit]:
    if not independent(records) or len(records.methods) < 2:
        return
    data = {method: _cube(records, trials(records, workload, method), method) for method in records.methods}
    found = subbox_ranks(data)
    if not found.used:
        yield Audit("Sub-boxes", "note", f"{workload}: too few trials to recompute the ranking in parts of the spaces")
        return
    ranges = ", ".join(f"{m} {r.low:g} to {r.high:g}" for m, r in found.ranks.items())
    shaky = sum(r.leads > 0.025 for r in found.ranks.values()) > 1
    text = f"{workload}: ranks in {found.used} random parts of the spaces (95 %): {ranges}"
    yield Audit("Sub-boxes", "note" if shaky else "fine", text)


def _cube(records: Records, search: pd.DataFrame, method: str) -> tuple[Any, Any]:
    ended = search[search["outcome"].isin(["done", "diverged"])].sort_values("trial")
    losses = column(ended, "final/val_nelbo").where(ended["outcome"] == "done", math.inf).fillna(math.inf)
    return unit_cube(records, method, ended), losses.to_numpy()


def _best_checkpoint(records: Records, workload: str) -> Iterator[Audit]:
    """Whether other trials would win if each were judged at its best epoch."""
    budget, other = records.budgets[-1], []
    for method in records.methods:
        at_cap = winners(records, workload, method, budget)
        at_best = winners(records, workload, method, budget, "final/best_val_nelbo")
        changed = [r for r, number in at_cap.items() if at_best.get(r, number) != number]
        if changed and len(records.replicates) > 1:
            other.append(f"others of {method} in {len(changed)} of {len(at_cap)} replicates")
        elif changed:
            other.append(f"{method} {trial_name(at_best[changed[0]])} instead of {trial_name(at_cap[changed[0]])}")
    if other:
        text = f"{workload}: judged at each trial's best epoch and not at the cap, these would win: {'; '.join(other)}"
        yield Audit("Selection", "note", text)


# --- the measurements -------------------------------------------------------------------------------------------------


def _bias(records: Records, comparison: Comparison, workload: str) -> Iterator[Audit]:
    """How far the bound on the NLL still is above it, against a tenth of the smallest difference told by it."""
    known = _means(records, workload, "final/test_nll_bias")
    if not known:
        return
    method, bias = max(known.items(), key=lambda found: found[1])
    text = f"{workload}: the bound on the test NLL is too high by up to {bias:.2g} nats ({method})"
    if comparison.primary != "nll":
        yield Audit("Bound", "fine", f"{text}; the primary score does not use it")
        return
    rows = [row for row in comparison.rows if (row.workload, row.budget) == (workload, records.budgets[-1])]
    differences = [row.difference for row in rows if row.difference is not None]
    told = [abs(found.estimate) for found in differences if found.low > 0 or found.high < 0]
    least = min(told or [row.detectable for row in rows if not math.isnan(row.detectable)], default=math.nan)
    words = f"the smallest difference that {'is told' if told else 'could be told'}, {least:.2g} nats"
    if bias > SMALL * least:
        text = f"{text}, more than a tenth of {words}: raise confirm.iwae_samples"
        yield Audit("Bound", "warning", text)
    elif bias <= SMALL * least:
        yield Audit("Bound", "fine", f"{text}, at most a tenth of {words}")


def _information(records: Records, workload: str) -> Iterator[Audit]:
    """Whose mutual information is as large as so many examples can show."""
    found, limits = (_means(records, workload, f"final/mutual_information{end}") for end in ("", "_limit"))
    full = [method for method in found if method in limits and found[method] > SATURATED * limits[method]]
    if full:
        told = ", ".join(f"{method} {found[method]:.2f} of {limits[method]:.2f} nats" for method in full)
        text = f"{workload}: mutual information near the logarithm of the number of examples is a lower bound: {told}"
        yield Audit("Mutual information", "note", text)


def _means(records: Records, workload: str, metric: str) -> dict[str, float]:
    """A metric's mean over each method's sound confirmation runs; without methods in which it was not measured."""
    budget = records.budgets[-1]
    runs = {method: sound(confirmed(records, workload, method, budget)) for method in records.methods}
    means = {method: float(column(found, metric).mean()) for method, found in runs.items()}
    return {method: mean for method, mean in means.items() if not math.isnan(mean)}


def _variance(records: Records, workload: str) -> Iterator[Audit]:
    runs = records.runs[(records.runs["workload"] == workload) & (records.runs["stage"] == "sources")]
    for method in records.methods:
        number = winners(records, workload, method, records.budgets[-1]).get(0)
        confirmations = confirmed(records, workload, method, records.budgets[-1])
        confirmations = confirmations[confirmations["replicate"] == 0]
        sources = runs[(runs["method"] == method) & (runs["trial"] == number)]
        if len(sources):
            init, order, noise = (_sound_losses(sources[sources["varied"] == varied]) for varied in VARIED)
            tried = _sound_losses(trials(records, workload, method))
            split = variance_split(_sound_losses(confirmations), init, order, noise, tried)
            told = ", ".join(f"{name} {_deviation(part.variance)}" for name, part in split.items())
            text = f"{workload}, {method}: standard deviations of L_val in nats, without failed runs: {told}"
            yield Audit("Spread", "fine", text)


def _sound_losses(runs: pd.DataFrame) -> list[float]:
    """L_val of the runs that neither diverged nor collapsed."""
    return column(sound(runs), "final/val_nelbo").tolist()


def _deviation(variance: Interval) -> str:
    """The standard deviation, ``0.32 [0.22, 0.58]``; unknown where two runs are lacking."""
    if math.isnan(variance.estimate):
        return "unknown"
    centre = f"{math.sqrt(variance.estimate):.2g}"
    ends = f" [{math.sqrt(variance.low):.2g}, {math.sqrt(variance.high):.2g}]"
    return centre if math.isnan(variance.low) else centre + ends
