"""The laws of every registered schedule."""

from __future__ import annotations

import pytest
import torch

from vaestudy.schedules import schedules

NAMES = [entry.name for entry in schedules]
AT = torch.linspace(0, 1, 257, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_lie_between_the_start_and_the_end_value(name: str) -> None:
    weights = schedules.find(name).component(AT)
    assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_exactly_at_its_end_value_at_the_last_update(name: str) -> None:
    assert schedules.find(name).component(AT)[-1] == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_weight_depends_on_its_own_progress_only(name: str, dtype: torch.dtype) -> None:
    function, at = schedules.find(name).component, AT.to(dtype)
    together = function(at[:256].view(16, 16))
    assert together.dtype == dtype
    alone = torch.stack([function(point) for point in at[:256]]).view(16, 16)
    torch.testing.assert_close(together, alone, rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_described_and_its_defaults_are_legal(name: str) -> None:
    entry = schedules.find(name)
    assert entry.summary
    assert all(item.problem(item.default) is None for item in entry.hyperparameters.values())
