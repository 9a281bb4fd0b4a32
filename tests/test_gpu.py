"""On a GPU: every optimizer trains as on the CPU, runs move between the two, a study runs as on any machine."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.execution.endless import trained_at_once
from tests.launched import finished, launch, runs_of
from tests.tasks import populate, random_task, settings
from vaestudy.execution.losses import loss_of
from vaestudy.optimizers import optimizers
from vaestudy.population import Population, Task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")

NATIVE = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "ivon"]
EPOCHS = 40


def on(device: str) -> Task:
    """The same task, its data on a device."""
    task, place = random_task(), torch.device(device)
    return dataclasses.replace(task, examples=task.examples.to(place), device=place)


def last_loss(population: Population) -> float:
    """The mean loss of the last ten of ``EPOCHS`` epochs."""
    steps = population.task.steps_per_epoch
    return float(population.train(EPOCHS * steps)[0, -10 * steps :].mean())


@pytest.mark.parametrize("optimizer", NATIVE)
def test_an_optimizer_ends_where_it_does_on_the_cpu(optimizer: str) -> None:
    ends = [last_loss(populate(on(device), [(7, settings(optimizer, EPOCHS))])) for device in ("cpu", "cuda")]
    assert ends[1] == pytest.approx(ends[0], rel=0.05)  # the noise is another


@pytest.mark.parametrize("optimizer", NATIVE)
def test_a_member_among_others_is_the_member_alone_but_for_rounding(optimizer: str) -> None:
    task, chosen = on("cuda"), settings(optimizer)
    alone = populate(task, [(7, chosen)])
    among = populate(task, [(1, settings(optimizer, lr=0.05)), (7, chosen), (2, settings(optimizer))])
    torch.testing.assert_close(alone.train(15)[0], among.train(15)[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("begun", "ended"), [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_a_row_goes_on_where_another_device_left_it(begun: str, ended: str) -> None:
    first = populate(on(begun), [(7, settings("adam"))])
    first.train(9)
    saved = first.save(0)
    assert saved["params"].device.type == "cpu"
    task = on(ended)
    second = Population(task, optimizers.find("adam").component(task.model.layout))
    second.add(dataclasses.replace(first.members[0], steps=0), saved)
    assert second.members[0].steps == 9
    assert torch.equal(second.save(0)["params"], saved["params"])
    assert torch.isfinite(second.train(6)).all()


def test_memory_that_the_gpu_has_not_is_known_as_such() -> None:
    with pytest.raises(RuntimeError) as lacking:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    assert isinstance(lacking.value, torch.OutOfMemoryError)
    loss = loss_of(lacking.value, "cuda of host here")
    assert loss.kind == "memory"
    assert loss.reason.startswith("not enough memory on cuda of host here: OutOfMemoryError: CUDA out of memory.")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("gpus", [0.5, 1.0])
def test_workers_at_once_train_on_one_gpu_each_and_share_it_as_asked(tmp_path: Path, gpus: float) -> None:
    each, devices = round(1 / gpus), torch.cuda.device_count()
    found = trained_at_once(tmp_path, None, "cuda", {"gpus": gpus, "cpus": 0.1}, {})
    assert (found["cluster"]["workers"], found["cluster"]["device"]) == (each * devices, "cuda")
    assert {place["seen"] for place in found["places"]} == {1}
    ids = Counter(place["visible"] for place in found["places"])
    assert list(ids.values()) == [each] * devices


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_trains_on_the_gpu(tmp_path: Path) -> None:
    finished(launch(tmp_path, "resources.device=cuda", "resources.population=8"))
    ends = [record.end for record in runs_of(tmp_path / "quickstart").values()]
    assert {end.outcome for end in ends if end} == {"done"}
    assert len(ends) == len([end for end in ends if end])
