"""The affine layer's two kernels: the same numbers, and members that never meet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.tasks import populate, random_task, settings
from vaestudy.models import affine as module
from vaestudy.models.affine import affine


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer counts as large."""
    if not module.ONEDNN:
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(module, "LARGE", 0)


def layer(members: int, batch: int, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(inputs)
    shapes = (members, batch, inputs), (members, inputs, outputs), (members, outputs)
    x, weight, bias = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize(("members", "batch", "inputs", "outputs"), [(1, 7, 5, 3), (3, 1, 16, 1), (2, 64, 33, 50)])
def test_value_and_gradients_are_those_of_baddbmm(
    onednn: None, members: int, batch: int, inputs: int, outputs: int
) -> None:
    x, weight, bias = layer(members, batch, inputs, outputs)
    expected = torch.baddbmm(bias.unsqueeze(-2), x, weight)
    found = affine(x, weight, bias)
    upstream = torch.cos(torch.arange(found.numel(), dtype=torch.float32)).view_as(found)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (x, weight, bias), upstream),
        torch.autograd.grad(expected, (x, weight, bias), upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_transposed_and_expanded_inputs_give_the_same_numbers(onednn: None) -> None:
    x, weight, bias = layer(3, 8, 20, 6)
    transposed = x.detach().transpose(1, 2).contiguous().transpose(1, 2)
    expanded = x.detach()[:1].expand(3, -1, -1)
    torch.testing.assert_close(affine(transposed, weight, bias), affine(x, weight, bias))
    torch.testing.assert_close(affine(expanded, weight, bias)[0], affine(x, weight, bias)[0])


def test_a_member_through_onednn_equals_itself_among_others_beside_one_at_nan(onednn: None) -> None:
    task = random_task(pixels=48, hidden=(24,), latent_dim=5)
    alone = populate(task, [(7, settings())])
    among = populate(task, [(1, settings(lr=1e30)), (7, settings()), (2, settings())])
    losses = among.train(15)
    assert not torch.isfinite(losses[0]).all()
    assert torch.equal(alone.train(15)[0], losses[1])
    assert torch.equal(alone.save(0)["params"], among.save(1)["params"])
