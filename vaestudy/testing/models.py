"""The laws of models: shapes, members apart, true gradients, a layout in two parts.

Letters: K members, D data dimensions, P parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import gradcheck

from vaestudy.models import Model, models
from vaestudy.params import ALIGNMENT, PARTS
from vaestudy.testing.laws import Law, described, law, require, required_arguments, same

KIND = "model"

SIZES = (12, 16, 64, 784)
"""A model is tried at the first D that it takes; a convolutional one may want squares."""

SMALL: dict[str, Any] = {"hidden": (4,), "activation": "tanh", "latent_dim": 2}
"""Where a model has these hyperparameters, its gradients are tried at these: smooth, and few."""

MANY = 2000
"""Parameters beyond which gradients are tried along random directions instead of one by one."""


@law(KIND)
def described_by_its_signature(name: str) -> None:
    """It is described and its defaults are legal."""
    described(models.find(name))


@law(KIND)
def shapes(name: str) -> None:
    """It maps data to a posterior and back."""
    model, flat, x = _built(name)
    params, latent = model.layout.views(flat), (*x.shape[:2], model.latent_dim)
    mu, logvar = model.encode(params, x)
    for what, found in (("mu", mu), ("logvar", logvar)):
        require(found.shape == latent, f"{what} has shape {tuple(found.shape)}, expected {latent}")
    output = model.decode(params, mu)
    require(output.shape == x.shape, f"the output has shape {tuple(output.shape)}, expected {tuple(x.shape)}")


@law(KIND)
def alone_as_among_others(name: str) -> None:
    """A member alone equals the same member among others."""
    model, flat, x = _built(name)
    for among, alone in zip(_all(model, flat, x), _all(model, flat[1:2].clone(), x[1:2]), strict=True):
        same(among[1], alone[0], "the member among three")


@law(KIND)
def gradient_alone_as_among_others(name: str) -> None:
    """A member's gradient alone equals its gradient among others."""
    model, flat, x = _built(name)

    def gradient(rows: Tensor, data: Tensor) -> Tensor:
        leaf = rows.clone().requires_grad_()
        params = model.layout.views(leaf)
        mu, logvar = model.encode(params, data)
        return torch.autograd.grad(model.decode(params, mu + logvar).square().sum(), leaf)[0]

    same(gradient(flat, x)[1], gradient(flat[1:2], x[1:2])[0], "the gradient among three")


@law(KIND)
def gradients(name: str) -> None:
    """Its gradients agree with finite differences."""
    schema = models.find(name).hyperparameters
    model, data_dim = _model(name, {key: value for key, value in SMALL.items() if key in schema}, (3, *SIZES))
    flat = model.layout.initial(torch.Generator().manual_seed(0), torch.float64)[None].requires_grad_()
    x = torch.rand(1, 4, data_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradcheck(lambda row: _all(model, row, x), (flat,), fast_mode=model.layout.width > MANY)


@law(KIND)
def layout(name: str) -> None:
    """Every parameter belongs to a part and starts on a boundary."""
    layout = _built(name)[0].layout
    parts = {parameter.name.split(".")[0] for parameter in layout.parameters}
    require(parts == set(PARTS), f"its parameters are of {', '.join(sorted(parts))}, expected {', '.join(PARTS)}")
    crooked = [name for name, offset in layout.offsets.items() if offset % ALIGNMENT]
    require(not crooked, f"{', '.join(crooked)} do not start at a multiple of {ALIGNMENT} columns")
    encoder, decoder = layout.columns("encoder"), layout.columns("decoder")
    require(
        (encoder.stop, decoder.stop) == (decoder.start, layout.width),
        f"the encoder has columns {encoder.start} to {encoder.stop}, the decoder {decoder.start} to {decoder.stop} "
        f"of {layout.width}",
    )


def _model(name: str, arguments: dict[str, Any], sizes: tuple[int, ...]) -> tuple[Model, int]:
    """A model at the first of ``sizes`` that it takes, and that size."""
    entry = models.find(name)
    arguments = required_arguments(entry.hyperparameters) | arguments
    refusals = []
    for size in sizes:
        try:
            return entry.component(size, **arguments), size
        except ValueError as error:
            refusals.append(f"{size}: {error}")
    raise ValueError(f"it takes none of these data dimensions: {'; '.join(refusals)}")


def _built(name: str) -> tuple[Model, Tensor, Tensor]:
    """A model, parameters of three members ``[3, P]``, data of each ``[3, 7, D]``."""
    model, data_dim = _model(name, {}, SIZES)
    rows = [model.layout.initial(torch.Generator().manual_seed(seed), torch.float32) for seed in range(3)]
    return model, torch.stack(rows), torch.rand(3, 7, data_dim, generator=torch.Generator().manual_seed(0))


def _all(model: Model, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All that a model computes: mean and log-variance of the posterior, and the output at the mean."""
    params = model.layout.views(rows)
    mu, logvar = model.encode(params, x)
    return mu, logvar, model.decode(params, mu)


model_laws: tuple[Law, ...] = (
    described_by_its_signature,
    layout,
    shapes,
    alone_as_among_others,
    gradient_alone_as_among_others,
    gradients,
)
"""In the order in which they are tried."""
