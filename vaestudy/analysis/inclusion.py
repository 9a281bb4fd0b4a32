"""Whether one method's declared space includes another's: what its optimizer contains counts only where it is searched.

An optimizer contains another that it becomes under some hyperparameters, or comes as near as one likes in a limit: Adam
is SGD with momentum where ``eps`` is far above the root of the second moment (Choi et al. 2019, arXiv:1910.05446,
Appendix A). The registry says which; whether a method's ranges go there is seen here, by hyperparameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from vaestudy.analysis.families import entry, optimizer_of
from vaestudy.analysis.frames import Records
from vaestudy.analysis.spaces import Declared, declared

SAME = {"momentum": "beta1"}
"""Hyperparameters that have another name in the optimizer that contains: both are decays of the gradients' memory."""

WITHOUT = {"momentum": 0.0, "beta1": 0.0, "dampening": 0.0, "weight_decay": 0.0, "lambd": 0.0, "lr_decay": 0.0}
"""The value at which a hyperparameter does nothing, so that an optimizer without it is contained."""

FAR = 1.0
"""An ``eps`` of this and above leaves nothing of the second moment, of a loss of a nat or so for each weight."""
NOTHING_THERE = ("beta2", "alpha", "rho", "initial_accumulator_value", "momentum_decay", "t0")
"""What shapes a second moment does nothing where ``eps`` is far above its root; momentum's schedule, without it."""

SWITCHES = {"nesterov": "nesterov", "adamw": "decoupled_weight_decay"}
"""By optimizer the switch by which a class of torch's becomes it; any other switch is to be off."""


def inclusions(records: Records) -> Iterator[tuple[str, str, list[str]]]:
    """Pairs of methods of which the first's optimizer contains the second's, with the hyperparameters whose declared
    values keep its space from including the other's; none where it does."""
    for whole, part in permutations(records.methods, 2):
        contained = optimizer_of(records, part)
        if contained in entry(records, optimizer_of(records, whole))["contains"]:
            yield whole, part, list(_missing(records, whole, part))


def _missing(records: Records, whole: str, part: str) -> Iterator[str]:
    ours, theirs = (entry(records, optimizer_of(records, method))["defaults"] for method in (whole, part))
    named = {name if name in ours else SAME.get(name, name): name for name in theirs}
    for name in {**ours, **named}:
        mine = declared(records, whole, name)
        wanted = declared(records, part, named[name]) if name in named else None
        apart = name == "weight_decay" and ours.get(name) != theirs.get(name)
        if apart and wanted is not None and wanted.value != 0:
            yield name  # one of the two decays weights outside of the gradient: they are the same without
        elif mine is None or not (mine.includes(wanted) if wanted else _vanishes(name, mine, records, part)):
            yield name


def _vanishes(name: str, found: Declared, records: Records, part: str) -> bool:
    """Whether the values of a hyperparameter go where the contained optimizer, which has no such, is reached."""
    if name in NOTHING_THERE:
        return True
    if name == "eps":
        return found.most >= FAR
    if name in WITHOUT:
        return found.admits(WITHOUT[name])
    is_switch = all(isinstance(one, bool) for one in found.some or (None,))
    return is_switch and found.admits(SWITCHES.get(optimizer_of(records, part)) == name)
