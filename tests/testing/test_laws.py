"""Each law finds the fault that it is there to find, and says who broke it, and what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.testing import faulty
from vaestudy.distributions import Bernoulli, likelihoods
from vaestudy.hyperparameters import Count, Domain, Hyperparameter, Positive, schema
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Rule
from vaestudy.registry import Registry
from vaestudy.schedules import schedules
from vaestudy.testing import BrokenLawError, Law, held, model_laws, optimizer_laws, registered
from vaestudy.testing import likelihoods as of_likelihoods
from vaestudy.testing import models as of_models
from vaestudy.testing import optimizers as of_optimizers
from vaestudy.testing import schedules as of_schedules
from vaestudy.testing.components import LAWS, Component
from vaestudy.testing.laws import required_arguments

Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers a component as ``faulty`` for one test."""

    def add(registry: Registry[Any], component: Any, signature: Callable[..., object]) -> None:
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
        registry.add("faulty", component, signature, None)

    return add


def broken(law: Law) -> str:
    with pytest.raises(BrokenLawError) as caught:
        law("faulty")
    assert caught.value.name == "faulty"
    assert str(caught.value).startswith(f"{law.kind} 'faulty' breaks the law '{law.sentence}': ")
    return caught.value.seen


@pytest.mark.parametrize(
    ("law", "fault", "seen"),
    [
        (of_optimizers.shapes_and_types, faulty.OneLossForAll, r"losses came back as torch.float32 of \(\), expected"),
        (of_optimizers.shapes_and_types, faulty.SinglePrecision, "parameters came back as torch.float32 of"),
        (of_optimizers.repeatable, faulty.CountsForEver, "second run differs in 96 of 96 numbers, by up to"),
        (of_optimizers.repeatable, faulty.DrawsItsOwn, "second run differs"),
        (of_optimizers.populations_apart, faulty.OneForAll, "a member beside another population differs"),
        (of_optimizers.alone_as_among_others, faulty.MeanOverRows, "the member among five differs"),
        (of_optimizers.undisturbed_by_nan, faulty.StopsAtNaN, "the neighbour of a member at NaN differs"),
        (of_optimizers.saved_and_loaded, faulty.ForgetsWhenSaved, "a run that was saved and loaded differs"),
        (of_optimizers.row_dropped, faulty.KeepsTheWrongRows, "a member that stayed differs"),
        (of_optimizers.rows_are_copies, faulty.HandsOutItsOwnRows, "a run from the row that was taken differs"),
        (of_optimizers.rates_per_part, faulty.FasterPerPart, "with the rate written out per column differs"),
        (of_optimizers.frozen_parts, faulty.MovesWhatIsFrozen, "a frozen part after four steps differs"),
        (of_optimizers.descends, faulty.Ascends, r"from \d+\.?\d* it came to \d+"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_law_finds_the_optimizer_that_breaks_it(law: Law, fault: type, seen: str, register: Register) -> None:
    register(optimizers, lambda layout: fault(), faulty.sound)
    assert re.search(seen, broken(law))


@pytest.mark.parametrize("update", [faulty.over_rows, faulty.over_columns])
def test_a_rule_that_looks_beyond_an_entry_is_found_though_a_cpu_takes_rows_one_by_one(
    update: Callable[..., Any], register: Register
) -> None:
    register(optimizers, lambda layout: Rule(update, ("m",), schema(update)), update)
    of_optimizers.alone_as_among_others("faulty")
    assert "an entry of the whole matrix against one of a block differs by up to" in broken(of_optimizers.elementwise)


def test_a_kernel_that_is_not_its_equations_is_found(register: Register) -> None:
    register(optimizers, lambda layout: Rule(faulty.along, (), schema(faulty.along), faulty.half_as_far), faulty.along)
    assert "a member after five steps of the kernel differs by up to" in broken(of_optimizers.kernel_as_equations)


@pytest.mark.parametrize("law", optimizer_laws, ids=str)
def test_a_sound_optimizer_that_implements_the_protocol_keeps_every_law(law: Law, register: Register) -> None:
    register(optimizers, lambda layout: faulty.Momentum(), faulty.sound)
    law("faulty")


@pytest.mark.parametrize(
    ("signature", "seen"),
    [
        (faulty.without_rate, "it has beta, no lr"),
        (faulty.with_illegal_default, "the default of lr is illegal: expected a number > 0, got -1.0"),
        (faulty.undescribed, "its docstring is empty"),
    ],
)
def test_a_signature_without_rate_docstring_or_legal_default_is_found(
    signature: Callable[..., object], seen: str, register: Register
) -> None:
    register(optimizers, lambda layout: faulty.Momentum(), signature)
    assert broken(of_optimizers.described_by_its_signature) == seen


def test_an_error_that_a_component_raises_breaks_the_law_and_is_quoted(register: Register) -> None:
    def refuses(layout: object) -> None:
        raise TypeError("no layout\nwanted")

    register(optimizers, refuses, faulty.sound)
    assert broken(of_optimizers.repeatable) == "it raised TypeError: no layout"


@pytest.mark.parametrize(
    ("law", "component", "seen"),
    [
        (of_models.shapes, faulty.model_with("one latent too many"), "mu has shape (3, 7, 3), expected (3, 7, 2)"),
        (of_models.alone_as_among_others, faulty.model_with("the mean over members"), "the member among three differs"),
        (
            of_models.gradient_alone_as_among_others,
            faulty.model_with("gradients of neighbours"),
            "the gradient among three differs",
        ),
        (of_models.gradients, faulty.model_with("a detached part"), "it raised GradcheckError: Jacobian mismatch"),
        (of_models.layout, faulty.model_with("half of the encoder among the decoder"), "the decoder 0 to"),
        (
            of_models.shapes,
            faulty.model_with("one pixel too few"),
            "the output has shape (3, 7, 11), expected (3, 7, 12)",
        ),
    ],
)
def test_a_law_finds_the_model_that_breaks_it(law: Law, component: Any, seen: str, register: Register) -> None:
    register(models, component, faulty.squares_only)
    assert seen in broken(law)


@pytest.mark.parametrize("law", model_laws, ids=str)
def test_a_model_of_square_images_keeps_every_law(law: Law, register: Register) -> None:
    register(models, faulty.squares_only, faulty.squares_only)
    law("faulty")


def test_a_model_that_takes_no_size_says_why(register: Register) -> None:
    def never(data_dim: int) -> None:
        """A model of nothing."""
        raise ValueError("too many")

    register(models, never, never)
    assert "it takes none of these data dimensions: 12: too many; 16: too many" in broken(of_models.shapes)


@pytest.mark.parametrize(
    ("law", "component", "seen"),
    [
        (of_likelihoods.shapes, faulty.MeanOverDimensions, "the distortion has shape (3,), expected (3, 40)"),
        (of_likelihoods.alone_as_among_others, faulty.OverMembers, "the distortion among three differs"),
        (of_likelihoods.gradients, faulty.Detached, "it raised GradcheckError: Jacobian mismatch"),
        (of_likelihoods.binary_probabilities, faulty.Doubled, "the sum of all probabilities is 0."),
        (of_likelihoods.binary_probabilities, faulty.WrongMean, "the mean differs by up to"),
        (of_likelihoods.trivial, partial(faulty.TrivialTooHigh, 1.0), "but a constant decoder reaches"),
    ],
)
def test_a_law_finds_the_likelihood_that_breaks_it(law: Law, component: Any, seen: str, register: Register) -> None:
    register(likelihoods, component, Bernoulli)
    assert seen in broken(law)


@pytest.mark.parametrize(
    ("law", "component", "seen"),
    [
        (of_schedules.bounded, faulty.overshoots, "weights are not in [0, 1], e.g. [1.0"),
        (of_schedules.ends_at_one, faulty.stops_short, "its last weight is 0.999, not 1"),
        (of_schedules.pointwise, faulty.of_its_neighbours, "a weight beside others differs by up to"),
        (of_schedules.pointwise, faulty.in_single_precision, "gives weights of torch.float32 of (16, 16)"),
    ],
)
def test_a_law_finds_the_schedule_that_breaks_it(law: Law, component: Any, seen: str, register: Register) -> None:
    register(schedules, component, component)
    assert seen in broken(law)


@pytest.mark.parametrize(
    ("registry", "law"),
    [
        (schedules, of_schedules.described_by_its_signature),
        (models, of_models.described_by_its_signature),
        (likelihoods, of_likelihoods.described_by_its_signature),
    ],
)
def test_every_kind_is_described(registry: Registry[Any], law: Law, register: Register) -> None:
    register(registry, lambda *given: None, faulty.with_illegal_default)
    assert "the default of lr is illegal" in broken(law)


def test_every_law_of_a_kind_is_tried_and_counted() -> None:
    for kind, name in (("schedule", "linear"), ("likelihood", "gaussian"), ("model", "linear"), ("optimizer", "sgd")):
        assert held(Component(kind, name)) == len(LAWS[kind])


def test_the_first_law_that_breaks_ends_the_trial(register: Register) -> None:
    register(optimizers, lambda layout: faulty.CountsForEver(), faulty.without_rate)
    with pytest.raises(BrokenLawError, match="it has beta, no lr"):
        held(Component("optimizer", "faulty"))


def test_what_is_registered_since_is_the_new_alone(register: Register) -> None:
    known = registered()
    register(schedules, faulty.stops_short, faulty.stops_short)
    assert registered(known) == [Component("schedule", "faulty")]
    assert {component.kind for component in known} == set(LAWS)


def test_hyperparameters_without_default_get_a_legal_value() -> None:
    def component(*, rate: Positive, many: Count, hidden: tuple[Count, ...], kept: Positive = 3.0) -> None:
        pass

    found = schema(component)
    assert required_arguments(found) == {"rate": 1.0, "many": 1, "hidden": (1,)}
    word = Hyperparameter("word", str, Domain("one of a, b", choices=("a", "b")), None, required=True)
    assert required_arguments({"word": word}) == {"word": "a"}
