"""The protocol that a study followed, in words and with its own numbers: an appendix for a paper, from the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.analysis import definitions
from vaestudy.analysis.document import Bullets, Cite, Document, Grid, Section
from vaestudy.analysis.frames import Records
from vaestudy.analysis.tables import DASH, count
from vaestudy.records import OUTCOMES, STAGES
from vaestudy.registry import Source

COLLAPSE_KL_NATS = 0.1
COLLAPSE_MARGIN_NATS = 1.0
ACTIVE_VARIANCE = 0.01
"""The thresholds of the failure rule. A test holds them to those by which runs are judged, which need torch."""


@dataclass(frozen=True)
class Reference:
    """Where something that the study used was published: ``kind`` and ``name``, e.g. optimizer adam."""

    kind: str
    name: str
    source: Source


def protocol(records: Records, references: Sequence[Reference]) -> Document:
    """The protocol of a study."""
    study = records.study
    sections = (
        Section("What was compared", tuple(_compared(records))),
        Section("How settings were searched", tuple(_searched(study))),
        Section("How winners were chosen and confirmed", tuple(_confirmed(records))),
        Section("What counts as a failure", tuple(_failures(study))),
        Section("Uncertainty", tuple(_uncertainty(study))),
        Section("What was run", tuple(_spent(records))),
        Section("Identity", (_identity(records),)),
        Section("Sources", (_sources(references),)),
    )
    return Document(f"Protocol of the study {study['name']}", sections)


# --- the design -------------------------------------------------------------------------------------------------------


def _compared(records: Records) -> Iterator[str | Grid]:
    study, searched = records.study, records.facts["searched"]
    if study["description"]:
        yield " ".join(study["description"].split())
    yield (
        f"The study has {_number(study['workloads'], 'workload')} and {_number(study['methods'], 'method')}. "
        f"Every run of every method has the same cap of {study['train']['epochs']} epochs."
    )
    yield Grid(
        ("workload", "what it is"),
        tuple((name, _pairs(workload)) for name, workload in study["workloads"].items()),
        (0.15, 0.75),
    )
    yield "Methods with their fixed hyperparameters and their declared search spaces (dimensions: with the shared):"
    yield Grid(
        ("method", "optimizer", "fixed", "searched", "dimensions"),
        tuple(
            (name, arm["optimizer"], _pairs(arm["fixed"]), _pairs(arm["search"]), str(len(searched[name])))
            for name, arm in study["methods"].items()
        ),
        (0.10, 0.12, 0.23, 0.27, 0.11),
    )
    if study["shared_search"]:
        yield f"Searched within every method alike: {_pairs(study['shared_search'])}."
    yield f"Training, unless a method or the search says otherwise: {_pairs(study['train'])}."


def _searched(study: Mapping[str, Any]) -> Iterator[str]:
    search = study["search"]
    shared = search["allocation"] == "joint"
    share = "per workload, in one search over all methods" if shared else "for each method under each workload"
    yield (
        f"Tuning budget: {search['trials']} trials {share}. Settings are proposed by the sampler "
        f"{search['sampler']['name']}: stage {definitions.stage(search)}. All trials train under one tuning seed."
    )
    pruner = search["pruner"]
    if pruner["name"] == "none":
        yield "No trial is stopped early: each trains to the cap unless it diverges."
    else:
        yield (
            f"The pruner {pruner['name']} (factor {pruner['factor']}, grace {pruner['grace']} epochs) stops trials; "
            "it sees only the validation −ELBO at beta = 1."
        )
    yield (
        "Trials are judged by the validation −ELBO at beta = 1, without free bits, under fixed evaluation noise, in "
        "nats per example. The training objective may differ (annealing, free bits, stages); it is never judged."
    )


def _confirmed(records: Records) -> Iterator[str]:
    confirm = records.study["confirm"]
    budgets = ", ".join(map(str, records.budgets))
    yield (
        f"Winners are chosen at tuning budgets of n = {budgets} trials: the setting with the lowest validation −ELBO "
        "at the cap among the first n trials; of equal ones the earlier."
    )
    yield (
        f"Each winner is run again under {confirm['seeds']} fresh seeds, none of which is the tuning seed. A seed "
        "fixes three independent streams: initialisation, data order with binarisation, and noise; it gives every "
        "method the same three (common random numbers). Only these runs see the test part."
    )
    yield (
        f"Test scores are −ELBO and the importance-weighted bound on the NLL with {confirm['iwae_samples']} samples, "
        "in nats per example."
    )
    target = records.study.get("target")
    if target:
        yield _target(target)


def _target(target: Mapping[str, Any]) -> str:
    methods = ", ".join(target["methods"]) if target["methods"] else "all methods"
    trials = f"the first {target['trials']} trials" if target["trials"] else "all trials"
    declared = "; ".join(f"{name}: {nats:g} nats, declared" for name, nats in target["nats"].items())
    return (
        f"Target of a workload: the best setting of {methods} after {trials}, run again under {target['seeds']} seeds; "
        "the median of their best validation −ELBO." + (f" Except {declared}." if declared else "")
    )


def _failures(study: Mapping[str, Any]) -> Iterator[str | Bullets]:
    yield "Failed runs are counted by these rules and left out of every mean; tables show their rates beside the means."
    yield Bullets(
        (
            "diverged: the loss is not finite, or the validation −ELBO ends above its value before training.",
            f"collapsed: no latent unit is active (variance of its posterior mean above {ACTIVE_VARIANCE:g}), or the "
            f"KL is below {COLLAPSE_KL_NATS:g} nats, or the −ELBO is no more than {COLLAPSE_MARGIN_NATS:g} nat below "
            "that of the best constant decoder with KL 0.",
            "failed: the infrastructure failed; retried with the same seed up to "
            f"{study['budget']['retries']} times, then in neither means nor rates.",
        )
    )


def _uncertainty(study: Mapping[str, Any]) -> Iterator[Bullets]:
    baseline = study["report"]["baseline"] or next(iter(study["methods"]))
    yield Bullets(
        (
            "Means over seeds carry Student's t interval, 95 %.",
            f"Differences to {baseline} are paired by seed, with Student's t interval of the differences, 95 %; beside "
            "each stands the smallest difference that as many seeds would detect with 80 % power.",
            "Rates carry Clopper-Pearson intervals, 95 %.",
            "A method whose interval of the paired difference to the best reaches 0 is not called worse.",
        )
    )


# --- what was done ----------------------------------------------------------------------------------------------------


def _spent(records: Records) -> Iterator[str | Grid]:
    runs = records.runs
    total = runs["final/grad_evals"].sum() if "final/grad_evals" in runs else 0.0
    yield (
        f"{len(runs)} runs and {count(float(total))} gradient evaluations in all (backward passes times samples). "
        "Runs by outcome, and among them those that failed by rule:"
    )
    outcomes = [*OUTCOMES, *(["open"] if (runs["outcome"] == "open").any() else [])]
    yield Grid(
        ("workload", "method", "stage", *outcomes, "class\ncollapsed", "class\ndiverged", "gradient\nevals"),
        tuple(
            (workload, method, stage, *_counts(group, outcomes))
            for workload in records.study["workloads"]
            for method in records.methods
            for stage in STAGES
            if len(group := _group(runs, workload, method, stage))
        ),
    )


def _group(runs: pd.DataFrame, workload: str, method: str, stage: str) -> pd.DataFrame:
    return runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == stage)]


def _counts(group: pd.DataFrame, outcomes: Sequence[str]) -> list[str]:
    spent = group["final/grad_evals"].sum() if "final/grad_evals" in group else 0.0
    numbers = [int((group["outcome"] == outcome).sum()) for outcome in outcomes]
    numbers += [int((group["failure"] == kind).sum()) for kind in ("collapsed", "diverged")]
    return [*map(str, numbers), count(float(spent))]


# --- what it was done with --------------------------------------------------------------------------------------------


def identities(records: Records) -> dict[str, str]:
    """What the numbers depend on, by name: hashes of the study, its parts and its space, and where they were made."""
    study = records.study
    return {
        "study": records.facts["hash"],
        "space": definitions.space(study).digest,
        **{f"workload.{name}": definitions.workload(study, name).digest for name in study["workloads"]},
        **{f"method.{name}": definitions.method(study, name).digest for name in study["methods"]},
        **(_environment(records.facts) or dict.fromkeys(("code", "data", "hardware"), "not recorded")),
    }


def _environment(facts: Mapping[str, Any]) -> dict[str, str]:
    found = dict(definitions.leaves(facts.get("environment") or {}))
    return {key: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in found.items()}


def _identity(records: Records) -> Grid:
    return Grid(("what", "value"), tuple((k, v or DASH) for k, v in identities(records).items()), (0.40, 0.50))


def _sources(references: Sequence[Reference]) -> Grid:
    rows = tuple((reference.kind, reference.name, Cite(reference.source.key)) for reference in references)
    return Grid(("kind", "name", "source"), rows)


# --- words ------------------------------------------------------------------------------------------------------------


def _number(items: Mapping[str, Any], word: str) -> str:
    return f"{len(items)} {word}{'s' * (len(items) != 1)}"


def _pairs(section: Mapping[str, Any]) -> str:
    """A section of the study in a line: ``lr: log-uniform [1e-05, 1], ...``."""
    found = {key: value for key, value in definitions.leaves(section) if value != []}
    return ", ".join(f"{key}: {definitions.shown(value)}" for key, value in found.items()) or DASH
