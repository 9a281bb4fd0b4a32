"""Which worker gets which GPU, in a Ray that is told of some: training is the CPU's, all the rest as with real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.execution.endless import trained_at_once
from tests.execution.rays import Rays, rays_of
from tests.launched import finished, vaestudy
from vaestudy.errors import ServiceError
from vaestudy.execution.cluster import share
from vaestudy.spec.models import Resources

HERE = "10.0.0.1:6379"


def of(cpus: float, gpus: float = 0) -> dict[str, float]:
    """What a host has; Ray leaves out what is none."""
    return {name: value for name, value in (("CPU", cpus), ("GPU", gpus)) if value}


@pytest.mark.parametrize(
    ("hosts", "asked", "workers"),
    [
        ([of(8, 2)], {"gpus": 0.5}, 4),
        ([of(8, 2)], {"gpus": 1.0}, 2),
        ([of(8, 2)], {"gpus": 0.4}, 4),
        ([of(8, 2)], {"gpus": 0.6}, 2),
        ([of(16, 1)], {"gpus": 0.1}, 10),
        ([of(16, 1)], {"gpus": 1 / 3}, 3),
        ([of(8, 2)], {}, 8),
        ([of(8, 2)], {"device": "cpu"}, 8),
        ([of(8, 2)], {"device": "cpu", "gpus": 1.0}, 8),
        ([of(8, 2)], {"gpus": 0.5, "cpus": 4.0}, 2),
        ([of(1)], {"cpus": 0.1}, 10),
        ([of(8, 2)], {"gpus": 0.5, "workers": 3}, 3),
        ([of(1, 1), of(1, 1), of(2, 8)], {"gpus": 1.0}, 4),
        ([of(3, 1), of(1, 3)], {"gpus": 1.0}, 2),
        ([of(3, 1), of(1, 3)], {"gpus": 0.5}, 3),
        ([of(0), of(8), of(2, 1)], {"gpus": 0.5}, 2),
        ([of(3), of(3)], {"cpus": 2.0}, 2),
    ],
)
def test_as_many_workers_as_each_host_has_room_for(
    hosts: list[dict[str, float]], asked: dict[str, float], workers: int
) -> None:
    assert share(Resources.model_validate(asked), hosts, HERE).workers == workers


@pytest.mark.parametrize(
    ("hosts", "asked", "got"),
    [
        ([of(8, 1)], {}, ("cuda", 0.25)),
        ([of(8), of(2, 1)], {}, ("cuda", 0.25)),
        ([of(8)], {}, ("cpu", 0.0)),
        ([of(8, 1)], {"device": "cpu"}, ("cpu", 0.0)),
        ([of(8, 1)], {"device": "cuda", "gpus": 0.5}, ("cuda", 0.5)),
    ],
)
def test_the_device_is_the_gpu_where_there_is_one_and_it_is_wanted(
    hosts: list[dict[str, float]], asked: dict[str, float], got: tuple[str, float]
) -> None:
    cluster = share(Resources.model_validate(asked), hosts, HERE)
    assert (cluster.device, cluster.gpus) == got


@pytest.mark.parametrize(
    ("hosts", "asked", "says"),
    [
        (
            [of(1), of(1), of(1, 1)],
            {"cpus": 2.0},
            "a worker needs 2 CPUs and 0.25 GPUs on one host, Ray at 10.0.0.1:6379 has hosts with 1 and 0, 1 and 1",
        ),
        ([of(4)], {"gpus": 0.5}, "needs 1 CPUs and 0.5 GPUs on one host, Ray at 10.0.0.1:6379 has hosts with 4 and 0"),
        ([of(4)], {"device": "cuda"}, "resources.device is cuda, but Ray at 10.0.0.1:6379 has no GPU; try "),
    ],
)
def test_what_no_host_has_is_refused(hosts: list[dict[str, float]], asked: dict[str, float], says: str) -> None:
    with pytest.raises(ServiceError) as refused:
        share(Resources.model_validate(asked), hosts, HERE)
    assert says in str(refused.value)


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rays]:
    with rays_of(tmp_path_factory.mktemp("one"), (4, 2)) as rays:
        yield rays


@pytest.fixture(scope="module")
def odd_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rays]:
    """Together they have four of each, and room for two."""
    with rays_of(tmp_path_factory.mktemp("odd"), (3, 1), (1, 3)) as rays:
        yield rays


def told(rays: Rays, **asked: float) -> dict[str, Any]:
    """What workers saw that trained on the CPU."""
    return trained_at_once(rays.places, rays.address, "cpu", asked, rays.environment)


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "seen"), [(0.5, {"0": 2, "1": 2}), (0.4, {"0": 2, "1": 2}), (1.0, {"0": 1, "1": 1})])
def test_workers_at_once_see_one_gpu_each_and_share_it_as_asked(
    one_host: Rays, gpus: float, seen: dict[str, int]
) -> None:
    found = told(one_host, gpus=gpus)
    assert (found["cluster"]["workers"], found["cluster"]["device"]) == (sum(seen.values()), "cuda")
    assert Counter(place["visible"] for place in found["places"]) == seen


@pytest.mark.slow
def test_what_hosts_of_different_sizes_promise_they_hold(odd_hosts: Rays) -> None:
    found = told(odd_hosts, gpus=1.0)
    assert found["cluster"]["workers"] == 2
    assert len({place["host"] for place in found["places"]}) == len(found["places"]) == 2
    assert all(place["visible"].isdecimal() for place in found["places"])


@pytest.mark.slow
def test_what_no_host_has_alone_is_refused_though_all_together_have_it(odd_hosts: Rays) -> None:
    assert told(odd_hosts, cpus=4.0)["refused"].endswith(" has hosts with 1 and 3, 3 and 1")


@pytest.mark.slow
def test_a_gpu_that_torch_does_not_see_ends_the_study_in_one_line(one_host: Rays, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    at = ["--address", one_host.address]
    process = vaestudy("launch", "studies/quickstart.yaml", *at, results=tmp_path, env=one_host.environment)
    _, err = finished(process, code=4)
    last = err.strip().splitlines()[-1]
    assert last.startswith("vaestudy: error: Ray gives a worker cuda of host ")
    assert last.endswith("sees no GPU there; try resources.device=cpu")
