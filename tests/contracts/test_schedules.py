"""The laws of every registered schedule."""

from __future__ import annotations

import pytest

from vaestudy.schedules import schedules
from vaestudy.testing import Law, schedule_laws


@pytest.mark.parametrize("law", schedule_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in schedules])
def test_a_schedule_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)
