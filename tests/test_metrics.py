"""Mutual information: its two ends and a case that can be computed."""

from __future__ import annotations

import math

import pytest
import torch

from vaestudy.metrics import mutual_information


def normals(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_codes_that_tell_nothing_share_no_information() -> None:
    mu, logvar = torch.zeros(200, 3), torch.zeros(200, 3)
    assert mutual_information(mu, logvar, normals(200, 3)) == pytest.approx(0.0, abs=1e-5)


def test_codes_far_apart_tell_the_example_and_no_more() -> None:
    mu = 100.0 * torch.arange(300.0)[:, None]
    assert mutual_information(mu, torch.zeros(300, 1), normals(300, 1)) == pytest.approx(math.log(300), abs=1e-4)


def test_gaussian_codes_share_half_the_log_of_signal_over_noise() -> None:
    variance = 4.0  # of the means; the codes' own is 1, so I = log(1 + 4) / 2
    mu, eps = math.sqrt(variance) * normals(3000, 2)[:, :1], normals(3000, 2)[:, 1:]
    assert mutual_information(mu, torch.zeros(3000, 1), eps) == pytest.approx(0.5 * math.log(1 + variance), abs=0.03)
