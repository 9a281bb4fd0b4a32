"""The laws of optimizers: members never meet, state is whole in its rows, and nothing is kept or drawn elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

import torch

from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Rule
from vaestudy.testing.laws import Law, described, law, near, require, same
from vaestudy.testing.walks import LAYOUT, Walk, bowl, hyperparameters

KIND = "optimizer"


@law(KIND)
def described_by_its_signature(name: str) -> None:
    """Every hyperparameter has a law and a legal default, and one of them is lr."""
    entry = optimizers.find(name)
    require("lr" in entry.hyperparameters, f"it has {', '.join(entry.hyperparameters) or 'none'}, no lr")
    described(entry)


@law(KIND)
def shapes_and_types(name: str) -> None:
    """Parameters, losses and the point of evaluation come back in the shape and type that went in."""
    for dtype in (torch.float32, torch.float64):
        walk = Walk(name, [1, 2, 3], dtype=dtype).go(2)
        expected = {"parameters": (3, LAYOUT.width), "losses": (3,), "the point of evaluation": (3, LAYOUT.width)}
        evaluated = walk.optimizer.eval_params(walk.params, walk.state)
        for (what, shape), found in zip(expected.items(), (walk.params, walk.losses, evaluated), strict=True):
            form = f"{found.dtype} of {tuple(found.shape)}"
            require(form == f"{dtype} of {shape}", f"{what} came back as {form}, expected {dtype} of {shape}")


@law(KIND)
def repeatable(name: str) -> None:
    """The same members stepped again give the same numbers: it keeps and draws nothing of its own."""
    same(Walk(name, [1, 2]).go(8).row(2), Walk(name, [1, 2]).go(8).row(2), "a member's second run")


@law(KIND)
def populations_apart(name: str) -> None:
    """Two populations stepped in turn do not meet."""
    undisturbed = Walk(name, [1, 2]).go(8)
    one, other = Walk(name, [1, 2]), Walk(name, [3, 4])
    for _ in range(8):
        one.go(1)
        other.go(1)
    same(one.row(1), undisturbed.row(1), "a member beside another population")


@law(KIND)
def elementwise(name: str) -> None:
    """An update rule gives each entry its number by itself, however the matrix is cut into blocks."""
    rule = optimizers.find(name).component(LAYOUT)
    if not isinstance(rule, Rule):
        return
    generator = torch.Generator().manual_seed(0)
    theta, g, *slots = torch.rand(2 + len(rule.slots), 3, LAYOUT.width, generator=generator, dtype=torch.float64)
    t = torch.full((3, 1), 5.0, dtype=torch.float64)
    hparams = hyperparameters(name, 3, {}, torch.float64)
    whole = rule.update(theta, g - 0.5, *slots, t, **hparams)
    for k in range(3):
        for block in (slice(0, 40), slice(40, LAYOUT.width)):
            parts = [tensor[k : k + 1, block] for tensor in (theta, g - 0.5, *slots)]
            alone = rule.update(*parts, t[:1], **{key: value[k : k + 1] for key, value in hparams.items()})
            for found, expected in zip(whole, alone, strict=True):
                near(found[k : k + 1, block], expected, 1e-12, "an entry of the whole matrix against one of a block")


@law(KIND)
def kernel_as_equations(name: str) -> None:
    """A fused kernel gives the numbers of its update rule to rounding."""
    fused, plain = (Walk(name, [1, 2], dtype=torch.float64) for _ in range(2))
    if isinstance(plain.optimizer, Rule):
        plain.optimizer = replace(plain.optimizer, kernel=None)
        near(fused.go(5).row(2), plain.go(5).row(2), 1e-12, "a member after five steps of the kernel")


@law(KIND)
def alone_as_among_others(name: str) -> None:
    """A member alone equals the same member among five."""
    same(Walk(name, [1, 2, 7, 3, 4]).go(12).row(7), Walk(name, [7]).go(12).row(7), "the member among five")


@law(KIND)
def undisturbed_by_nan(name: str) -> None:
    """A member at NaN leaves the others bitwise unchanged."""
    calm, poisoned = Walk(name, [1, 2, 3]).go(8), Walk(name, [1, 2, 3], poisoned=2).go(8)
    for member in (1, 3):
        same(poisoned.row(member), calm.row(member), "the neighbour of a member at NaN")


@law(KIND)
def saved_and_loaded(name: str) -> None:
    """Its state survives saving and loading in mid-run."""
    straight, broken = Walk(name, [1, 2]).go(14), Walk(name, [1, 2]).go(6)
    buffer = io.BytesIO()
    torch.save([broken.optimizer.get_row(broken.state, k) for k in range(2)], buffer)
    buffer.seek(0)
    broken.state = broken.optimizer.put_rows(torch.load(buffer, weights_only=True))
    broken.params = broken.params.clone()
    same(broken.go(8).row(2), straight.row(2), "a run that was saved and loaded")


@law(KIND)
def row_dropped(name: str) -> None:
    """Dropping a row leaves the rest unchanged."""
    whole, thinned = Walk(name, [1, 2, 3]).go(10), Walk(name, [1, 2, 3]).go(4)
    thinned.keep([1, 3])
    thinned.go(6)
    for member in (1, 3):
        same(thinned.row(member), whole.row(member), "a member that stayed")


@law(KIND)
def rows_are_copies(name: str) -> None:
    """A row taken is a copy that later steps leave alone."""
    walk = Walk(name, [1]).go(3)
    row, params = walk.optimizer.get_row(walk.state, 0), walk.params.clone()
    walk.go(3)
    again = Walk(name, [1])
    again.params, again.state, again.steps = params, again.optimizer.put_rows([row]), 3
    same(again.go(3).row(1), walk.row(1), "a run from the row that was taken")


@law(KIND)
def rates_per_part(name: str) -> None:
    """Equal rates per part equal one rate."""
    one, parts = Walk(name, [1, 2]), Walk(name, [1, 2])
    each = one.hparams["lr"].expand(2, LAYOUT.width).clone()
    same(parts.go(10, lr=each).row(2), one.go(10).row(2), "a member with the rate written out per column")


@law(KIND)
def frozen_parts(name: str) -> None:
    """A frozen part stands still while the other one trains, and trains again afterwards."""
    walk = Walk(name, [1, 2, 3]).go(3)
    before = walk.params.clone()
    walk.go(4, frozen=["encoder", None, "decoder"])
    encoder, decoder = (LAYOUT.columns(part) for part in ("encoder", "decoder"))
    for k, still, moving in ((0, encoder, decoder), (2, decoder, encoder)):
        same(walk.params[k, still], before[k, still], "a frozen part after four steps")
        require(not torch.equal(walk.params[k, moving], before[k, moving]), "the part that was not frozen did not move")
    walk.go(2)
    require(not torch.equal(walk.params[0, encoder], before[0, encoder]), "a part that was frozen no longer moves")


@law(KIND)
def descends(name: str) -> None:
    """It descends a bowl in sixty steps at its defaults."""
    walk = Walk(name, [1])
    start = float(bowl(walk.row(1)))
    end = float(bowl(walk.go(60).row(1)))
    require(end < start, f"from {start:.6g} it came to {end:.6g}")


optimizer_laws: tuple[Law, ...] = (
    described_by_its_signature,
    shapes_and_types,
    repeatable,
    populations_apart,
    elementwise,
    kernel_as_equations,
    alone_as_among_others,
    undisturbed_by_nan,
    saved_and_loaded,
    row_dropped,
    rows_are_copies,
    rates_per_part,
    frozen_parts,
    descends,
)
"""In the order in which they are tried: what breaks an early one breaks later ones too."""
