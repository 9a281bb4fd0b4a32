"""Layer 0: seeding, parameters, hyperparameters, registry."""

from __future__ import annotations

from typing import Annotated

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.errors import UsageError
from vaestudy.hyperparameters import Count, Decay, NonNegative, Positive, choice, schema
from vaestudy.params import Layout, Parameter
from vaestudy.registry import Registry, Source, import_plugin
from vaestudy.seeding import Noise, Stream, mix, permutation, uid

CPU = torch.device("cpu")


def example(
    *,
    lr: Positive = 0.1,
    beta: Decay = 0.9,
    decay: NonNegative = 0.0,
    sizes: tuple[Count, ...] = (4,),
    kind: Annotated[str, choice("a", "b")] = "a",
    flag: bool = False,
    ess: Positive,
) -> None:
    """An example."""


@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**9), others=st.lists(st.integers(0, 99), max_size=3))
def test_a_members_noise_depends_on_its_seed_and_step_only(seed: int, step: int, others: list[int]) -> None:
    alone = Noise([seed], CPU).normal(Stream.LATENT, [step], 5, dtype=torch.float32)[0]
    among = Noise([*others, seed], CPU).normal(Stream.LATENT, [*range(len(others)), step], 5, dtype=torch.float32)[-1]
    assert torch.equal(alone, among)


def test_streams_and_steps_differ() -> None:
    noise = Noise([1], CPU)
    draws = [noise.normal(stream, [step], 8, dtype=torch.float32) for stream in Stream for step in (0, 1)]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)


def test_draws_have_the_right_distribution() -> None:
    normal = Noise([3], CPU).normal(Stream.WEIGHTS, [0], 200_000, dtype=torch.float32)
    uniform = Noise([3], CPU).uniform(Stream.BINARIZE, [0], 200_000, dtype=torch.float32)
    assert float(normal.mean()) == pytest.approx(0, abs=0.01)
    assert float(normal.std()) == pytest.approx(1, abs=0.01)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


def test_consecutive_steps_are_uncorrelated() -> None:
    noise = Noise([5], CPU)
    first = torch.cat([noise.normal(Stream.LATENT, [s], 1, 64, dtype=torch.float32) for s in range(500)]).flatten()
    lagged = torch.corrcoef(torch.stack([first[:-64], first[64:]]))[0, 1]
    assert abs(float(lagged)) < 0.025


@given(size=st.integers(1, 50), epoch=st.integers(0, 5))
def test_an_epochs_order_visits_every_example_once(size: int, epoch: int) -> None:
    assert sorted(permutation(1, epoch, size).tolist()) == list(range(size))


def test_identities_are_fixed_and_distinct() -> None:
    assert uid("h", "w/m", 3, 1) == uid("h", "w/m", 3, 1)
    assert len({uid("h", "w/m", trial, seed) for trial in range(40) for seed in range(5)}) == 200
    assert mix(1, "a") != mix("1a")


@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6), rows=st.integers(1, 3))
def test_packing_and_viewing_are_inverse(sizes: list[int], rows: int) -> None:
    parameters = [Parameter(f"{('encoder', 'decoder')[i % 2]}.{i}", (size,)) for i, size in enumerate(sizes)]
    layout = Layout(parameters)
    flat = torch.randn(rows, layout.width)
    packed = layout.pack(list(layout.views(flat).values()))
    for name, view in layout.views(flat).items():
        assert torch.equal(layout.views(packed)[name], view)
    assert layout.count == sum(sizes)


def test_initial_parameters_lie_within_their_bounds() -> None:
    layout = Layout([Parameter("encoder.w", (100,), bound=0.2), Parameter("decoder.b", (3,), value=(1.0, 2.0, 3.0))])
    row = layout.initial(torch.Generator().manual_seed(0), torch.float32)
    views = layout.views(row[None])
    assert views["encoder.w"].abs().max() <= 0.2
    assert views["decoder.b"][0].tolist() == [1.0, 2.0, 3.0]


def test_the_signature_is_the_schema() -> None:
    found = schema(example)
    assert list(found) == ["lr", "beta", "decay", "sizes", "kind", "flag", "ess"]
    assert found["ess"].required
    assert found["sizes"].many
    assert found["beta"].domain.scale == "one_minus_log"


@pytest.mark.parametrize(
    ("name", "value", "law"),
    [
        ("lr", 0, "a number > 0, got 0"),
        ("lr", -1.0, "a number > 0"),
        ("lr", float("nan"), "a number > 0"),
        ("lr", float("inf"), "a number > 0"),
        ("lr", "fast", "got 'fast'"),
        ("lr", True, "got a boolean"),
        ("beta", 1.0, r"\[0, 1\)"),
        ("sizes", [], "non-empty list"),
        ("sizes", [4, 0], "whole number >= 1"),
        ("sizes", [2.5], "whole number"),
        ("kind", "c", "one of a, b"),
        ("flag", 1, "true or false"),
    ],
)
def test_an_illegal_value_is_told_the_law_it_breaks(name: str, value: object, law: str) -> None:
    problem = schema(example)[name].problem(value)
    assert problem is not None
    assert __import__("re").search(law, problem), problem


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 1), ("lr", 1e-9), ("beta", 0), ("decay", 0.0), ("sizes", (4, 2)), ("flag", True), ("kind", "b")],
)
def test_a_legal_value_has_no_problem(name: str, value: object) -> None:
    assert schema(example)[name].problem(value) is None


def test_a_hyperparameter_without_a_domain_is_a_mistake_of_its_author() -> None:
    def careless(*, lr: float = 1.0) -> None: ...

    with pytest.raises(TypeError, match="lr: annotate it with a domain"):
        schema(careless)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None)
    with pytest.raises(UsageError, match=r"unknown optimizer 'adamz' - did you mean 'adam'\? \(one of: adam\)"):
        registry.find("adamz")


def test_two_components_cannot_share_a_name() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None)
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("adam", object(), example, None)


def test_a_source_is_cited_as_bibtex() -> None:
    text = Source("k2015", "A and B", "Title", 2015, "arXiv:1412.6980").bibtex()
    assert text.startswith("@misc{k2015,")
    assert "eprint = {1412.6980}" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", ["os:system", "../x", "a b", ""])
def test_a_plugin_is_a_module_name_and_nothing_else(name: str) -> None:
    with pytest.raises(UsageError, match="module name"):
        import_plugin(name)
