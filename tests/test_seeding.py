"""Random streams and identities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.seeding import Noise, Stream, mix, permutation, uid

CPU = torch.device("cpu")


@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**9), others=st.lists(st.integers(0, 99), max_size=3))
def test_a_members_noise_depends_on_its_seed_and_step_only(seed: int, step: int, others: list[int]) -> None:
    alone = Noise([seed], CPU).normal(Stream.LATENT, [step], 5, dtype=torch.float32)[0]
    among = Noise([*others, seed], CPU).normal(Stream.LATENT, [*range(len(others)), step], 5, dtype=torch.float32)[-1]
    assert torch.equal(alone, among)


def test_streams_and_steps_differ() -> None:
    noise = Noise([1], CPU)
    draws = [noise.normal(stream, [step], 8, dtype=torch.float32) for stream in Stream for step in (0, 1)]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)


def test_draws_have_the_right_distribution() -> None:
    normal = Noise([3], CPU).normal(Stream.WEIGHTS, [0], 200_000, dtype=torch.float32)
    uniform = Noise([3], CPU).uniform(Stream.BINARIZE, [0], 200_000, dtype=torch.float32)
    assert float(normal.mean()) == pytest.approx(0, abs=0.01)
    assert float(normal.std()) == pytest.approx(1, abs=0.01)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


def test_consecutive_steps_are_uncorrelated() -> None:
    noise = Noise([5], CPU)
    first = torch.cat([noise.normal(Stream.LATENT, [s], 1, 64, dtype=torch.float32) for s in range(500)]).flatten()
    lagged = torch.corrcoef(torch.stack([first[:-64], first[64:]]))[0, 1]
    assert abs(float(lagged)) < 0.025


@given(size=st.integers(1, 50), epoch=st.integers(0, 5))
def test_an_epochs_order_visits_every_example_once(size: int, epoch: int) -> None:
    assert sorted(permutation(1, epoch, size).tolist()) == list(range(size))


def test_identities_are_fixed_and_distinct() -> None:
    assert uid("h", "w/m", 3, 1) == uid("h", "w/m", 3, 1)
    assert len({uid("h", "w/m", trial, seed) for trial in range(40) for seed in range(5)}) == 200
    assert mix(1, "a") != mix("1a")


def test_another_epoch_and_another_seed_have_another_order() -> None:
    orders = [permutation(seed, epoch, 100).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert all(orders.count(order) == 1 for order in orders)


def test_the_numbers_of_a_seed_never_change() -> None:
    """A study of last year must resume: the draws are part of the format."""
    assert (mix(1, "LATENT", 0), uid("h", "w/m", 3, 1)) == (342744649103311044, "51ff9cf04b55d575")
    assert permutation(1, 0, 6).tolist() == [2, 5, 3, 4, 1, 0]
