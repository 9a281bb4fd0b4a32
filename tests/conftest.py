"""Shared by all tests: the data folder, CI's strictness about missing programs, one thread."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


def program(name: str, *also: str) -> str:
    """The path of a server program; a test without it is skipped, saying so, but fails in CI."""
    for candidate in (name, *also):
        found = shutil.which(candidate)
        if found:
            return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed, and CI must have it")
    pytest.skip(f"{name} is not installed")


@pytest.fixture
def image_data() -> Path:
    """The folder with the downloaded data sets, named by VAESTUDY_DATA."""
    folder = Path(os.environ.get("VAESTUDY_DATA", "")).expanduser()
    if not os.environ.get("VAESTUDY_DATA") or not (folder / "mnist").is_dir():
        pytest.skip("VAESTUDY_DATA names no folder with mnist/")
    return folder
