"""What a launch hands to its workers."""

from __future__ import annotations

from pathlib import Path

from tests.spec.files import GOOD, load
from vaestudy.evaluation import Samples
from vaestudy.study.launch import common_of


def test_test_scores_rest_on_the_draws_that_the_study_file_asks_for(tmp_path: Path) -> None:
    asked = ["confirm.elbo_samples=7", "confirm.iwae_samples=8", "confirm.weight_draws=9"]
    common = common_of(load(tmp_path, GOOD, asked), tmp_path, "cpu", 1)
    assert common.samples == Samples(elbo=7, iwae=8, weight_draws=9)


def test_by_default_the_test_elbo_is_of_fifty_draws(tmp_path: Path) -> None:
    common = common_of(load(tmp_path), tmp_path, "cpu", 1)
    assert (common.samples.elbo, common.samples.weight_draws) == (50, 400)
