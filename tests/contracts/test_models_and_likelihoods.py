"""The laws of every registered model and likelihood."""

from __future__ import annotations

import pytest

from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.testing import Law, likelihood_laws, model_laws


@pytest.mark.parametrize("law", model_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in models])
def test_a_model_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)


@pytest.mark.parametrize("law", likelihood_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in likelihoods])
def test_a_likelihood_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)
