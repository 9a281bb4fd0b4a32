"""Proposals go on after a relaunch as if nothing had happened, and Sobol points are Sobol points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from tests.search.conftest import NewFolder
from tests.search.toy import ADAM, SGD, cell, ranges, run
from vaestudy.search import RetryingStorage, open_storage
from vaestudy.search.samplers import trial_sampler

SAMPLERS = ["random", "sobol", "tpe", "gp"]


@pytest.mark.parametrize(("sampler", "pruner"), [*((name, "none") for name in SAMPLERS), ("tpe", "hyperband")])
def test_one_launch_of_twelve_asks_for_the_same_as_five_and_seven(
    new_folder: NewFolder, sampler: str, pruner: str
) -> None:
    one, two = new_folder(), new_folder()
    whole, first, second = (open_storage("sqlite", folder) for folder in (one, two, two))
    at_once = run(cell(whole, trials=12, sampler=sampler, pruner=pruner))
    in_two = run(cell(first, trials=12, sampler=sampler, pruner=pruner), trials=5)
    in_two += run(cell(second, trials=12, sampler=sampler, pruner=pruner))
    for storage in (whole, first, second):
        storage.close()
    assert in_two == at_once
    assert len({ask.drawn["lr"] for ask in at_once}) == 12


def test_trials_in_flight_are_not_proposed_twice(storage: RetryingStorage) -> None:
    search = cell(storage, trials=16, sampler="tpe")
    run(search, trials=10)
    asks = [search.ask() for _ in range(6)]
    assert len({ask.drawn["lr"] for ask in asks if ask is not None}) == 6


def test_every_trial_of_a_sobol_search_is_a_point_of_one_sequence(storage: RetryingStorage) -> None:
    space = ranges(a={"uniform": (0.0, 1.0)}, b={"uniform": (0.0, 1.0)})
    asks = run(cell(storage, trials=16, sampler="sobol", spaces={"adam": space}))
    points = np.array([[ask.drawn["a"], ask.drawn["b"]] for ask in asks])
    for axis in range(2):  # a (t, m, s)-net: one point in each sixteenth of each axis
        assert sorted(np.floor(points[:, axis] * 16).astype(int)) == list(range(16))
    independent = np.random.default_rng(0).random((16, 2))
    assert qmc.discrepancy(points) < qmc.discrepancy(independent)


def test_a_sobol_search_over_methods_gives_each_its_share(storage: RetryingStorage) -> None:
    asks = run(cell(storage, trials=16, sampler="sobol", spaces={"adam": ADAM, "sgd": SGD}))
    assert sum(ask.method == "sgd" for ask in asks) == 8


def test_samplers_of_other_numbers_differ() -> None:
    first, second = (trial_sampler("sobol", {"sgd": SGD}, 1, "study", number) for number in (0, 1))
    assert vars(first) != vars(second)
