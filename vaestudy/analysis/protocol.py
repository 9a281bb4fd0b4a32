"""The protocol that a study followed (VSP-2), in words and with its own numbers: an appendix for a paper, from the
records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.analysis import definitions
from vaestudy.analysis.compare import FAILURES, ONE_SEARCH, WORDS
from vaestudy.analysis.document import Bullets, Cite, Document, Grid, Section
from vaestudy.analysis.families import family
from vaestudy.analysis.frames import Records
from vaestudy.analysis.tables import DASH, count
from vaestudy.records import STAGES
from vaestudy.registry import Source

ENDED = {"done": "reached\nthe cap", "pruned": "pruned", "cancelled": "cancelled", "failed": "lost", "open": "open"}
"""How runs ended otherwise than by diverging, in words; lost are those that the infrastructure failed."""

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
        Section("Uncertainty", tuple(_uncertainty(records))),
        Section("What was run", tuple(_spent(records))),
        Section("Identity", (_identity(records),)),
        Section("Sources", (_sources(references),)),
    )
    return Document(f"Protocol of the study {study['name']} (VSP-2)", sections)


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
        f"{search['sampler']['name']}: stage {definitions.stage(search)}. {_replicated(search['replicates'])}"
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


def _replicated(replicates: int) -> str:
    if replicates == 1:
        return "Each search was made once; all of its trials train under one tuning seed."
    return (
        f"Each search and its confirmation was made {replicates} times, under seeds of its own: {replicates} "
        "replicates. All trials of a replicate train under one tuning seed, the same for every method."
    )


def _confirmed(records: Records) -> Iterator[str]:
    confirm, replicates = records.study["confirm"], len(records.replicates)
    budgets, each = ", ".join(map(str, records.budgets)), " of each replicate" if replicates > 1 else ""
    yield (
        f"Winners are chosen at tuning budgets of n = {budgets} trials: the setting with the lowest validation −ELBO "
        f"at the cap among the first n trials{each}; of equal ones the earlier."
    )
    yield (
        f"Each winner is run again under {confirm['seeds']} fresh seeds, none of which is the tuning seed. A seed "
        "fixes three independent streams: initialisation, data order with binarisation, and noise; it gives every "
        "method the same three (common random numbers). Only these runs see the test part."
    )
    yield (
        f"Test scores, in nats per example: −ELBO, a mean over {confirm['elbo_samples']} draws of the code; and the "
        f"importance-weighted bound on the NLL with {confirm['iwae_samples']} samples, and an estimate of its bias. "
        f"The primary score, declared before the first trial, is the {WORDS[records.study['report']['primary']]}: "
        "ranking, differences and claims are about it."
    )
    if any(family(records, method) == "variational" for method in records.methods):
        yield (
            "Where the weights have a posterior, the NLL is also bounded with p(x) averaged over "
            f"{confirm['weight_draws']} draws of the decoder's weights, and with the same codes and as many samples at "
            "their mean; the encoder is at its mean in both."
        )
    target = records.study.get("target")
    if target:
        yield _target(target, replicates)


def _target(target: Mapping[str, Any], replicates: int) -> str:
    methods = ", ".join(target["methods"]) if target["methods"] else "all methods"
    trials = f"the first {target['trials']} trials" if target["trials"] else "all trials"
    declared = "; ".join(f"{name}: {nats:g} nats, declared" for name, nats in target["nats"].items())
    first = " in the first replicate" if replicates > 1 else ""
    return (
        f"Target of a workload: the best setting of {methods} after {trials}{first}, run again under {target['seeds']} "
        "seeds; the median of their best validation −ELBO." + (f" Except {declared}." if declared else "")
    )


def _failures(study: Mapping[str, Any]) -> Iterator[str | Bullets]:
    yield (
        "A run fails in at most one class, the first of these that applies. Failed runs are counted and left out of "
        "every mean; tables show their rates beside the means."
    )
    margin = f"{COLLAPSE_MARGIN_NATS:g} nat"
    yield Bullets(
        (
            "diverged: the loss or the validation −ELBO is not finite, or the latter ends above its value before "
            "training after having been below it.",
            f"collapsed: the KL is below {COLLAPSE_KL_NATS:g} nats or no latent unit is active (variance of its "
            f"posterior mean above {ACTIVE_VARIANCE:g}), and the −ELBO is not {margin} better than that of the best "
            "constant decoder, fitted on training data.",
            f"undertrained: the −ELBO is not {margin} better than the constant decoder's, or not better than before "
            "training, or the validation −ELBO still fell in the last tenth of training at its average rate since the "
            "start.",
        )
    )
    yield (
        "A run that the infrastructure fails is retried with the same seed up to "
        f"{study['budget']['retries']} times. Then it is lost: in neither means nor rates."
    )


def _uncertainty(records: Records) -> Iterator[str | Bullets]:
    methods, unit = len(records.methods), records.unit
    baseline = records.study["report"]["baseline"] or records.methods[0]
    replicated = unit == "replicate"
    rests = "Statements about methods rest on replicates; a replicate's score is the mean over its sound seeds."
    yield rests if replicated else ONE_SEARCH
    rates = ", with the effective number of runs where those of a replicate end alike" if replicated else ""
    yield Bullets(
        (
            f"Means carry 95 % intervals over {unit}s and test examples: Student's t with degrees of freedom by Welch "
            "and Satterthwaite, fewer than for normal scores so that skewed ones are covered too.",
            f"Differences to {baseline} are paired by {unit}; their intervals hold for all pairs of methods at once, "
            f"{math.comb(methods, 2)} in all (Bonferroni). Beside each stands the smallest difference that would be "
            "told apart with 80 % power.",
            "A method whose interval of the difference to the best reaches 0 is not called worse.",
            f"Rates carry Clopper-Pearson intervals, 95 %{rates}.",
            "A claim is about families of optimizers, for which their best methods by the primary score stand. The "
            "intervals of all tested claims of a workload hold at once, whichever of their methods stood.",
        )
    )


# --- what was done ----------------------------------------------------------------------------------------------------


def _spent(records: Records) -> Iterator[str | Grid]:
    runs = records.runs
    total = runs["final/grad_evals"].sum() if "final/grad_evals" in runs else 0.0
    yield (
        f"{len(runs)} runs and {count(float(total))} gradient evaluations in all (backward passes times samples). "
        "Runs by how they ended, and those that failed by class; whatever diverged, before the cap or at it, is in its "
        "class."
    )
    yield Grid(
        ("workload", "method", "stage", *ENDED.values(), *FAILURES, "gradient\nevals"),
        tuple(
            (workload, method, stage, *_counts(group))
            for workload in records.study["workloads"]
            for method in records.methods
            for stage in STAGES
            if len(group := _group(runs, workload, method, stage))
        ),
    )


def _group(runs: pd.DataFrame, workload: str, method: str, stage: str) -> pd.DataFrame:
    return runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == stage)]


def _counts(group: pd.DataFrame) -> list[str]:
    spent = group["final/grad_evals"].sum() if "final/grad_evals" in group else 0.0
    numbers = [int((group["outcome"] == outcome).sum()) for outcome in ENDED]
    numbers += [int((group["failure"] == kind).sum()) for kind in FAILURES]
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
