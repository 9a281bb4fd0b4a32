"""What a lost worker means."""

from __future__ import annotations

import pytest
import torch
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayTaskError

from vaestudy.errors import DiskError
from vaestudy.execution.losses import Kind, Patience, cause_of, kind_of, reason_of


def test_a_run_that_gets_further_each_time_may_lose_any_number_of_workers() -> None:
    patience = Patience(retries=2)
    for step in range(1, 50):
        patience.reached("run", step)
        assert not patience.lost("run")


def test_a_run_that_gets_no_further_is_given_up_after_its_retries() -> None:
    patience = Patience(retries=2)
    patience.reached("run", 10)
    assert [patience.lost("run") for _ in range(3)] == [False, False, True]


def test_getting_further_begins_the_count_anew() -> None:
    patience = Patience(retries=1)
    assert not patience.lost("run")
    patience.reached("run", 5)
    assert not patience.lost("run")
    patience.reached("run", 4)  # another attempt, which has not come as far yet
    assert patience.lost("run")


def test_runs_are_counted_apart() -> None:
    patience = Patience(retries=0)
    assert patience.lost("one")
    assert Patience(retries=1).lost("two") is False


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (OutOfMemoryError("killed by the memory monitor"), "memory"),
        (RuntimeError("shapes differ"), "raised"),
        (ValueError("no"), "raised"),
        (ActorDiedError(), "died"),
    ],
)
def test_kinds_of_losses(cause: BaseException, kind: Kind) -> None:
    assert kind_of(cause) == kind


def test_what_a_worker_raised_is_found_in_rays_wrapping() -> None:
    wrapped = RayTaskError("step", "traceback", DiskError("disk full")).as_instanceof_cause()
    assert isinstance(cause_of(wrapped), DiskError)
    assert reason_of(cause_of(wrapped)) == "DiskError: disk full"


def test_a_reason_is_one_line() -> None:
    assert reason_of(ValueError("first\nsecond\n")) == "ValueError: second"
    assert reason_of(KeyError()) == "KeyError"
    assert "\n" not in reason_of(ActorDiedError())
