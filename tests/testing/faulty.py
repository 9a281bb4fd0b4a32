"""Components with one fault each, for the laws to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaestudy.distributions import Bernoulli, Gaussian
from vaestudy.hyperparameters import Fraction, Positive
from vaestudy.models.mlp import Mlp, linear
from vaestudy.optimizers.base import Frozen, GradFn, Hyperparameters, TensorState, WeightNoise
from vaestudy.optimizers.sgd import momentum
from vaestudy.params import Layout
from vaestudy.testing.walks import LAYOUT


class Momentum(TensorState):
    """Sound: what the faulty ones change. Calls ``grad_fn`` once and keeps m."""

    def init(self, params: Tensor, hparams: Hyperparameters) -> dict[str, Tensor]:
        return {"m": torch.zeros_like(params)}

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        g, loss = grad_fn(params)
        before, kept = params, state["m"].clone()
        state["m"].mul_(0.9).add_(self.direction(g))
        params = params - hparams["lr"] * state["m"]
        for k, part in enumerate(frozen or ()):
            if part is not None:
                still = LAYOUT.columns(part)
                params[k, still], state["m"][k, still] = before[k, still], kept[k, still]
        return params, state, loss

    def direction(self, g: Tensor) -> Tensor:
        return g


class MeanOverRows(Momentum):
    def direction(self, g: Tensor) -> Tensor:
        return g / g.norm(dim=1).mean()


class CountsForEver(Momentum):
    count = 0

    def direction(self, g: Tensor) -> Tensor:
        CountsForEver.count += 1
        return g / CountsForEver.count


class DrawsItsOwn(Momentum):
    def direction(self, g: Tensor) -> Tensor:
        return g + 0.01 * torch.randn(g.shape)


class OneForAll(Momentum):
    """Its state lies in the class; the next ``init`` overwrites it."""

    shared: Tensor

    def init(self, params: Tensor, hparams: Hyperparameters) -> dict[str, Tensor]:
        OneForAll.shared = torch.zeros(params.shape[1])
        return super().init(params, hparams)

    def direction(self, g: Tensor) -> Tensor:
        OneForAll.shared = OneForAll.shared + g[0]
        return g + OneForAll.shared


class StopsAtNaN(Momentum):
    def direction(self, g: Tensor) -> Tensor:
        return torch.zeros_like(g) if g.isnan().any() else g


class ForgetsWhenSaved(Momentum):
    def get_row(self, state: dict[str, Tensor], k: int) -> dict[str, Any]:
        return {"m": torch.zeros_like(state["m"][k])}


class KeepsTheWrongRows(Momentum):
    def put_rows(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        return super().put_rows(rows[:1] * len(rows))


class HandsOutItsOwnRows(Momentum):
    def get_row(self, state: dict[str, Tensor], k: int) -> dict[str, Any]:
        return {"m": state["m"][k]}

    def put_rows(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        return {"m": torch.stack([row["m"] for row in rows])}


class FasterPerPart(Momentum):
    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        lr = hparams["lr"] * (1.0 if hparams["lr"].shape[1] == 1 else 1.5)
        return super().step(grad_fn, params, state, {**hparams, "lr": lr}, noise, frozen)


class MovesWhatIsFrozen(Momentum):
    """Its momentum goes on where there is no gradient."""

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        return super().step(grad_fn, params, state, hparams, noise)


class Ascends(Momentum):
    def direction(self, g: Tensor) -> Tensor:
        return -g


class OneLossForAll(Momentum):
    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        params, state, loss = super().step(grad_fn, params, state, hparams, noise, frozen)
        return params, state, loss.mean()


class SinglePrecision(Momentum):
    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        params, state, loss = super().step(grad_fn, params, state, hparams, noise, frozen)
        return params.float(), state, loss


def over_rows(theta: Tensor, g: Tensor, m: Tensor, t: Tensor, *, lr: Positive = 0.1) -> tuple[Tensor, Tensor]:
    """A step by the mean over members."""
    return theta - lr * g.mean(0, keepdim=True), m


def over_columns(theta: Tensor, g: Tensor, m: Tensor, t: Tensor, *, lr: Positive = 0.1) -> tuple[Tensor, Tensor]:
    """A step of the gradient's length over a block."""
    return theta - lr * g / g.norm(dim=1, keepdim=True), m


def along(theta: Tensor, g: Tensor, t: Tensor, *, lr: Positive = 0.1) -> tuple[Tensor]:
    """A step along the gradient."""
    return (theta - lr * g,)


def half_as_far(theta: Tensor, g: Tensor, slots: dict[str, Tensor], t: int, values: Mapping[str, float]) -> None:
    theta.sub_(g, alpha=values["lr"] / 2)


def without_rate(theta: Tensor, *, beta: Fraction = 0.9) -> None:
    """An optimizer whose rate has another name."""


def with_illegal_default(theta: Tensor, *, lr: Positive = -1.0) -> None:
    """An optimizer that runs backwards."""


def undescribed(theta: Tensor, *, lr: Positive = 1.0) -> None:
    pass


sound = momentum
"""An update whose signature and docstring are in order."""


@dataclass(frozen=True)
class Faulty(Mlp):
    """A linear model with a fault."""

    fault: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fault == "half of the encoder among the decoder":
            object.__setattr__(self, "layout", _Crossed(self.layout.parameters))

    def encode(self, params: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(params, x)
        if self.fault == "the mean over members":
            mu = mu - mu.mean(0)
        if self.fault == "gradients of neighbours":
            mean = mu.mean(0)
            mu = mu + (mean - mean.detach())
        if self.fault == "a detached part":
            logvar = logvar.detach() + mu * 0
        if self.fault == "one latent too many":
            mu = torch.cat([mu, mu[..., :1]], -1)
        return mu, logvar

    def decode(self, params: Any, z: Tensor) -> Tensor:
        output = super().decode(params, z)
        return output[..., 1:] if self.fault == "one pixel too few" else output


class _Crossed(Layout):
    """A layout whose decoder begins inside the encoder."""

    def columns(self, part: str) -> slice:
        whole = super().columns(part)
        return slice(0, self.width) if part == "decoder" else whole


def model_with(fault: str) -> Any:
    def made(data_dim: int, *, latent_dim: int = 2) -> Mlp:
        """A linear model with a fault."""
        sound = linear(data_dim, latent_dim=latent_dim)
        return Faulty(sound.data_dim, (), latent_dim, sound.activation, fault=fault)

    return made


def squares_only(data_dim: int) -> Mlp:
    """A model of square images."""
    if int(data_dim**0.5) ** 2 != data_dim:
        raise ValueError(f"{data_dim} pixels are no square")
    return linear(data_dim)


class Doubled(Bernoulli):
    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return 2 * super().distortion(output, x)


class WrongMean(Bernoulli):
    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output) ** 2


class MeanOverDimensions(Bernoulli):
    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return super().distortion(output, x).mean(-1)


class OverMembers(Bernoulli):
    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return super().distortion(output + output.mean(0), x)


class Detached(Bernoulli):
    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return super().distortion(output, x).detach() + output.sum(-1) * 0


class TrivialTooHigh(Gaussian):
    def trivial(self, fit: Tensor, judged: Tensor) -> float:
        return super().trivial(fit, judged) + 1e-3


def overshoots(progress: Tensor) -> Tensor:
    """Beyond the end value, then back."""
    return 1 + 0.1 * torch.sin(3 * progress) * (1 - progress)


def stops_short(progress: Tensor) -> Tensor:
    """Not quite to the end."""
    return 0.999 * progress


def of_its_neighbours(progress: Tensor) -> Tensor:
    """The share of the largest progress."""
    return progress / progress.max().clamp(min=1e-9)


def in_single_precision(progress: Tensor) -> Tensor:
    """Right, but in float32."""
    return progress.float()
