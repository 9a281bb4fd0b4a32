"""A plug-in with a likelihood that wants more memory for each run than this machine can give to all of them.

``VAESTUDY_TEST_SHARE`` is the share of the memory of the machine, or of the GPU where it trains, that it asks for once
for each run that trains; what it gets it does not touch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from vaestudy.distributions import Bernoulli, likelihoods

SHARE = float(os.environ.get("VAESTUDY_TEST_SHARE", "0"))


@dataclass(frozen=True)
class Greedy(Bernoulli):
    """Bernoulli pixels, wastefully."""

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        torch.empty(len(output) * int(SHARE * _total(output.device)), dtype=torch.uint8, device=output.device)
        return super().distortion(output, x)


def _total(device: torch.device) -> int:
    """Its bytes of memory."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total + psutil.swap_memory().total


def greedy() -> Greedy:
    """Bernoulli pixels, wastefully."""
    return Greedy()


likelihoods.add("greedy", greedy, greedy, None)
