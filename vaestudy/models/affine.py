"""The affine layer of K members: x @ W + b, by whichever kernel is fastest.

PyTorch multiplies float32 matrices on a CPU with MKL, which leaves half of an AMD processor unused; oneDNN, which
PyTorch also carries, does not, but is reached only through the operator that compiled models use. It pays for its
dispatch from LARGE on. Which kernel multiplies depends on one member's shapes only, and oneDNN takes the members one
by one, so a member alone equals the same member among K.

Letters: K members, B batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGE = 4_000_000
"""Multiplications of one member's layer."""

ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x`` ``[K, B, in]`` times ``weight`` ``[K, in, out]`` plus ``bias`` ``[K, out]``: ``[K, B, out]``."""
    if _suits_onednn(x) and x[0].numel() * weight.shape[-1] >= LARGE:
        return _Affine.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return torch.baddbmm(bias.unsqueeze(-2), x, weight)


def _suits_onednn(x: Tensor) -> bool:
    return ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32


class _Affine(torch.autograd.Function):
    """The layer and its gradients through oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _stack(_product(a, w.T, b) for a, w, b in zip(x, weight, bias, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        to_x = _stack(_product(g, w) for g, w in zip(grad, weight, strict=True)) if ctx.needs_input_grad[0] else None
        to_weight = _stack(_product(a.T, g.T) for a, g in zip(x, grad, strict=True))
        return to_x, to_weight, grad.sum(-2)


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """``a @ b.T + bias``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return product


def _stack(rows: Iterable[Tensor]) -> Tensor:
    """The members' matrices as one tensor; a member alone is not copied."""
    listed = list(rows)
    return listed[0].unsqueeze(0) if len(listed) == 1 else torch.stack(listed)
