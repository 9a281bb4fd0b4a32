"""Shared by all tests: the data folder, CI's strictness about missing programs, one thread, no deadlines."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("busy", settings.default, deadline=None)  # two files at a time, on machines that do more
settings.load_profile("busy")
LONGEST = (
    "chaos/test_shipping.py",
    "chaos/test_drivers.py",
    "chaos/test_scarcity.py",
    "chaos/test_hosts.py",
    "chaos/test_workers.py",
    "chaos/test_strangers.py",
    "chaos/test_services.py",
    "cluster/test_object_store.py",
    "docker/test_image.py",
    "cluster/test_submit.py",
    "cluster/test_kubernetes.py",
    "cluster/test_bare_hosts.py",
    "test_object_store.py",
    "cluster/test_several_hosts.py",
    "test_end_to_end.py",
    "tracking/test_pages.py",
)
"""The files that take longest are begun first, so that they end with the others."""
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def program(name: str, *also: str) -> str:
    """The path of a server program; a test without it is skipped, saying so, but fails in CI."""
    found = next(filter(None, map(shutil.which, (name, *also))), None)
    return found or missing(name)


def missing(what: str) -> NoReturn:
    """Skips a test, saying what it lacks; fails it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed, and CI must have it")
    pytest.skip(f"{what} is not installed")


@pytest.fixture
def ray_default() -> None:
    """Needs Ray's dashboard, job server and metrics agent."""
    if find_spec("aiohttp_cors") is None:
        missing("ray[default]")


@pytest.fixture
def image_data() -> Path:
    """The folder with the downloaded data sets, named by VAESTUDY_DATA."""
    folder = Path(os.environ.get("VAESTUDY_DATA", "")).expanduser()
    if not os.environ.get("VAESTUDY_DATA") or not (folder / "mnist").is_dir():
        pytest.skip("VAESTUDY_DATA names no folder with mnist/")
    return folder
