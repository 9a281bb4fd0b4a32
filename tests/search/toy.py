"""A toy study: spaces, a CellSearch over them, and the loss that stands for training."""

from __future__ import annotations

import math
from typing import Any

from vaestudy.search import Ask, CellSearch, RetryingStorage
from vaestudy.spec.models import Range, Search

EPOCHS = 9
REPORTED = (1, 3, 9)


def ranges(**entries: dict[str, Any]) -> dict[str, Range]:
    """A space, written as in the study file."""
    return {name: Range.model_validate(entry) for name, entry in entries.items()}


ADAM = ranges(
    lr={"log": (1e-5, 1.0)},
    schedule={"choice": ("constant", "cosine")},
    warmup={"uniform": (0.0, 0.2), "when": {"schedule": "cosine"}},
    layers={"int": (1, 4)},
)
SGD = ranges(lr={"log": (1e-3, 10.0)})


def cell(
    storage: RetryingStorage,
    *,
    trials: int = 6,
    sampler: str = "random",
    pruner: str = "none",
    spaces: dict[str, dict[str, Range]] | None = None,
    first_rung: int = 1,
    identity: str = "hash",
) -> CellSearch:
    """The search of the toy study."""
    search = Search.model_validate({"trials": trials, "sampler": {"name": sampler}, "pruner": {"name": pruner}})
    return CellSearch(
        storage,
        "toy/digits/adam",
        spaces=spaces or {"adam": ADAM},
        search=search,
        seed=7,
        first_rung=first_rung,
        epochs=EPOCHS,
        identity=identity,
    )


def loss(ask: Ask, epoch: int) -> float:
    """What the validation loss would be, least at lr = 1e-3."""
    return abs(math.log10(ask.drawn.get("lr", 1.0)) + 3) + 1 / (1 + epoch)


def train(search: CellSearch, ask: Ask) -> None:
    """Reports some epochs and tells the outcome."""
    for epoch in REPORTED:
        if search.report(ask.number, epoch, loss(ask, epoch)):
            search.tell(ask.number, "pruned", loss(ask, epoch))
            break
    else:
        search.tell(ask.number, "done", loss(ask, EPOCHS))


def run(search: CellSearch, trials: int | None = None) -> list[Ask]:
    """Asks and trains until there is nothing left, or ``trials`` of them; what was asked."""
    asked: list[Ask] = []
    while len(asked) != trials and (ask := search.ask()) is not None:
        train(search, ask)
        asked.append(ask)
    return asked
