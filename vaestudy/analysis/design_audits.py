"""Audits of a study's design: what a sceptical reader would ask before the first run (protocol, rules 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from vaestudy.analysis.definitions import INDEPENDENT
from vaestudy.analysis.frames import Records
from vaestudy.analysis.inclusion import inclusions
from vaestudy.analysis.spaces import short, space

LEAST_DECADES = 5.0
PAPER_REPLICATES, PAPER_SEEDS, PAPER_SAMPLES = 10, 10, 5000

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


def design_audits(records: Records) -> Iterator[Audit]:
    """Every audit of the design, in the order of the report."""
    yield _stage(records)
    yield from _sizes(records)
    yield from _dimensions(records)
    yield from _rate_ranges(records)
    yield from _direct_momentum(records)
    yield from _schedules(records)
    yield from _confounded(records)
    yield from _not_included(records)


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
    replicates, confirm = len(records.replicates), records.study["confirm"]
    seeds, samples = confirm["seeds"], confirm["iwae_samples"]
    if replicates == 1:
        yield Audit("Size", "note", "one search of each method: it says nothing about methods, only of these winners")
    elif replicates < PAPER_REPLICATES:
        text = f"{replicates} replicates of each search; the protocol asks for {PAPER_REPLICATES} in a paper"
        yield Audit("Size", "note", text)
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


def same_training(records: Records, one: str, other: str) -> bool:
    """Whether two methods declare the same of everything but their optimizer's own hyperparameters."""
    changed = _differing(_declared(records, one), _declared(records, other))
    return not [key for key in changed if key.startswith(REMEDIES) or key in TRAINING_KEYS]


def _declared(records: Records, method: str) -> dict[str, Any]:
    """What a method fixes or searches for itself, by short key."""
    section = records.study["methods"][method]
    searched = {key: str(entry) for key, entry in section["search"].items()}
    return {short(key): value for key, value in {**section["fixed"], **searched}.items()}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _not_included(records: Records) -> Iterator[Audit]:
    """Optimizers that contain another, in spaces that do not."""
    apart = [
        f"{whole} does not include {part} ({', '.join(missing)})"
        for whole, part, missing in inclusions(records)
        if missing and same_training(records, whole, part)
    ]
    if apart:
        text = f"the optimizers contain one another, the declared spaces do not: {'; '.join(apart)}"
        yield Audit("Inclusion", "note", text)
