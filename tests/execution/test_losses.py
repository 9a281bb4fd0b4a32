"""What a lost worker means."""

from __future__ import annotations

import json

import pytest
import torch
from ray.exceptions import ActorDiedError, OutOfMemoryError

from vaestudy.errors import (
    CheckpointError,
    ConflictError,
    DataError,
    DiskError,
    Problem,
    ServiceError,
    SpecError,
    UsageError,
    VaestudyError,
)
from vaestudy.execution.losses import Kind, Loss, Patience, death_of, loss_of


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
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to ..."), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory"),
        (RuntimeError("shapes differ"), "raised"),
        (ValueError("no"), "raised"),
    ],
)
def test_kinds_of_what_a_worker_raises(error: Exception, kind: Kind) -> None:
    assert loss_of(error, "cpu").kind == kind


def test_what_cuda_raises_for_want_of_memory_is_of_the_class_that_is_looked_for() -> None:
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError


def wrapped(how: str) -> Exception:
    """What a model raises that meets an error of the device's."""
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has a total capacity of 1 GiB")
        except torch.OutOfMemoryError as error:
            if how == "hidden":
                raise ValueError("the model cannot go on") from None
            if how == "named":
                raise ValueError("the model cannot go on") from error
            raise ValueError("the model cannot go on")  # noqa: B904  # as people do
    except ValueError as error:
        return error


@pytest.mark.parametrize(("how", "kind"), [("named", "memory"), ("met on the way", "memory"), ("hidden", "raised")])
def test_memory_that_another_error_came_of_is_the_cause(how: str, kind: Kind) -> None:
    assert loss_of(wrapped(how), "cuda").kind == kind


def test_a_run_without_memory_says_where() -> None:
    where = "cuda of host worker1 (CUDA_VISIBLE_DEVICES: 3)"
    reason = loss_of(wrapped("named"), where).reason
    assert reason.startswith(f"not enough memory on {where}: OutOfMemoryError: CUDA out of memory. GPU 0 has")
    several = RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable assertions.")
    assert loss_of(several, where).reason.endswith(": RuntimeError: CUDA error: out of memory")


@pytest.mark.parametrize(
    ("error", "kind"), [(OutOfMemoryError("killed by the memory monitor"), "memory"), (ActorDiedError(), "died")]
)
def test_kinds_of_deaths(error: Exception, kind: Kind) -> None:
    assert death_of(str(error)).kind == kind


@pytest.mark.parametrize("kind", [DiskError, DataError, CheckpointError, ServiceError, ConflictError, UsageError])
def test_an_error_for_the_user_is_the_same_on_the_other_side(kind: type[VaestudyError]) -> None:
    loss = Loss(**json.loads(json.dumps(loss_of(kind("disk full"), "cpu").dump())))
    assert type(loss.for_the_user) is kind
    assert str(loss.for_the_user) == "disk full"
    assert loss.reason == f"{kind.__name__}: disk full"


def test_a_problem_with_a_study_file_ends_the_study_as_a_wrong_usage() -> None:
    loss = loss_of(SpecError([Problem("plugins", "gone")]), "cpu")
    assert isinstance(loss.for_the_user, UsageError)


def test_any_other_error_is_not_the_users() -> None:
    assert loss_of(ValueError("no"), "cpu").for_the_user is None
    assert death_of("The actor died").for_the_user is None


def test_a_reason_is_one_line() -> None:
    assert loss_of(ValueError("first\nsecond\n"), "cpu").reason == "ValueError: second"
    assert loss_of(KeyError(), "cpu").reason == "KeyError"
    assert "\n" not in death_of(str(ActorDiedError())).reason
    assert death_of("").reason == "its worker died: nobody knows of what"
