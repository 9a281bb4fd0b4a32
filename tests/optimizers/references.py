"""A problem and what torch's own optimizers make of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def quadratic(theta: Tensor) -> Tensor:
    """A badly scaled, coupled bowl, per row."""
    scales = torch.linspace(0.1, 3.0, theta.shape[-1], dtype=theta.dtype)
    return 0.5 * (scales * theta**2).sum(-1) + 0.1 * theta.sin().sum(-1) * theta.mean(-1)


def reference(cls: type[torch.optim.Optimizer], arguments: dict[str, Any], start: Tensor, steps: int) -> Tensor:
    """Where a class brings one row, given as a single vector."""
    parameter = torch.nn.Parameter(start.clone())
    made = cls([parameter], **arguments)
    for _ in range(steps):
        made.zero_grad()
        quadratic(parameter).backward()  # type: ignore[no-untyped-call]
        made.step()
    return parameter.detach()
