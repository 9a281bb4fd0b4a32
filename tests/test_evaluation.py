"""The judge's estimates against closed forms in float64: a linear VAE, of which everything is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from statistics import stdev

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from tests.linear_vae import DATA_DIM, LATENT_DIM, SCALE, LinearVae, exact, examples, misjudged, task
from tests.tasks import random_task
from vaestudy.evaluation import MIXTURE_EXAMPLES, SAMPLE_ROWS, SAMPLES_PER_DRAW, Evaluator, information, pictures
from vaestudy.metrics import log_mean_exp
from vaestudy.models import Model
from vaestudy.models.base import Named
from vaestudy.params import Layout
from vaestudy.population import Task
from vaestudy.spec.models import Confirm

X = examples(600)  # more than are decoded at once
WIDE = misjudged((1.5, 1.2), shift=0.1)
TOO_WIDE = misjudged((1.8, 1.6), shift=0.0)  # of a bias that can be measured, and no weight is large
NARROW = misjudged((0.7, 0.7))


def judge(x: Tensor = X, seed: int = 0) -> Evaluator:
    return Evaluator(task(x, x), x, seed)


def still(vae: LinearVae, logvar: float = -60.0) -> LinearVae:
    """The same with posteriors so narrow that a code is their mean."""
    return replace(vae, logvar=torch.full_like(vae.logvar, logvar))


@dataclass(frozen=True)
class Counting:
    """A model that remembers what it was given."""

    model: Model
    decoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    encoded: list[Tensor] = field(default_factory=list)

    @property
    def latent_dim(self) -> int:
        return self.model.latent_dim

    @property
    def layout(self) -> Layout:
        return self.model.layout

    def encode(self, params: Named, x: Tensor) -> tuple[Tensor, Tensor]:
        self.encoded.append(x)
        return self.model.encode(params, x)

    def decode(self, params: Named, z: Tensor) -> Tensor:
        self.decoded.append((params["decoder.output.bias"], z))
        return self.model.decode(params, z)


def counting(x: Tensor) -> tuple[Evaluator, Counting]:
    plain = task(x, x)
    model = Counting(plain.model)
    return Evaluator(replace(plain, model=model), x, 0), model


def rows(model: Counting) -> int:
    return sum(z.shape[:-1].numel() for _, z in model.decoded)


# --- -ELBO of one draw -----------------------------------------------------------------------------------------------


def test_a_score_is_the_mean_over_examples_of_distortion_plus_kl() -> None:
    (score,) = judge().scores(still(WIDE).params)
    distortion, rate = still(WIDE).terms(X)
    assert score.distortion == pytest.approx(float(distortion.mean()), rel=1e-9)
    assert score.kl == pytest.approx(float(rate.mean()), rel=1e-12)
    assert score.nelbo == pytest.approx(float((distortion + rate).mean()), rel=1e-9)


def test_the_kl_of_each_dimension_is_that_dimensions_mean() -> None:
    (score,) = judge().scores(WIDE.params)
    mu, variance = X @ WIDE.encoder + WIDE.shift, torch.exp(WIDE.logvar)
    rate = 0.5 * (mu.square() + variance - 1 - WIDE.logvar).mean(0)
    assert score.kl_per_dimension == pytest.approx(rate.tolist(), rel=1e-12)


def test_a_score_counts_the_units_whose_means_vary() -> None:
    half = WIDE.encoder.clone()
    half[:, 1] = 0
    assert judge().scores(WIDE.params)[0].active_units == 2
    assert judge().scores(replace(WIDE, encoder=half).params)[0].active_units == 1


def test_scores_are_of_each_member_and_the_same_noise_for_all_and_always() -> None:
    both = {name: torch.cat([WIDE.params[name], NARROW.params[name]]) for name in WIDE.params}
    alone = [judge().scores(vae.params)[0] for vae in (WIDE, NARROW)]
    assert judge().scores(both) == alone
    assert judge(seed=1).scores(WIDE.params)[0].distortion != alone[0].distortion


def test_a_score_of_one_draw_has_the_exact_elbo_for_its_mean() -> None:
    draws = torch.tensor([judge(seed=seed).scores(WIDE.params)[0].nelbo for seed in range(400)])
    error = float(draws.std()) / math.sqrt(len(draws))
    assert float(draws.mean()) == pytest.approx(float(sum(WIDE.terms(X)).mean()), abs=4 * error)
    assert error < 0.01


# --- -ELBO of many draws ---------------------------------------------------------------------------------------------


def test_the_terms_of_posteriors_without_width_are_exact_for_every_example() -> None:
    found, right = judge().terms(still(WIDE).params, 3), still(WIDE).terms(X)
    torch.testing.assert_close(found, right, rtol=1e-9, atol=0)


def test_the_distortion_of_many_draws_nears_its_expectation_for_every_example() -> None:
    x = examples(40)
    distortion, rate = judge(x).terms(WIDE.params, 20_000)
    expected, exact_rate = WIDE.terms(x)
    torch.testing.assert_close(rate, exact_rate, rtol=1e-12, atol=0)
    assert float((distortion - expected).abs().max()) < 0.1
    assert float((distortion - expected).mean().abs()) < 0.01


@pytest.mark.parametrize("draws", [1, 7, 50])
def test_as_many_codes_are_drawn_of_each_example_as_are_asked_for_and_no_two_are_alike(draws: int) -> None:
    evaluator, model = counting(X)
    evaluator.terms(WIDE.params, draws)
    assert rows(model) == draws * len(X)
    codes = torch.cat([z.reshape(-1, LATENT_DIM) for _, z in model.decoded])
    assert len(torch.unique(codes[:, 0])) == len(codes)


def test_fifty_draws_have_a_fiftieth_of_the_variance_of_one() -> None:
    x = examples(50)

    def variance(draws: int) -> float:
        return float(torch.stack([judge(x, seed).terms(WIDE.params, draws)[0].mean() for seed in range(300)]).var())

    assert variance(1) / variance(50) == pytest.approx(50, rel=0.3)


def test_a_kl_near_the_prior_is_never_negative() -> None:
    x = examples(64).float()
    near = LinearVae(
        *(value.float() for value in (WIDE.weight, WIDE.bias, 0 * WIDE.encoder, 0 * WIDE.shift, 0 * WIDE.logvar + 1e-4))
    )
    _, rate = judge(x).terms(near.params, 1)
    assert rate.tolist() == pytest.approx([LATENT_DIM * 1e-8 / 4] * 64, rel=1e-3)


# --- the importance-weighted bound -----------------------------------------------------------------------------------


def test_a_weight_is_the_joint_density_over_the_posteriors() -> None:
    x, z = examples(5), torch.randn(3, 5, LATENT_DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mu = (x @ WIDE.encoder + WIDE.shift)[None]
    likelihood = Independent(Normal(z @ WIDE.weight + WIDE.bias, SCALE), 1).log_prob(x)
    prior = Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z)
    posterior = Independent(Normal(mu, torch.exp(0.5 * WIDE.logvar)), 1).log_prob(z)
    found = judge(x)._log_weights(WIDE.params, mu, WIDE.logvar.expand_as(mu), z, x)
    torch.testing.assert_close(found, likelihood + prior - posterior, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("samples", [1, 2, 7, 100])
def test_with_the_exact_posterior_every_bound_is_the_likelihood_itself(samples: int) -> None:
    vae = exact()
    nll, bias = judge().bound(vae.params, samples)
    torch.testing.assert_close(nll, -vae.log_likelihood(X), rtol=0, atol=1e-10)
    assert nll.dtype == torch.float64
    if samples > 1:
        torch.testing.assert_close(bias, torch.zeros_like(nll), rtol=0, atol=1e-10)


def test_the_bound_nears_the_exact_likelihood_of_every_example_from_above() -> None:
    x = examples(60)
    nll, _ = judge(x).bound(WIDE.params, 20_000)
    torch.testing.assert_close(nll, -WIDE.log_likelihood(x), rtol=0, atol=0.05)
    x = examples(3000)
    right = -TOO_WIDE.log_likelihood(x)
    above = [float((judge(x).bound(TOO_WIDE.params, k)[0] - right).mean()) for k in (1, 10, 100)]
    assert above[0] > 2 * above[1] > 0
    assert above[1] > 2 * above[2] > 0


def test_the_bound_of_one_sample_has_the_elbo_for_its_mean() -> None:
    x = examples(20_000)
    nll, bias = judge(x).bound(WIDE.params, 1)
    assert float((nll - sum(WIDE.terms(x))).mean()) == pytest.approx(0.0, abs=0.03)
    assert bias.isnan().all()


@pytest.mark.parametrize("samples", [1, 63, 64, 100, 5000])
def test_as_many_importance_samples_are_drawn_as_are_asked_for(samples: int) -> None:
    evaluator, model = counting(X[:70])
    evaluator.bound(WIDE.params, samples)
    assert rows(model) == 70 * samples


def test_no_more_rows_are_decoded_at_once_than_fit_and_not_many_fewer() -> None:
    evaluator, model = counting(X[:70])
    evaluator.bound(WIDE.params, 200)
    at_once = [z.shape[:-1].numel() for _, z in model.decoded]
    assert SAMPLE_ROWS == 4096
    assert at_once == [64 * 64, 64 * 64, 64 * 64, 64 * 8, 6 * 200]


@pytest.mark.parametrize("samples", [30, 31, 100])
def test_the_told_bias_is_the_true_one_where_the_encoder_is_wide(samples: int) -> None:
    x = examples(20_000)
    nll, bias = judge(x).bound(TOO_WIDE.params, samples)
    true = float((nll + TOO_WIDE.log_likelihood(x)).mean())
    assert float(bias.mean()) == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize("samples", [10, 100])
def test_the_told_bias_is_some_of_the_true_one_where_the_encoder_is_narrow(samples: int) -> None:
    x = examples(10_000)
    nll, bias = judge(x).bound(NARROW.params, samples)
    assert 0.35 < float(bias.mean()) / float((nll + NARROW.log_likelihood(x)).mean()) < 0.9


# --- averages over a posterior of the weights ------------------------------------------------------------------------


def others(vae: LinearVae, scale: float) -> Iterator[LinearVae]:
    generator = torch.Generator().manual_seed(5)
    while True:
        noise = torch.randn(vae.weight.shape, generator=generator, dtype=torch.float64)
        yield replace(vae, weight=vae.weight + scale * noise, bias=vae.bias + scale * noise.sum(0))


def test_draws_that_are_all_the_mean_give_the_same_twice_and_the_likelihood() -> None:
    vae = exact()
    averaged, at_mean = judge().over_weights(vae.params, [vae.params] * 3)
    assert averaged == at_mean == pytest.approx(-float(vae.log_likelihood(X).mean()), abs=1e-10)


def test_the_likelihood_itself_is_averaged_over_the_draws_and_not_its_logarithm() -> None:
    vae, x = exact(), examples(100)
    some = list(islice(others(vae, 0.15), 4))
    each = torch.stack([drawn.log_likelihood(x) for drawn in some], dim=-1)
    averaged, at_mean = judge(x).over_weights(vae.params, [drawn.params for drawn in islice(cycle(some), 400)])
    assert averaged == pytest.approx(-float(log_mean_exp(each).mean()), abs=0.02)
    assert averaged < -float(each.mean()) - 0.1
    assert at_mean == pytest.approx(-float(vae.log_likelihood(x).mean()), abs=1e-10)


def test_the_encoder_stays_at_the_mean_whatever_encoder_was_drawn() -> None:
    draws = list(islice(others(WIDE, 0.1), 5))
    wild = [replace(each, encoder=9 + each.encoder, shift=9 + each.shift, logvar=9 + each.logvar) for each in draws]
    told = [judge().over_weights(WIDE.params, [each.params for each in chosen]) for chosen in (draws, wild)]
    assert told[0] == told[1]


def test_the_mean_decodes_the_same_codes_as_the_draws_and_as_many() -> None:
    evaluator, model = counting(X)
    draws = list(islice(others(WIDE, 0.1), 4))
    evaluator.over_weights(WIDE.params, [each.params for each in draws])
    mean = [z for bias, z in model.decoded if torch.equal(bias, WIDE.params["decoder.output.bias"])]
    drawn = [z for bias, z in model.decoded if not torch.equal(bias, WIDE.params["decoder.output.bias"])]
    assert torch.equal(torch.cat(mean, dim=1), torch.cat(drawn, dim=1))
    codes = torch.cat(mean, dim=1)[0]
    assert len(codes) == len(torch.unique(codes[:, 0])) == 4 * SAMPLES_PER_DRAW * len(X)


def test_the_study_file_says_how_many_importance_samples_a_draw_of_the_weights_has() -> None:
    assert f"of {SAMPLES_PER_DRAW} importance samples" in str(Confirm.model_fields["weight_draws"].description)


# --- mutual information ----------------------------------------------------------------------------------------------


def test_codes_that_ignore_their_examples_carry_no_information() -> None:
    blind = replace(WIDE, encoder=0 * WIDE.encoder)
    told, limit = information(task(X, examples(100, seed=1)), blind.params, 0)
    assert told == pytest.approx(0.0, abs=1e-9)
    assert limit == pytest.approx(math.log(700))


def test_codes_of_their_own_carry_the_logarithm_of_the_number_of_examples() -> None:
    told, limit = information(
        task(X, examples(100, seed=1)), replace(still(WIDE, -20.0), encoder=100 * WIDE.encoder).params, 0
    )
    assert told == pytest.approx(limit, abs=1e-6)


def test_every_example_has_noise_of_its_own_so_that_information_is_told_alike_under_all_seeds() -> None:
    told = [information(task(X, X[:100]), TOO_WIDE.params, seed)[0] for seed in range(12)]
    assert stdev(told) < 0.08


@pytest.mark.parametrize(
    ("held", "train", "expected"), [(100, 300, 400), (100, 3000, 2000), (1999, 50, 2000), (2500, 50, 2000)]
)
def test_information_is_told_over_the_validation_part_filled_up_with_training_examples(
    held: int, train: int, expected: int
) -> None:
    parts = task(examples(train, 1), examples(held, 2))
    model = Counting(parts.model)
    _, limit = information(replace(parts, model=model), WIDE.params, 0)
    (seen,) = model.encoded
    assert limit == pytest.approx(math.log(expected))
    taken = min(held, MIXTURE_EXAMPLES)
    assert torch.equal(seen[0], torch.cat([examples(held, 2)[:taken], examples(train, 1)[: expected - taken]]))


def test_examples_that_training_binarises_anew_are_binarised_here_too() -> None:
    parts: Task = random_task(rows=200, dtype=torch.float64, dynamic=True, model="linear", latent_dim=2)
    model = Counting(parts.model)
    start = parts.model.layout.initial(torch.Generator().manual_seed(0), torch.float64)[None]
    twice = [information(replace(parts, model=model), parts.model.layout.views(start), seed) for seed in (0, 0, 1)]
    assert all(set(seen.unique().tolist()) == {0.0, 1.0} for seen in model.encoded)
    assert twice[0] == twice[1] != twice[2]


# --- the constant decoder --------------------------------------------------------------------------------------------


def test_the_trivial_loss_is_fitted_on_the_training_examples_and_judged_on_these() -> None:
    train, judged = torch.zeros(4, DATA_DIM, dtype=torch.float64), torch.ones(3, DATA_DIM, dtype=torch.float64)
    constant = math.log(SCALE) + 0.5 * math.log(2 * math.pi)
    found = Evaluator(task(train, judged), judged, 0).trivial
    assert found == pytest.approx(DATA_DIM * (1 / (2 * SCALE**2) + constant))


# --- pictures --------------------------------------------------------------------------------------------------------


def test_reconstructions_are_what_posterior_means_decode_to() -> None:
    shown = pictures(task(X, X), WIDE.params, X[:7], seed=0)
    mu = X[:7] @ WIDE.encoder + WIDE.shift
    torch.testing.assert_close(shown.originals, X[:7])
    torch.testing.assert_close(shown.reconstructions, mu @ WIDE.weight + WIDE.bias)


def test_samples_are_what_codes_of_the_prior_decode_to() -> None:
    shown = pictures(task(X, X), WIDE.params, X[:7], seed=0, samples=20_000)
    assert shown.samples.shape == (20_000, DATA_DIM)
    torch.testing.assert_close(shown.samples.mean(0), WIDE.bias, rtol=0, atol=0.05)
    torch.testing.assert_close(torch.cov(shown.samples.T), WIDE.weight.T @ WIDE.weight, rtol=0, atol=0.05)
    assert len(pictures(task(X, X), WIDE.params, X[:7], seed=0).samples) == 64
