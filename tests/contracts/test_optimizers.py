"""The laws that every registered optimizer keeps; a new one is held to them without a new test."""

from __future__ import annotations

import pytest

from vaestudy.optimizers import optimizers
from vaestudy.testing import Law, optimizer_laws


@pytest.mark.parametrize("law", optimizer_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in optimizers])
def test_an_optimizer_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)
