"""Audits: what a sceptical reader would ask of a comparison, one line each with its number (protocol, rules 4, 11)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from vaestudy.analysis.compare import Comparison, Row, confirmed, sound, trials, winners
from vaestudy.analysis.definitions import INDEPENDENT
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.spaces import Dimension, short, space, unit_cube
from vaestudy.analysis.statistics.intervals import Interval, detectable, rate_difference
from vaestudy.analysis.statistics.methods import difference
from vaestudy.analysis.statistics.subboxes import subbox_ranks
from vaestudy.analysis.statistics.variance import variance_split
from vaestudy.analysis.tables import minus
from vaestudy.records import VARIED, trial_name

EDGE = 0.1
"""A winner in this share of a log range at either end lies at its boundary."""
LEAST_DECADES = 5.0
PAPER_SEEDS, PAPER_SAMPLES = 10, 5000

CHAIN: Mapping[str, tuple[str, ...]] = {
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "rmsprop": ("sgd", "momentum"),
    "adam": ("sgd", "momentum", "rmsprop"),
    "adamw": ("adam", "sgd", "momentum", "rmsprop"),
    "torch.NAdam": ("sgd", "momentum", "rmsprop"),
}
"""By optimizer those which it contains as limits of its hyperparameters (Choi 2019, arXiv:1910.05446, section 4.1)."""

REMEDIES = ("beta.", "free_bits.", "stages.")
RATE_KEYS = ("schedule", "final_lr_ratio", "warmup")
TRAINING_KEYS = (*RATE_KEYS, "clip_norm", "ema", "decoder_lr_ratio")
"""Short keys of how a run trains, whatever its optimizer; the remedies are such keys too."""

Level = Literal["fine", "note", "warning"]


@dataclass(frozen=True)
class Audit:
    """One audit's line.

    Attributes:
        topic: what was looked at. level: fine, note (the reader should know) or warning (a result may be unfair).
        text: what was found, with its number.
    """

    topic: str
    level: Level
    text: str


def audits(records: Records, comparison: Comparison) -> list[Audit]:
    """Every audit of a study, in the order of the report."""
    found: list[Audit] = [
        _stage(records),
        *_sizes(records),
        *_dimensions(records),
        *_rate_ranges(records),
        *_direct_momentum(records),
        *_schedules(records),
        *_confounded(records),
    ]
    for workload in records.study["workloads"]:
        found += _boundaries(records, workload)
        found += _inclusion(records, comparison, workload)
        found += _subboxes(records, workload)
        found += _best_checkpoint(records, workload)
        found += _variance(records, workload)
    return found


# --- the design -------------------------------------------------------------------------------------------------------


def _stage(records: Records) -> Audit:
    sampler, pruner = records.study["search"]["sampler"]["name"], records.study["search"]["pruner"]["name"]
    joint = records.study["search"]["allocation"] == "joint"
    if independent(records):
        return Audit("Search", "fine", f"stage T: independent {sampler} trials, equal for every method, no pruner")
    why = [f"the sampler {sampler} learns from its trials"] if sampler not in INDEPENDENT else []
    why += [f"the pruner {pruner} stops trials early"] if pruner != "none" else []
    why += ["one search over all methods gives them unequal trials"] if joint else []
    return Audit("Search", "note", f"stage P: {' and '.join(why)}; no best-of-n estimate, no sub-box audit is made")


def independent(records: Records) -> bool:
    """Whether the search trials are independent and all reach the cap: stage T of the protocol."""
    search = records.study["search"]
    by_method = search["allocation"] == "per_method"
    return search["sampler"]["name"] in INDEPENDENT and search["pruner"]["name"] == "none" and by_method


def _sizes(records: Records) -> Iterator[Audit]:
    seeds, samples = records.study["confirm"]["seeds"], records.study["confirm"]["iwae_samples"]
    if seeds < PAPER_SEEDS:
        yield Audit("Size", "note", f"{seeds} confirmation seeds; the protocol asks for {PAPER_SEEDS} in a paper")
    if samples < PAPER_SAMPLES:
        yield Audit("Size", "note", f"NLL bounded with {samples} samples; papers report {PAPER_SAMPLES}")
    workloads = len(records.study["workloads"])
    if workloads == 1:
        yield Audit("Size", "note", "one workload: nothing here says that the ranking holds on another")


def _dimensions(records: Records) -> Iterator[Audit]:
    counts = {method: len(space(records, method)) for method in records.methods}
    told = ", ".join(f"{method} {count}" for method, count in counts.items())
    equal = len(set(counts.values())) == 1
    yield Audit("Searched dimensions", "fine" if equal else "note", f"{'equal' if equal else 'unequal'}: {told}")


def _rate_ranges(records: Records) -> Iterator[Audit]:
    for method in records.methods:
        for dimension in space(records, method):
            if dimension.key != "lr" or dimension.kind == "choice":
                continue
            if dimension.kind != "log":
                yield Audit("Spaces", "warning", f"{method} searches its learning rate on a linear scale")
            elif dimension.decades < LEAST_DECADES - 1e-9:
                text = f"{method} searches {dimension.decades:.1f} decades of the learning rate, fewer than 5"
                yield Audit("Spaces", "note", text)


def _direct_momentum(records: Records) -> Iterator[Audit]:
    decays = {"momentum", "beta1", "beta2", "alpha"}
    for method in records.methods:
        direct = [d.key for d in space(records, method) if d.key in decays and d.kind != "choice"]
        if direct:
            text = f"{method} searches {', '.join(direct)} itself, not its distance to 1, and hardly tries 0.99"
            yield Audit("Spaces", "warning", text)


def _schedules(records: Records) -> Iterator[Audit]:
    searched = {m: {short(d.key) for d in space(records, m)} & set(RATE_KEYS) for m in records.methods}
    if len({frozenset(keys) for keys in searched.values()}) > 1:
        told = "; ".join(f"{method}: {', '.join(sorted(keys)) or 'none'}" for method, keys in searched.items())
        yield Audit("Spaces", "warning", f"learning-rate schedules are searched for some methods only ({told})")


def _confounded(records: Records) -> Iterator[Audit]:
    """Two methods of one optimizer that differ in a remedy and in the learning-rate schedule at once."""
    restarts = [method for method in records.methods if _restarts(records, method)]
    if restarts:
        text = f"{', '.join(restarts)}: beta and the learning rate restart together; their effects cannot be told apart"
        yield Audit("Confounded", "warning", text)
    for one, other in combinations(records.methods, 2):
        if records.study["methods"][one]["optimizer"] != records.study["methods"][other]["optimizer"]:
            continue
        changed = _differing(_declared(records, one), _declared(records, other))
        remedies = [key for key in changed if key.startswith(REMEDIES)]
        rates = [key for key in changed if key in RATE_KEYS]
        if remedies and rates:
            text = f"{one} and {other} differ in {', '.join(remedies)} and in {', '.join(rates)} together"
            yield Audit("Confounded", "warning", text)


def _restarts(records: Records, method: str) -> bool:
    train, declared = records.study["train"], _declared(records, method)
    beta = declared.get("beta.schedule", train["beta"]["schedule"])
    rate = declared.get("schedule", train["schedule"])
    return bool(beta == rate == "cyclical")


def _declared(records: Records, method: str) -> dict[str, Any]:
    """What a method fixes or searches for itself, by short key."""
    section = records.study["methods"][method]
    searched = {key: str(entry) for key, entry in section["search"].items()}
    return {short(key): value for key, value in {**section["fixed"], **searched}.items()}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


# --- the result -------------------------------------------------------------------------------------------------------


def _boundaries(records: Records, workload: str) -> Iterator[Audit]:
    won = {method: _winning_trials(records, workload, method) for method in records.methods}
    if not any(map(len, won.values())):
        return
    at_edge = dict.fromkeys(
        f"{method} at the {side} end of {dimension.key} ({dimension.low:g} to {dimension.high:g})"
        for method, found in won.items()
        for row in range(len(found))
        for dimension, side in _edges(space(records, method), found.iloc[[row]])
    )
    if at_edge:
        text = f"{workload}: {'; '.join(at_edge)}: widen these ranges for every method of the chain"
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


def _inclusion(records: Records, comparison: Comparison, workload: str) -> Iterator[Audit]:
    budget = records.budgets[-1]
    rows = {row.method: row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)}
    optimizer = {method: records.study["methods"][method]["optimizer"] for method in rows}
    for whole, row in rows.items():
        for part, contained in rows.items():
            if optimizer[part] in CHAIN.get(optimizer[whole], ()) and _same_training(records, whole, part):
                yield from _contains(workload, row, contained)


def _same_training(records: Records, one: str, other: str) -> bool:
    """Whether two methods declare the same of everything but their optimizer's own hyperparameters."""
    changed = _differing(_declared(records, one), _declared(records, other))
    return not [key for key in changed if key.startswith(REMEDIES) or key in TRAINING_KEYS]


def _contains(workload: str, whole: Row, part: Row) -> Iterator[Audit]:
    """What the seeds say of a method that contains another; nothing where they cannot say anything."""
    pair = f"{workload}: {whole.method} contains {part.method}"
    fails = rate_difference(whole.failed, whole.seeds, part.failed, part.seeds)
    if fails.low > 0:
        told = f"{whole.failed} of {whole.seeds} seeds instead of {part.failed} of {part.seeds}"
        yield Audit("Inclusion", "warning", f"{pair} and fails in {told}: under-tuned at this budget")
    worse = difference(whole.scores, part.scores)
    told = minus(f"{worse.estimate:+.2f} [{worse.low:+.2f}, {worse.high:+.2f}]")
    told += f" nats, detectable {detectable(worse):.2f}"
    if worse.low > 0:
        yield Audit("Inclusion", "warning", f"{pair} and is worse by {told}: under-tuned at this budget")
    elif worse.n > 1 and not fails.low > 0:
        yield Audit("Inclusion", "fine", f"{pair} and is not seen to be worse ({told})")


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
    other = [
        f"{method} {trial_name(at_best[replicate])} instead of {trial_name(number)}"
        for method in records.methods
        for at_best in [winners(records, workload, method, records.budgets[-1], "final/best_val_nelbo")]
        for replicate, number in winners(records, workload, method, records.budgets[-1]).items()
        if at_best.get(replicate, number) != number
    ]
    if other:
        text = f"{workload}: judged at each trial's best epoch and not at the cap, these would win: {'; '.join(other)}"
        yield Audit("Selection", "note", text)


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
