"""Who proposes settings: one sampler object per trial, made from the study's seed and the trial's number.

A sampler seeded once per launch repeats its suggestions after a relaunch; one seeded per trial goes on as if the
study had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from vaestudy.search.space import Spaces, parameters
from vaestudy.seeding import mix


def trial_sampler(
    name: Literal["random", "sobol", "tpe", "gp"], spaces: Spaces, seed: int, study: str, number: int
) -> BaseSampler:
    """The sampler that draws trial ``number`` of the Optuna study called ``study``.

    TPE learns from done, pruned and diverged trials, the Gaussian process (``gp``) from done trials only.
    """
    if name == "sobol":
        return SobolSampler(parameters(spaces), seed=mix(seed, study), index=number)
    trial_seed = mix(seed, study, number) % 2**32  # NumPy's RandomState takes 32 bits
    if name == "tpe":
        # `group` models each conditional sub-space on its own; without one it is plain multivariate TPE.
        return TPESampler(seed=trial_seed, multivariate=True, group=True)
    if name == "gp":
        return GPSampler(seed=trial_seed, warn_independent_sampling=False)
    return RandomSampler(seed=trial_seed)


class SobolSampler(BaseSampler):
    """Trial i takes point i of one scrambled Sobol sequence (Sobol 1967; scrambling: Owen 1995).

    Each parameter of the whole space has a coordinate of its own, also those whose condition does not hold. Optuna's
    ``QMCSampler`` draws the first trials at random and leaves conditional parameters out, therefore not used.

    Args:
        names: all parameters, one coordinate each.
        seed: of the scrambling; the same for all trials of a study.
        index: which point of the sequence, from 0.
    """

    def __init__(self, names: Sequence[str], *, seed: int, index: int):
        self._names = tuple(names)
        self._seed = seed
        self._index = index

    @cached_property
    def _point(self) -> dict[str, float]:
        """The coordinates in [0, 1) by parameter."""
        from scipy.stats import qmc  # a second that a launch need not wait for before it has its lock

        engine = qmc.Sobol(len(self._names), scramble=True, rng=self._seed)
        if self._index:
            engine.fast_forward(self._index)
        return dict(zip(self._names, engine.random(1)[0].tolist(), strict=True))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing is drawn jointly: the coordinates already belong together."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is drawn jointly."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value at this trial's coordinate of the parameter."""
        return _quantile(param_distribution, self._point[param_name])


def _quantile(distribution: BaseDistribution, u: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(u * len(distribution.choices))]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return int(low + int(u * (high - low + 1)))
    return min(low * (high / low) ** u, high) if distribution.log else low + u * (high - low)
