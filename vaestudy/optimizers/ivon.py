"""IVON: variational inference over the weights with an improved online Newton step.

Shen et al. 2024, Algorithm 1 (arXiv:2402.17641). The parameters are the mean m of a Gaussian posterior over the
weights with variance 1 / (lambda (h + delta)); the gradient is taken at a sample of it, and the evaluation at m.

Letters: K members, P parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vaestudy.hyperparameters import Decay, NonNegative, Positive, schema
from vaestudy.optimizers.base import (
    CountedState,
    Frozen,
    GradFn,
    Hyperparameters,
    WeightNoise,
    apply,
    apply_by_part,
    counted,
    optimizers,
)
from vaestudy.params import PARTS, Layout
from vaestudy.registry import Source

SHEN = Source(
    "shen2024variational",
    "Shen, Yuesong and Daheim, Nico and Cong, Bai and Nickl, Peter and Marconi, Gian "
    "Maria and Bazan, Clement and Yokota, Rio and Gurevych, Iryna and Cremers, Daniel and Khan, Mohammad "
    'Emtiyaz and M{\\"o}llenhoff, Thomas',
    "Variational Learning is Effective for Large Deep Networks",
    2024,
    "arXiv:2402.17641",
)


def update(
    m: Tensor,
    g_hat: Tensor,
    noise: Tensor,
    g: Tensor,
    h: Tensor,
    t: Tensor,
    *,
    ess: Positive,
    lr: Positive = 0.1,
    hess_init: Positive = 1.0,
    beta1: Decay = 0.9,
    beta2: Decay = 0.99999,
    weight_decay: NonNegative = 1e-4,
) -> tuple[Tensor, Tensor, Tensor]:
    """Variational inference over the weights (IVON): a Gaussian posterior learned at about the cost of Adam.

    ``ess`` is the effective sample size lambda: the number of training examples. The rate is rescaled by
    h_0 + delta, as in the authors' code, so that ``lr`` compares across ``hess_init``.
    """
    delta = weight_decay
    h_hat = ess * noise * (h + delta) * g_hat  # line 4, Price's estimator; noise = theta - m
    g = beta1 * g + (1 - beta1) * g_hat  # line 5
    correction = (1 - beta2) ** 2 * (h - h_hat) ** 2 / (h + delta)
    h = beta2 * h + (1 - beta2) * h_hat + correction / 2  # line 6
    g_bar = g / (1 - beta1**t)  # line 7
    return m - lr * (hess_init + delta) * (g_bar + delta * m) / (h + delta), g, h  # line 8


def sample(m: Tensor, eps: Tensor, h: Tensor, *, ess: Positive, weight_decay: NonNegative) -> tuple[Tensor, Tensor]:
    """A draw theta of the posterior, and theta - m, from standard normals ``eps``."""
    noise = eps / torch.sqrt(ess * (h + weight_decay))  # line 2: sigma = 1 / sqrt(lambda (h + delta))
    return m + noise, noise  # line 3


class Ivon(CountedState):
    """The IVON optimizer: one weight sample and one gradient a step. A frozen part stays at its mean."""

    hyperparameters = schema(update)

    def __init__(self, layout: Layout):
        self._parts = tuple(layout.columns(part) for part in PARTS)

    def init(self, params: Tensor, hparams: Hyperparameters) -> dict[str, Tensor]:
        return {
            "t": torch.zeros(len(params), 1, dtype=params.dtype, device=params.device),
            "g": torch.zeros_like(params),
            "h": torch.zeros_like(params) + hparams["hess_init"],
        }

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        g, h, t = state["g"], state["h"], counted(state["t"], frozen)
        theta, drawn = torch.empty_like(params), noise()
        width = {name: hparams[name] for name in ("ess", "weight_decay")}
        apply(sample, [theta, drawn], [params, drawn, h], width)
        for k, part in enumerate(frozen or ()):
            if part is not None:
                still = self._parts[PARTS.index(part)]
                theta[k, still] = params[k, still]
        g_hat, loss = grad_fn(theta)
        apply_by_part(update, [params, g, h], [params, g_hat, drawn, g, h], t, hparams, self._parts, frozen)
        return params, {"t": t, "g": g, "h": h}, loss

    def sample(self, params: Tensor, state: dict[str, Tensor], hparams: Hyperparameters, eps: Tensor) -> Tensor:
        """A draw of the learned posterior (line 3)."""
        theta, drawn = torch.empty_like(params), eps.clone()
        width = {name: hparams[name] for name in ("ess", "weight_decay")}
        apply(sample, [theta, drawn], [params, drawn, state["h"]], width)
        return theta


optimizers.add("ivon", Ivon, update, SHEN)
