"""IVON: variational inference over the weights with an improved online Newton step.

Shen et al. 2024, Algorithm 1 (arXiv:2402.17641). The parameters are the mean m of a Gaussian posterior over the
weights with variance 1 / (lambda (h + delta)); the gradient is taken at a sample of it, and the evaluation at m.

Letters: K members, P parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vaestudy.hyperparameters import Count, Decay, NonNegative, Positive, schema
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
    noise_g: Tensor,
    g: Tensor,
    h: Tensor,
    t: Tensor,
    *,
    lr: Positive,
    ess: Positive,
    hess_init: Positive = 1.0,
    beta1: Decay = 0.9,
    beta2: Decay = 0.99999,
    weight_decay: NonNegative = 1e-4,
    clip_radius: Positive | None = None,
    mc_samples: Count = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Variational inference over the weights (IVON): a Gaussian posterior learned at about the cost of Adam.

    ``g_hat`` and ``noise_g`` are means over ``mc_samples`` draws theta of the weights: of the gradient there, and of it
    times theta - m. ``ess`` is the effective sample size lambda: the number of training examples. As in the authors'
    code, the rate has no default and is rescaled by h_0 + delta, so that ``lr`` compares across ``hess_init``, and each
    entry of the direction is clipped to ``clip_radius``, which is endless by default.
    """
    assert clip_radius is not None  # a tensor, in which None is infinity
    delta = weight_decay
    h_hat = ess * (h + delta) * noise_g  # line 4, Price's estimator
    g = beta1 * g + (1 - beta1) * g_hat  # line 5
    correction = (1 - beta2) ** 2 * (h - h_hat) ** 2 / (h + delta)
    h = beta2 * h + (1 - beta2) * h_hat + correction / 2  # line 6
    g_bar = g / (1 - beta1**t)  # line 7
    direction = torch.clamp((g_bar + delta * m) / (h + delta), -clip_radius, clip_radius)
    return m - lr * (hess_init + delta) * direction, g, h  # line 8


def sample(m: Tensor, eps: Tensor, h: Tensor, *, ess: Positive, weight_decay: NonNegative) -> tuple[Tensor, Tensor]:
    """A draw theta of the posterior, and theta - m, from standard normals ``eps``."""
    noise = eps / torch.sqrt(ess * (h + weight_decay))  # line 2: sigma = 1 / sqrt(lambda (h + delta))
    return m + noise, noise  # line 3


class Ivon(CountedState):
    """The IVON optimizer: ``mc_samples`` draws of the weights a step, a gradient at each. A frozen part stays at its
    mean."""

    hyperparameters = schema(update)

    def __init__(self, layout: Layout):
        self._parts = tuple(layout.columns(part) for part in PARTS)
        self._samples: Tensor | None = None
        self._known: list[int] = []

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
        g_hat, noise_g, loss = self._gradients(grad_fn, params, h, hparams, noise, frozen)
        apply_by_part(update, [params, g, h], [params, g_hat, noise_g, g, h], t, hparams, self._parts, frozen)
        return params, {"t": t, "g": g, "h": h}, loss

    def _gradients(
        self,
        grad_fn: GradFn,
        params: Tensor,
        h: Tensor,
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means over each member's draws of the weights: of the gradient there, of it times theta - m, of the loss."""
        samples = self._counts(hparams["mc_samples"])
        sums: list[Tensor] = []
        for draw in range(max(samples)):
            theta, drawn = self._drawn(params, h, hparams, noise(draw), frozen)
            wanted = [draw < count for count in samples]
            grads, loss = grad_fn(theta) if all(wanted) else grad_fn(theta, wanted)
            found = [grads, drawn.mul_(grads), loss[:, None]]
            rows = torch.tensor(wanted, device=params.device)[:, None] if sums else None
            sums = found if rows is None else [torch.where(rows, a + b, a) for a, b in zip(sums, found, strict=True)]
        if max(samples) > 1:
            sums = [total / hparams["mc_samples"] for total in sums]
        return sums[0], sums[1], sums[2][:, 0]

    def _drawn(
        self, params: Tensor, h: Tensor, hparams: Hyperparameters, eps: Tensor, frozen: Frozen | None
    ) -> tuple[Tensor, Tensor]:
        """A draw theta of the posterior, what is frozen at its mean, and theta - m elsewhere; overwrites ``eps``."""
        theta = torch.empty_like(params)
        apply(sample, [theta, eps], [params, eps, h], {name: hparams[name] for name in ("ess", "weight_decay")})
        for k, part in enumerate(frozen or ()):
            if part is not None:
                still = self._parts[PARTS.index(part)]
                theta[k, still] = params[k, still]
        return theta, eps

    def _counts(self, samples: Tensor) -> list[int]:
        """Each member's ``mc_samples``; they are read from the device once for as long as they are the same tensor."""
        if samples is not self._samples:
            self._samples = samples
            self._known = [int(count) for count in samples[:, 0].tolist()]
        return self._known

    def sample(self, params: Tensor, state: dict[str, Tensor], hparams: Hyperparameters, eps: Tensor) -> Tensor:
        """A draw of the learned posterior (line 3)."""
        return self._drawn(params, state["h"], hparams, eps.clone(), None)[0]


optimizers.add("ivon", Ivon, update, SHEN, family="variational")
