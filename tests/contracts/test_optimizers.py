"""The laws that every registered optimizer keeps; a new one is held to them without a new test."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.steps import LAYOUT, gradient, hyperparameters, made, row_noise
from vaestudy.optimizers import optimizers

NAMES = [entry.name for entry in optimizers]
pytestmark = pytest.mark.parametrize("name", NAMES)


def bowl(theta: Tensor) -> Tensor:
    scales = torch.linspace(0.5, 2.0, theta.shape[-1], dtype=theta.dtype)
    return 0.5 * (scales * theta**2).sum(-1)


class Walk:
    """Some members under one optimizer; their noise follows their names."""

    def __init__(self, name: str, members: list[int], poisoned: int | None = None):
        self.name, self.members, self.poisoned = name, members, poisoned
        self.optimizer = made(name)
        self.params = torch.stack(
            [torch.randn(LAYOUT.width, generator=torch.Generator().manual_seed(member)) for member in members]
        )
        self.state: Any = self.optimizer.init(self.params, self.hparams)
        self.step_count = 0

    @property
    def hparams(self) -> dict[str, Tensor]:
        return dict(hyperparameters(self.name, len(self.members), {}, torch.float32))

    def loss(self, theta: Tensor) -> Tensor:
        values = bowl(theta)
        if self.poisoned is None:
            return values
        return values * torch.tensor([float("nan") if member == self.poisoned else 1.0 for member in self.members])

    def go(self, steps: int, lr: Tensor | None = None) -> Walk:
        for _ in range(steps):
            hparams = self.hparams if lr is None else {**self.hparams, "lr": lr}
            now = self.step_count
            self.params, self.state, _ = self.optimizer.step(
                gradient(self.loss),
                self.params,
                self.state,
                hparams,
                lambda now=now: row_noise(now, self.members, LAYOUT.width, torch.float32),
            )
            self.step_count += 1
        return self

    def row(self, member: int) -> Tensor:
        return self.optimizer.eval_params(self.params, self.state)[self.members.index(member)]


def test_a_member_alone_equals_the_same_member_among_five(name: str) -> None:
    alone, among = Walk(name, [7]).go(12), Walk(name, [1, 2, 7, 3, 4]).go(12)
    assert torch.equal(alone.row(7), among.row(7))


def test_a_member_at_nan_leaves_the_others_bitwise_unchanged(name: str) -> None:
    calm, poisoned = Walk(name, [1, 2, 3]).go(8), Walk(name, [1, 2, 3], poisoned=2).go(8)
    assert torch.equal(calm.row(1), poisoned.row(1))
    assert torch.equal(calm.row(3), poisoned.row(3))


def test_its_state_survives_saving_and_loading_in_mid_run(name: str) -> None:
    straight, broken = Walk(name, [1, 2]).go(14), Walk(name, [1, 2]).go(6)
    buffer = io.BytesIO()
    torch.save([broken.optimizer.get_row(broken.state, k) for k in range(2)], buffer)
    buffer.seek(0)
    broken.state = broken.optimizer.put_rows(torch.load(buffer, weights_only=True))
    broken.params = broken.params.clone()
    assert torch.equal(broken.go(8).row(2), straight.row(2))


def test_dropping_a_row_leaves_the_rest_unchanged(name: str) -> None:
    whole, thinned = Walk(name, [1, 2, 3]).go(10), Walk(name, [1, 2, 3]).go(4)
    rows = [thinned.optimizer.get_row(thinned.state, k) for k in (0, 2)]
    thinned.params, thinned.members = thinned.params[[0, 2]], [1, 3]
    thinned.state = thinned.optimizer.put_rows(rows)
    thinned.go(6)
    assert torch.equal(whole.row(1), thinned.row(1))
    assert torch.equal(whole.row(3), thinned.row(3))


def test_a_row_taken_is_a_copy_that_later_steps_leave_alone(name: str) -> None:
    walk = Walk(name, [1]).go(3)
    row, params = walk.optimizer.get_row(walk.state, 0), walk.params.clone()
    walk.go(3)
    again = Walk(name, [1])
    again.params, again.state, again.step_count = params, again.optimizer.put_rows([row]), 3
    assert torch.equal(again.go(3).row(1), walk.row(1))


def test_equal_rates_per_part_equal_one_rate(name: str) -> None:
    one = Walk(name, [1, 2])
    rate = one.hparams["lr"]
    parts = Walk(name, [1, 2]).go(10, lr=rate.expand(2, LAYOUT.width).clone())
    assert torch.equal(one.go(10).row(2), parts.row(2))


def test_it_descends_a_bowl(name: str) -> None:
    walk = Walk(name, [1])
    start = float(bowl(walk.row(1)))
    assert float(bowl(walk.go(60).row(1))) < start


def test_every_hyperparameter_has_a_law_and_a_legal_default(name: str) -> None:
    entry = optimizers.find(name)
    assert "lr" in entry.hyperparameters
    assert entry.summary
    for item in entry.hyperparameters.values():
        assert item.domain.says
        assert item.required or item.problem(item.default) is None
