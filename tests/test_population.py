"""The laws of training together: alone equals among, neighbours never meet, rows survive saving."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.tasks import populate, random_task, settings
from vaestudy.errors import CheckpointError
from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Row
from vaestudy.population import Member, Population, _moved, _Stretch
from vaestudy.seeding import Noise, Seeds, Stream
from vaestudy.timeline import Timeline

NATIVE = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "ivon"]


def row(population: Population, k: int) -> torch.Tensor:
    return population.save(k)["params"]


@pytest.mark.parametrize("optimizer", NATIVE)
def test_a_member_alone_equals_the_same_member_among_others(optimizer: str) -> None:
    task = random_task()
    chosen = settings(optimizer, train={"free_bits": {"nats": 0.1}})
    alone = populate(task, [(7, chosen)])
    among = populate(task, [(1, settings(optimizer, lr=0.05)), (7, chosen), (2, settings(optimizer))])
    losses = alone.train(15)
    assert torch.equal(losses[0], among.train(15)[1])
    assert torch.equal(row(alone, 0), row(among, 1))


@pytest.mark.parametrize("optimizer", NATIVE)
def test_a_member_at_nan_leaves_its_neighbours_bitwise_unchanged(optimizer: str) -> None:
    task = random_task()
    calm = [(1, settings(optimizer)), (2, settings(optimizer))]
    wild = (3, settings(optimizer, lr=1e30))
    undisturbed, disturbed = populate(task, calm), populate(task, [calm[0], wild, calm[1]])
    undisturbed.train(12)
    losses = disturbed.train(12)
    assert not torch.isfinite(losses[1]).all()
    assert torch.equal(row(undisturbed, 0), row(disturbed, 0))
    assert torch.equal(row(undisturbed, 1), row(disturbed, 2))


def test_divergence_is_dated_to_the_update_whose_loss_was_not_finite() -> None:
    population = populate(random_task(), [(3, settings("sgd", lr=1e30)), (4, settings("sgd"))])
    losses = population.train(12)
    first = int(torch.isfinite(losses[0]).logical_not().nonzero()[0]) + 1
    assert population.members[0].diverged_at == first
    assert population.members[1].diverged_at is None


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "ivon"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda row: row | {"params": row["params"][:-1]},
            r"params is torch.float32 of \(\d+,\), expected torch.float32",
        ),
        (lambda row: row | {"params": row["params"].double()}, "params is torch.float64 of"),
        (lambda row: row | {"params": 3}, "params is int, expected torch.float32 of"),
        (lambda row: {key: value for key, value in row.items() if key != "steps"}, "steps is missing"),
        (lambda row: row | {"optimizer": {}}, r"optimizer\.\w+ is missing"),
        (lambda row: row | {"optimizer": [1]}, "optimizer: a mapping was expected"),
    ],
)
def test_a_row_of_another_model_or_optimizer_is_refused_by_its_first_key(
    optimizer: str, change: Callable[[Row], Row], says: str
) -> None:
    population = populate(random_task(), [(5, settings(optimizer))])
    member = Member(population.members[0].seeds, population.members[0].settings, population.members[0].timeline)
    with pytest.raises(CheckpointError, match=f"of another model or optimizer: {says}"):
        population.add(member, change(population.save(0)))
    assert len(population.members) == 1


@pytest.mark.parametrize("optimizer", NATIVE)
def test_a_saved_row_goes_on_bit_for_bit_in_mid_epoch(optimizer: str) -> None:
    task = random_task()
    chosen = settings(optimizer)
    straight, broken = populate(task, [(5, chosen)]), populate(task, [(5, chosen)])
    straight.train(20)
    broken.train(8)
    buffer = io.BytesIO()
    torch.save(broken.save(0), buffer)
    buffer.seek(0)
    resumed = populate(task, [(9, settings(optimizer)), (5, chosen)])
    resumed.train(3)
    member = resumed.members[1]
    resumed.remove(1)
    resumed.add(member, torch.load(buffer, weights_only=True))
    resumed.train(12)
    assert torch.equal(row(straight, 0), row(resumed, 1))


def test_removing_a_member_leaves_the_others_where_they_were() -> None:
    task = random_task()
    members = [(k, settings("adam")) for k in range(3)]
    whole, thinned = populate(task, members), populate(task, members)
    whole.train(10)
    thinned.train(4)
    thinned.remove(1)
    thinned.train(6)
    assert torch.equal(row(whole, 0), row(thinned, 0))
    assert torch.equal(row(whole, 2), row(thinned, 1))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    task = random_task()
    first, second, other = (populate(task, [(seed, settings())]).train(10) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("optimizer", ["adam", "momentum", "ivon", "torch.NAdam"])
def test_a_frozen_part_does_not_move_and_the_other_does(part: str, optimizer: str) -> None:
    task = random_task()
    chosen = settings(optimizer, train={"stages": [{"name": "hold", "freeze": part}]})
    population = populate(task, [(1, chosen)])
    before = row(population, 0)
    population.train(9)
    after = row(population, 0)
    layout = task.model.layout
    other = "decoder" if part == "encoder" else "encoder"
    assert torch.equal(before[layout.columns(part)], after[layout.columns(part)])
    assert not torch.equal(before[layout.columns(other)], after[layout.columns(other)])


def test_a_stage_freezes_only_its_own_share_of_training() -> None:
    task = random_task()
    stages = [{"name": "first", "share": 0.5, "freeze": "decoder"}, {"name": "second"}]
    population = populate(task, [(1, settings(epochs=4, train={"stages": stages}))])
    columns = task.model.layout.columns("decoder")
    start = row(population, 0)[columns]
    population.train(12)
    assert torch.equal(start, row(population, 0)[columns])
    population.train(1)
    assert not torch.equal(start, row(population, 0)[columns])


HOLDS = {"stages": [{"name": "hold", "share": 0.5, "freeze": "encoder"}, {"name": "both"}]}


class Recorder:
    """An optimizer that remembers the gradients it was given and what was frozen."""

    def __init__(self, inner: Any):
        self.inner, self.grads, self.frozen = inner, list[torch.Tensor](), list[Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, grad_fn: Any, params: torch.Tensor, state: Any, hparams: Any, noise: Any, frozen: Any) -> Any:
        def recorded(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            grads, loss = grad_fn(at)
            self.grads.append(grads.clone())
            self.frozen.append(frozen)
            return grads, loss

        return self.inner.step(recorded, params, state, hparams, noise, frozen)


def test_a_stage_that_freezes_trains_as_torchs_adamw_does_on_parameters_without_gradients() -> None:
    task = random_task(dtype=torch.float64)
    chosen = settings("adamw", lr=0.01, weight_decay=0.1, train={**HOLDS, "clip_norm": 1.0, "ema": 0.5})
    recorder = Recorder(optimizers.find("adamw").component(task.model.layout))
    population = Population(task, recorder, torch.float64)
    population.add(Member(Seeds.same(1), chosen, Timeline(chosen, 24)))
    parts = [task.model.layout.columns(part) for part in ("encoder", "decoder")]
    parameters = [torch.nn.Parameter(row(population, 0)[part].clone()) for part in parts]
    reference = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)
    population.train(24)
    for grads, frozen in zip(recorder.grads, recorder.frozen, strict=True):
        for parameter, part, name in zip(parameters, parts, ("encoder", "decoder"), strict=True):
            parameter.grad = None if frozen == [name] else grads[0, part]
        reference.step()
    assert recorder.frozen == [["encoder"]] * 12 + [None] * 12
    torch.testing.assert_close(row(population, 0), torch.cat([p.detach() for p in parameters]), rtol=0, atol=1e-13)


def test_the_gradients_norm_is_clipped_over_what_trains() -> None:
    task = random_task(dtype=torch.float64)
    chosen = settings("sgd", lr=1.0, train={"stages": [{"name": "hold", "freeze": "encoder"}], "clip_norm": 0.01})
    population = populate(task, [(1, chosen)], torch.float64)
    start = row(population, 0)
    population.train(1)
    moved = (row(population, 0) - start)[task.model.layout.columns("decoder")]
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-12)


@pytest.mark.parametrize("optimizer", [*NATIVE, "torch.NAdam"])
def test_a_member_with_a_frozen_stage_goes_on_bit_for_bit_alone_among_others_and_from_any_of_its_updates(
    optimizer: str,
) -> None:
    task = random_task()
    chosen = settings(optimizer, train=HOLDS)
    other = settings(
        optimizer, lr=0.01, train={"stages": [{"name": "a", "share": 0.3}, {"name": "b", "freeze": "decoder"}]}
    )
    straight = populate(task, [(5, chosen)])
    losses = straight.train(24)
    for stop in (5, 12, 17):
        broken = populate(task, [(5, chosen)])
        broken.train(stop)
        resumed = populate(task, [(9, other)])
        resumed.train(3)
        resumed.add(Member(Seeds.same(5), chosen, Timeline(chosen, 24)), broken.save(0))
        assert torch.equal(resumed.train(24 - stop)[1], losses[0, stop:])
        assert torch.equal(row(straight, 0), row(resumed, 1))


def test_a_slower_decoder_moves_by_its_ratio_under_sgd() -> None:
    task = random_task()
    plain = populate(task, [(1, settings("sgd"))])
    slow = populate(task, [(1, settings("sgd", train={"decoder_lr_ratio": 0.25}))])
    start = row(plain, 0)
    plain.train(1)
    slow.train(1)
    decoder, encoder = task.model.layout.columns("decoder"), task.model.layout.columns("encoder")
    torch.testing.assert_close(
        (row(slow, 0) - start)[decoder], 0.25 * (row(plain, 0) - start)[decoder], rtol=1e-4, atol=1e-7
    )
    assert torch.equal(row(slow, 0)[encoder], row(plain, 0)[encoder])


def test_clipping_bounds_the_step_of_sgd() -> None:
    task = random_task()
    population = populate(task, [(1, settings("sgd", lr=1.0, train={"clip_norm": 0.01}))])
    start = row(population, 0)
    population.train(1)
    assert float((row(population, 0) - start).norm()) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("size", [1.0, 1e18, 1e30, 3e38])
def test_every_finite_gradient_beyond_the_bound_gets_the_bounds_length_beside_one_without_a_bound(size: float) -> None:
    task = random_task()
    population = populate(task, [(1, settings("sgd")), (2, settings("sgd", train={"clip_norm": 0.5}))])
    grads = torch.full((2, task.model.layout.width), size)
    clipped = _Stretch(task, population.members, 1, grads.dtype)._clipped(grads)
    assert torch.equal(clipped[0], grads[0])
    assert float(clipped[1].double().norm()) == pytest.approx(0.5, rel=1e-4)


def test_a_gradient_within_the_bound_stays_as_it_is() -> None:
    task = random_task()
    population = populate(task, [(1, settings("sgd", train={"clip_norm": 1e6}))])
    grads = torch.randn(1, task.model.layout.width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_Stretch(task, population.members, 1, grads.dtype)._clipped(grads), grads)


def test_members_may_differ_in_every_setting_of_their_training() -> None:
    task = random_task()
    kinds = [
        {"beta": {"schedule": "cyclical", "cycles": 2, "over": 0.5}, "free_bits": {"nats": 0.2, "per": "total"}},
        {
            "schedule": "cosine",
            "warmup": 0.2,
            "free_bits": {"nats": 0.3, "per": "group", "groups": 2, "average": "example"},
        },
        {
            "beta": {"schedule": "linear", "over": 0.5},
            "stages": [{"name": "rec", "share": 0.3, "beta": 0.0}, {"name": "reg"}],
        },
    ]
    chosen = [(k, settings("adam", train=kind)) for k, kind in enumerate(kinds)]
    together = populate(task, chosen).train(18)
    for k, one in enumerate(chosen):
        assert torch.equal(populate(task, [one]).train(18)[0], together[k])


def test_gradient_evaluations_are_counted() -> None:
    population = populate(random_task(), [(1, settings("ivon"))])
    population.train(10)
    assert population.members[0].grad_evals == 10


def test_each_sample_of_ivon_is_a_gradient_evaluation_of_the_member_that_takes_it() -> None:
    chosen = [(k, settings("ivon", mc_samples=count)) for k, count in enumerate((1, 4, 2))]
    task = random_task()
    population = populate(task, chosen)
    losses = population.train(10)
    assert [member.grad_evals for member in population.members] == [10, 40, 20]
    for k, one in enumerate(chosen):
        alone = populate(task, [one])
        assert torch.equal(alone.train(10)[0], losses[k])
        assert torch.equal(row(alone, 0), row(population, k))


def test_the_draws_of_a_step_are_of_noise_of_their_own() -> None:
    one, four = (populate(random_task(), [(1, settings("ivon", mc_samples=count))]) for count in (1, 4))
    assert not torch.equal(one.train(1), four.train(1))


@pytest.mark.parametrize(("varied", "same"), [("init", False), ("order", True), ("noise", True)])
def test_only_the_initialisation_seed_moves_the_start(varied: str, same: bool) -> None:
    one, other = (population_of(Seeds.varying(varied, seed, 1)) for seed in (1, 2))
    assert torch.equal(one.save(0)["params"], other.save(0)["params"]) == same


@pytest.mark.parametrize("varied", ["init", "order", "noise"])
def test_every_seed_moves_the_run_and_equal_seeds_do_not(varied: str) -> None:
    ends = []
    for seed in (2, 2, 3):
        population = population_of(Seeds.varying(varied, seed, 1))
        population.train(6)
        ends.append(population.save(0)["params"])
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_the_averaged_weights_are_judged_and_the_weights_themselves_trained() -> None:
    plain, averaged = (populate(random_task(), [(3, settings("adam", lr=0.01, train={"ema": e}))]) for e in (0.0, 0.9))
    for population in (plain, averaged):
        population.train(1)
    weights = [row(averaged, 0)]
    for _ in range(4):
        averaged.train(1)
        weights.append(row(averaged, 0))
    plain.train(4)
    assert torch.equal(row(plain, 0), row(averaged, 0))
    start = populate(random_task(), [(3, settings("adam", lr=0.01))])
    expected = row(start, 0)
    for t, now in enumerate(weights):
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * now
    judged = averaged.task.model.layout.pack(list(averaged.eval_params().values()))[0]
    assert torch.allclose(judged, expected, atol=1e-6)


def test_averaged_weights_go_on_bit_for_bit_beside_a_member_without_them() -> None:
    task, chosen = random_task(), settings("adam", lr=0.01, train={"ema": 0.9})
    whole = populate(task, [(3, chosen)])
    whole.train(8)
    part = populate(task, [(3, chosen)])
    part.train(3)
    saved = part.save(0)
    among = populate(task, [(1, settings("adam"))])
    among.add(Member(Seeds.same(3), chosen, Timeline(chosen, chosen.train.epochs * task.steps_per_epoch)), saved)
    among.train(5)
    for name, value in whole.eval_params().items():
        assert torch.equal(value[0], among.eval_params()[name][1])
    alone = populate(task, [(1, settings("adam"))])
    alone.train(5)
    for name, value in alone.eval_params().items():
        assert torch.equal(value[0], among.eval_params()[name][0])


@pytest.mark.parametrize("until", [-1.0, 0.0, 1.0])
def test_a_call_whose_time_is_over_makes_one_update_all_the_same(until: float) -> None:
    population = populate(random_task(), [(1, settings("sgd"))])
    assert population.train(10, until - 10.0).shape == (1, 1)
    assert population.members[0].steps == 1


@pytest.mark.parametrize(("until", "made"), [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (8, 9), (99, 15)])
def test_training_ends_before_the_first_update_that_would_begin_at_its_time_or_later(
    until: int, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that strikes at every look; the end of an epoch, after six updates, is a look too."""
    clock = itertools.count()
    monkeypatch.setattr("vaestudy.population.time.monotonic", lambda: next(clock))
    population = populate(random_task(), [(1, settings("sgd"))])
    assert population.task.steps_per_epoch == 6
    assert population.train(15, until).shape == (1, made)
    assert population.members[0].steps == population.members[0].grad_evals == made


def test_no_updates_are_made_where_none_are_wanted() -> None:
    population = populate(random_task(), [(1, settings("sgd")), (2, settings("sgd"))])
    assert population.train(0).shape == (2, 0)
    assert population.members[0].steps == 0


def test_a_member_begins_with_nothing_done() -> None:
    member = populate(random_task(), [(1, settings("sgd"))]).members[0]
    assert (member.steps, member.grad_evals, member.diverged_at) == (0, 0, None)


def test_the_date_of_a_divergence_is_that_of_the_first_loss_that_was_not_finite_however_calls_are_cut() -> None:
    whole = populate(random_task(), [(3, settings("sgd", lr=1e30))])
    whole.train(12)
    cut = populate(random_task(), [(3, settings("sgd", lr=1e30))])
    for _ in range(12):
        cut.train(1)
    assert whole.members[0].diverged_at == cut.members[0].diverged_at
    assert whole.members[0].diverged_at is not None
    assert whole.members[0].diverged_at > 1


def test_the_weights_of_the_others_are_averaged_on_when_a_member_goes() -> None:
    task = random_task()
    members = [(k, settings("adam", lr=0.01, train={"ema": 0.9})) for k in range(3)]
    whole, thinned = populate(task, members), populate(task, members)
    whole.train(9)
    thinned.train(4)
    thinned.remove(0)
    thinned.train(5)
    for name, value in whole.eval_params().items():
        assert torch.equal(value[1:], thinned.eval_params()[name])


def test_no_average_is_kept_where_no_member_wants_one() -> None:
    population = populate(random_task(), [(1, settings("adam"))])
    population.train(2)
    assert population.save(0)["ema"] is None


def test_one_member_is_frozen_and_its_neighbour_is_not() -> None:
    task = random_task()
    held = settings("adam", train={"stages": [{"name": "hold", "freeze": "encoder"}]})
    members = [(1, held), (2, settings("adam"))]
    together = populate(task, members)
    together.train(7)
    for k, member in enumerate(members):
        alone = populate(task, [member])
        alone.train(7)
        assert torch.equal(row(alone, 0), row(together, k))


@pytest.mark.parametrize("train", [{"decoder_lr_ratio": 0.25}, {"clip_norm": 0.3}])
def test_a_setting_of_one_member_is_not_its_neighbours(train: dict[str, float]) -> None:
    task = random_task()
    members = [(1, settings("sgd", train=train)), (2, settings("sgd"))]
    together = populate(task, members)
    together.train(7)
    for k, member in enumerate(members):
        alone = populate(task, [member])
        alone.train(7)
        torch.testing.assert_close(row(together, k), row(alone, 0), rtol=0, atol=0)


def test_draws_of_the_weights_are_the_mean_and_the_posteriors_noise() -> None:
    task = random_task()
    chosen = settings("ivon", hess_init=2.0, weight_decay=0.1, ess=50.0)
    population = populate(task, [(1, chosen), (2, settings("ivon"))])
    population.train(3)
    draws = [task.model.layout.pack(list(drawn.values()))[0] for drawn in population.sampled_params(0, 77, 3)]
    saved = population.save(0)
    width = torch.rsqrt(50.0 * (saved["optimizer"]["h"] + 0.1))
    padding = task.model.layout.pack([torch.ones_like(v) for v in population.eval_params().values()])[0]
    assert len(draws) == 3
    for number, drawn in enumerate(draws):
        eps = Noise([77], torch.device("cpu")).normal(
            Stream.WEIGHTS, [number], task.model.layout.width, dtype=torch.float32
        )
        torch.testing.assert_close(drawn, padding * (saved["params"] + width * eps[0]))


def test_an_optimizer_that_learns_a_point_has_no_draws() -> None:
    assert populate(random_task(), [(1, settings("adam"))]).sampled_params(0, 77, 3) == []


def test_a_row_moves_to_another_device_with_all_its_tensors_and_nothing_else() -> None:
    moved = _moved({"state": {0: {"m": torch.ones(2)}}, "t": 3}, torch.device("meta"))
    assert moved["state"][0]["m"].device.type == "meta"
    assert moved["t"] == 3


def population_of(seeds: Seeds) -> Population:
    task, chosen = random_task(), settings("adam", lr=0.01)
    population = Population(task, optimizers.find("adam").component(task.model.layout))
    population.add(Member(seeds, chosen, Timeline(chosen, 24)))
    return population
