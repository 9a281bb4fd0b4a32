"""The laws of likelihoods: a true log-likelihood in nats, members apart, its best constant decoder.

Letters: K members, B batch, D data dimensions, N examples.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.autograd import gradcheck

from vaestudy.distributions import Likelihood, likelihoods
from vaestudy.testing.laws import Law, described, law, near, require, required_arguments, same

KIND = "likelihood"


@law(KIND)
def described_by_its_signature(name: str) -> None:
    """It is described and its defaults are legal."""
    described(likelihoods.find(name))


@law(KIND)
def shapes(name: str) -> None:
    """The distortion is one number an example and the mean one an entry, of data that members share or not."""
    made, output, x = _made(name)
    own, shared = made.distortion(output, x), made.distortion(output, x[0])
    for what, found, expected in (
        ("the distortion", own, output.shape[:2]),
        ("the distortion of shared data", shared, output.shape[:2]),
        ("the mean", made.mean(output), output.shape),
    ):
        require(found.shape == expected, f"{what} has shape {tuple(found.shape)}, expected {tuple(expected)}")
    same(shared[0], own[0], "the distortion of shared data")


@law(KIND)
def alone_as_among_others(name: str) -> None:
    """A member alone equals the same member among others."""
    made, output, x = _made(name)
    same(made.distortion(output, x)[1], made.distortion(output[1:2], x[1:2])[0], "the distortion among three")


@law(KIND)
def gradients(name: str) -> None:
    """Its gradients agree with finite differences."""
    made, output, x = _made(name)
    gradcheck(lambda at: made.distortion(at, x), (output.requires_grad_(),))


@law(KIND)
def binary_probabilities(name: str) -> None:
    """Probabilities of binary data sum to one and have the mean that it gives."""
    made, output, _ = _made(name)
    if not made.binary:
        return
    at = output[0, 0]
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(at))), dtype=at.dtype)
    probabilities = torch.exp(-made.distortion(at.expand_as(every), every))
    total = float(probabilities.sum())
    require(abs(total - 1) <= 1e-9, f"the sum of all probabilities is {total:.9g}")
    near(probabilities @ every, made.mean(at), 1e-9, "the mean")


@law(KIND)
def trivial(name: str) -> None:
    """Fitted on much of what is judged, the trivial loss is that of the best constant decoder."""
    made, _, x = _made(name)
    x = x.flatten(0, 1)
    constant = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    solver = torch.optim.LBFGS([constant], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = made.distortion(constant.expand_as(x), x).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    best, said = loss().item(), made.trivial(x.repeat(500, 1), x)
    require(abs(best - said) <= 1e-6, f"it is said to be {said:.9g}, but a constant decoder reaches {best:.9g}")


def _made(name: str) -> tuple[Likelihood, Tensor, Tensor]:
    """A likelihood, a decoder's output of three members and data of each, both ``[3, 40, 4]`` in float64."""
    entry = likelihoods.find(name)
    made = entry.component(**required_arguments(entry.hyperparameters))
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(3, 40, 4, generator=generator, dtype=torch.float64)
    grey = 0.05 + 0.9 * torch.rand(3, 40, 4, generator=generator, dtype=torch.float64)
    return made, output, (grey < 0.3).double() if made.binary else grey


likelihood_laws: tuple[Law, ...] = (
    described_by_its_signature,
    shapes,
    alone_as_among_others,
    gradients,
    binary_probabilities,
    trivial,
)
"""In the order in which they are tried."""
