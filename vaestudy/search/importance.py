"""Which searched settings the loss depends on: PED-ANOVA and fANOVA over the trials of one method.

Either gives every setting a share of the importance, also where the loss depends on none of them. What shares chance
alone gives is told by the same trials with their losses permuted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import optuna  # optuna.importance, which takes scikit-learn along, is loaded when it is used
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from vaestudy.search.quiet import quiet
from vaestudy.spec.models import Range

Evaluator = Literal["ped-anova", "fanova"]

LEAST_TRIALS = 20
"""With fewer trials an importance is noise: the five best, PED-ANOVA's least top, would be more than a quarter."""

TOP_SHARE, TOP_TRIALS = 0.1, 5
"""PED-ANOVA asks what brings a trial into this share of the best, or among this many where the share is less."""

FOREST_TREES, FOREST_DEPTH = 32, 8
"""Of fANOVA: with Optuna's 64 trees, 64 deep, the importances are the same within 0.01 to 0.03, and 1,000 trials take
twenty times as long."""

LEVEL = 0.95
PERMUTATIONS = 100
"""How often the losses are permuted, to learn what importances chance alone gives."""


class Importance(NamedTuple):
    """The importance of a setting.

    Attributes:
        share: of the importance of all settings, in [0, 1].
        told: whether it is told from noise: in 95 of 100 searches whose loss depends on nothing, no setting is.
    """

    share: float
    told: bool


@quiet(UserWarning)  # PED-ANOVA warns of other targets than the loss, and of a condition that held in a single trial
def importance(
    settings: Sequence[Mapping[str, Any]],
    losses: Sequence[float],
    space: Mapping[str, Range],
    evaluator: Evaluator = "ped-anova",
    seed: int = 0,
) -> dict[str, Importance]:
    """The importance of each searched setting, the largest first; the shares add up to 1.

    ``ped-anova`` (Watanabe et al. 2023, arXiv 2304.10255) tells what decides whether a trial is among the best, with
    conditional settings; ``fanova`` (Hutter et al. 2014) what explains the variance of the loss over the whole space,
    without the settings that some trial lacks and without interactions. Both measure a log range on its logarithm, as
    it was searched.

    A setting is told from noise where PED-ANOVA gives it more than it does under permuted losses, by a test over all
    settings at once (Westfall and Young 1993): see ``_levels``. That test stands for fANOVA as well, which cannot have
    its own: its forest explains permuted losses as well as real ones.

    Args:
        settings: of each trial the values by searched key, without those whose condition did not hold.
        losses: L_val of the same trials, nats per example; one that is not finite (diverged) counts as the worst
            finite one.
        space: the searched ranges of the method.
        seed: of the permutations and of fANOVA's forest.

    Returns:
        The importances by key; empty where nothing can be told: fewer than ``LEAST_TRIALS`` trials, losses so equal
        that no trial is worse than the top, or nothing searched that has two values.

    Raises:
        ValueError: settings and losses differ in number, or a value lies outside of its range.
    """
    if len(settings) != len(losses):
        raise ValueError(f"each trial has settings and a loss, got {len(settings)} and {len(losses)}")
    top = max(TOP_SHARE, TOP_TRIALS / max(len(losses), LEAST_TRIALS))
    values = _finite(losses)
    distributions = _distributions(space)
    if len(values) < LEAST_TRIALS or not distributions or not _separates(values, top):
        return {}
    study = optuna.create_study()
    study.add_trials([_trial(space, distributions, *pair) for pair in zip(settings, values, strict=True)])
    shares = optuna.importance.get_param_importances(study, evaluator=_evaluator(evaluator, top, seed))
    told = _told(study, values, top, seed)
    return {key: Importance(share, told[key]) for key, share in _ordered(shares).items()}


def _told(study: optuna.Study, losses: Sequence[float], top: float, seed: int) -> dict[str, bool]:
    """Whether each setting's importance by PED-ANOVA is above its level under permuted losses."""
    generator = np.random.default_rng(seed)
    found = _ped_anova(study, losses, top)
    permuted = [_ped_anova(study, generator.permutation(losses).tolist(), top) for _ in range(PERMUTATIONS)]
    levels = _levels(np.array([[one[key] for key in found] for one in permuted]))
    return {key: found[key] > level for key, level in zip(found, levels, strict=True)}


def _levels(importances: npt.NDArray[np.float64]) -> list[float]:
    """The level of each setting, from its importances under permuted losses: [permutations, settings].

    In units of its setting's mean, the largest importance of a permutation is below its 95 % quantile in 95 of 100: the
    levels are that quantile times the means.
    """
    means = importances.mean(axis=0)
    largest = (importances / np.where(means > 0, means, 1.0)).max(axis=1)
    levels: list[float] = (means * np.quantile(largest, LEVEL, method="higher")).tolist()
    return levels


def _ped_anova(study: optuna.Study, losses: Sequence[float], top: float) -> dict[str, float]:
    """PED-ANOVA's importances, not as shares, were these the losses of the study's trials."""
    return optuna.importance.get_param_importances(
        study,
        evaluator=_evaluator("ped-anova", top, 0),
        target=lambda trial: losses[trial.number],
        normalize=False,
    )


def _finite(losses: Sequence[float]) -> list[float]:
    """The losses with the worst finite one in the place of those that are not; empty where none is."""
    worst = max((loss for loss in losses if math.isfinite(loss)), default=None)
    return [] if worst is None else [loss if math.isfinite(loss) else worst for loss in losses]


def _separates(losses: Sequence[float], top: float) -> bool:
    return sorted(losses)[math.ceil(top * len(losses)) - 1] < max(losses)


def _distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """Those of the settings that have at least two values."""
    found = {key: _distribution(entry) for key, entry in space.items()}
    return {key: distribution for key, distribution in found.items() if not distribution.single()}


def _distribution(entry: Range) -> BaseDistribution:
    if entry.log is not None:  # Optuna's fANOVA weighs by the plain value, where four of five decades are nothing
        low, high = entry.log
        return FloatDistribution(math.log10(low), math.log10(high))
    if entry.uniform is not None:
        return FloatDistribution(*entry.uniform)
    if entry.int_ is not None:
        return IntDistribution(*entry.int_)
    assert entry.choice is not None
    return CategoricalDistribution(entry.choice)


def _trial(
    space: Mapping[str, Range], distributions: Mapping[str, BaseDistribution], drawn: Mapping[str, Any], loss: float
) -> FrozenTrial:
    known = [key for key in distributions if key in drawn]
    params = {key: drawn[key] if space[key].log is None else math.log10(drawn[key]) for key in known}
    return create_trial(value=loss, params=params, distributions={key: distributions[key] for key in known})


def _evaluator(name: Evaluator, top: float, seed: int) -> optuna.importance.BaseImportanceEvaluator:
    if name == "fanova":
        return optuna.importance.FanovaImportanceEvaluator(n_trees=FOREST_TREES, max_depth=FOREST_DEPTH, seed=seed)
    return optuna.importance.PedAnovaImportanceEvaluator(target_quantile=top)


def _ordered(importances: Mapping[str, float]) -> dict[str, float]:
    floats = {key: float(value) for key, value in importances.items()}
    return dict(sorted(floats.items(), key=lambda item: (-item[1], item[0])))
