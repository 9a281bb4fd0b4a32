"""Who stops trials early; resources are epochs, values are L_val at beta = 1 (nats per example, less is better)."""

from __future__ import annotations

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from vaestudy.spec.models import Pruner


def trial_pruner(spec: Pruner, first_rung: int, epochs: int) -> BasePruner:
    """The pruner with its rungs at ``first_rung * factor**k`` epochs, below ``epochs``."""
    if spec.name == "asha":
        return SuccessiveHalvingPruner(min_resource=first_rung, reduction_factor=spec.factor)
    if spec.name == "hyperband":
        return HyperbandPruner(min_resource=first_rung, max_resource=epochs, reduction_factor=spec.factor)
    if spec.name == "median":
        return MedianPruner(n_warmup_steps=first_rung)
    return NopPruner()
