"""The terms of the ELBO, and the free bits' gate."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from tests.tasks import random_task
from vaestudy.objectives import FreeBits, FreeBitsTable, gaussian_rate, reparameterise
from vaestudy.population import Task

LIKE = torch.zeros((), dtype=torch.float64)


def rates(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def paid(free: FreeBits, rate: torch.Tensor) -> torch.Tensor:
    return FreeBitsTable([free] * len(rate), rate.shape[-1], LIKE).rate(rate)


def test_the_kl_in_closed_form_agrees_with_monte_carlo() -> None:
    torch.manual_seed(0)
    mu, logvar = torch.tensor([0.7, -1.2]), torch.tensor([-0.5, 0.4])
    q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)
    z = q.sample(torch.Size([400_000]))
    estimate = q.log_prob(z) - p.log_prob(z)
    error = 4 * estimate.std(0) / estimate.shape[0] ** 0.5
    assert (gaussian_rate(mu, logvar) - estimate.mean(0)).abs().lt(error).all()


@given(mu=st.floats(-5, 5), logvar=st.floats(-8, 8))
def test_the_kl_agrees_with_torch_and_is_never_negative(mu: float, logvar: float) -> None:
    m, v = torch.tensor(mu, dtype=torch.float64), torch.tensor(logvar, dtype=torch.float64)
    exact = kl_divergence(Normal(m, torch.exp(0.5 * v)), Normal(LIKE, LIKE + 1))
    found = gaussian_rate(m, v)
    assert float(found) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)
    assert found >= -1e-15


def test_the_kl_is_zero_at_the_prior() -> None:
    assert gaussian_rate(torch.zeros(3), torch.zeros(3)).eq(0).all()


def test_reparameterised_samples_have_the_posteriors_moments() -> None:
    eps = torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = reparameterise(torch.full_like(eps, 1.5), torch.full_like(eps, -1.0), eps)
    assert float(z.mean()) == pytest.approx(1.5, abs=0.01)
    assert float(z.var()) == pytest.approx(float(torch.exp(torch.tensor(-1.0))), rel=0.02)


@pytest.mark.parametrize("model", ["mlp", "linear"])
def test_the_gradient_of_the_training_loss_agrees_with_finite_differences(model: str) -> None:
    arguments = {"hidden": (4,), "latent_dim": 2, "activation": "tanh"} if model == "mlp" else {"latent_dim": 2}
    task: Task = random_task(rows=16, pixels=6, dtype=torch.float64, dynamic=False, model=model, **arguments)
    layout = task.model.layout
    start = layout.initial(torch.Generator().manual_seed(0), torch.float64)[None].requires_grad_()
    x = task.examples.train[None, :5]
    eps = torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    free = FreeBitsTable([FreeBits(nats=0.01)], 2, LIKE)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        params = layout.views(flat)
        mu, logvar = task.model.encode(params, x)
        output = task.model.decode(params, reparameterise(mu, logvar, eps))
        return task.likelihood.distortion(output, x).mean(-1) + 0.7 * free.rate(gaussian_rate(mu, logvar))

    assert torch.autograd.gradcheck(loss, (start,))


@pytest.mark.parametrize("per", ["dimension", "group", "total"])
@pytest.mark.parametrize("average", ["batch", "example"])
def test_without_free_bits_the_rate_is_paid_in_full(per: str, average: str) -> None:
    rate = rates(2, 5, 6)
    torch.testing.assert_close(paid(FreeBits(0.0, per, 3, average), rate), rate.sum(-1).mean(-1))


@pytest.mark.parametrize("average", ["batch", "example"])
@pytest.mark.parametrize(("per", "units"), [("dimension", 6), ("group", 3), ("total", 1)])
def test_the_gradient_is_exactly_zero_below_the_floor_and_the_floor_is_paid(per: str, units: int, average: str) -> None:
    rate = rates(1, 5, 6).mul(0.01).requires_grad_()
    found = paid(FreeBits(2.0, per, 3, average), rate)
    assert found.detach().item() == pytest.approx(2.0 * units)
    assert torch.autograd.grad(found.sum(), rate)[0].eq(0).all()


@pytest.mark.parametrize("average", ["batch", "example"])
@pytest.mark.parametrize("per", ["dimension", "group", "total"])
def test_above_the_floor_the_gradient_is_that_of_the_plain_rate(per: str, average: str) -> None:
    rate = rates(1, 5, 6).add(1.0).requires_grad_()
    found = torch.autograd.grad(paid(FreeBits(0.5, per, 3, average), rate).sum(), rate)[0]
    torch.testing.assert_close(found, torch.full_like(rate, 1 / 5))


def test_only_the_dimensions_above_the_floor_are_pushed_down() -> None:
    rate = (
        torch.tensor(
            [
                [[0.1, 0.9]],
            ],
            dtype=torch.float64,
        )
        .expand(1, 4, 2)
        .clone()
        .requires_grad_()
    )
    found = torch.autograd.grad(paid(FreeBits(0.5), rate).sum(), rate)[0]
    assert found[..., 0].eq(0).all()
    assert found[..., 1].gt(0).all()


def test_the_batch_mean_is_floored_as_a_whole_and_each_example_on_its_own() -> None:
    rate = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    assert float(paid(FreeBits(0.5, average="batch"), rate)) == pytest.approx(0.5)
    assert float(paid(FreeBits(0.5, average="example"), rate)) == pytest.approx(0.75)


@settings(max_examples=50)
@given(nats=st.floats(0, 3), per=st.sampled_from(["dimension", "group", "total"]), groups=st.integers(1, 9))
def test_free_bits_never_lower_what_is_paid_and_examples_pay_at_least_the_batch(
    nats: float, per: str, groups: int
) -> None:
    rate = rates(1, 7, 6, seed=3)
    batch, example = (float(paid(FreeBits(nats, per, groups, average), rate)) for average in ("batch", "example"))
    assert example >= batch - 1e-12
    assert batch >= float(rate.sum(-1).mean(-1)) - 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_a_member_without_free_bits_pays_the_same_to_the_bit_beside_one_with_them(seed: int) -> None:
    rate = (rates(2, 67, 10, seed=seed) - 0.1).float().requires_grad_()  # rounding leaves collapsed rates below 0
    alone = FreeBitsTable([FreeBits()], 10, rate).rate(rate[:1])
    beside = FreeBitsTable([FreeBits(), FreeBits(0.5)], 10, rate).rate(rate)
    assert torch.equal(alone[0], beside[0])
    gradients = [torch.autograd.grad(paid[0], rate)[0][0] for paid in (alone, beside)]
    assert torch.equal(*gradients)


def test_members_of_one_table_keep_their_own_free_bits() -> None:
    members = [FreeBits(), FreeBits(0.8), FreeBits(2.0, "total"), FreeBits(0.7, "group", 2, "example")]
    rate = rates(4, 5, 6)
    together = FreeBitsTable(members, 6, LIKE).rate(rate)
    for k, member in enumerate(members):
        torch.testing.assert_close(together[k : k + 1], paid(member, rate[k : k + 1]), rtol=0, atol=1e-15)


def test_the_elbo_is_below_the_exact_log_likelihood() -> None:
    """For one example of a tiny Bernoulli model, integrated on a grid."""
    torch.manual_seed(0)
    weight, x = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    grid = torch.linspace(-8, 8, 20_001)
    joint = Independent(torch.distributions.Bernoulli(logits=grid[:, None] * weight), 1).log_prob(x) + Normal(
        0.0, 1.0
    ).log_prob(grid)
    exact = torch.logsumexp(joint, 0) + torch.log(grid[1] - grid[0])
    mu, logvar = torch.tensor([0.6]), torch.tensor([-0.4])
    z = reparameterise(mu, logvar, torch.randn(100_000, 1))
    elbo = (
        Independent(torch.distributions.Bernoulli(logits=z * weight), 1).log_prob(x).mean()
        - gaussian_rate(mu, logvar).sum()
    )
    assert elbo < exact


@pytest.mark.parametrize("nats", [0.5, 1.0, 2.0])
def test_a_floor_above_every_rate_is_what_is_paid_by_each_unit(nats: float) -> None:
    rate = 0.1 * rates(1, 5, 4)
    assert float(paid(FreeBits(nats), rate)) == pytest.approx(4 * nats)
    assert float(paid(FreeBits(nats, "group", 2, "example"), rate)) == pytest.approx(2 * nats)
    assert float(paid(FreeBits(nats, "total"), rate)) == pytest.approx(nats)


def test_free_bits_are_off_and_in_one_group_unless_told_otherwise() -> None:
    rate = rates(1, 5, 4)
    assert float(paid(FreeBits(), rate)) == pytest.approx(float(rate.sum(-1).mean()))
    assert float(paid(FreeBits(9.0, per="group"), rate)) == 9.0


@pytest.mark.parametrize("average", ["batch", "example"])
def test_a_unit_exactly_at_its_floor_gains_nothing_by_a_lower_rate(average: str) -> None:
    rate = torch.tensor([[[0.5, 0.75], [0.5, 0.75]]], dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(paid(FreeBits(0.5, average=average), rate).sum(), rate)[0]
    assert gradient.tolist() == [[[0.0, 0.5], [0.0, 0.5]]]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(1, [0, 0, 0, 0, 0]), (2, [0, 0, 0, 1, 1]), (3, [0, 0, 1, 1, 2]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])],
)
def test_groups_are_neighbours_of_nearly_equal_size_and_at_most_one_a_dimension(
    groups: int, expected: list[int]
) -> None:
    floor, rate = 10.0, torch.zeros(1, 1, 5, dtype=torch.float64, requires_grad=True)
    raised = [
        torch.autograd.grad(paid(FreeBits(floor, "group", groups), at(j, rate)).sum(), rate)[0][0, 0] for j in range(5)
    ]
    assert [[k for k in range(5) if raised[j][k] != 0] for j in range(5)] == [
        [k for k in range(5) if expected[k] == expected[j]] for j in range(5)
    ]


def at(j: int, rate: torch.Tensor) -> torch.Tensor:
    """Rates of which dimension j alone is above any floor, so that its group pays and no other does."""
    return rate + 20.0 * torch.nn.functional.one_hot(torch.tensor(j), 5)


def test_a_code_is_the_mean_plus_sigma_times_the_noise() -> None:
    mu, logvar, eps = (torch.tensor(v, dtype=torch.float64) for v in (0.3, 2 * 0.6931471805599453, -1.5))
    assert float(reparameterise(mu, logvar, eps)) == pytest.approx(0.3 - 2 * 1.5)
