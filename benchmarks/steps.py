"""Steps per second of one trial and of several, against the plain PyTorch loop and Pythae's trainer.

All contenders train the same net on the same data in one run, one thread each, turn by turn (A B C A B C ...), so that
whatever else the machine does falls on all of them alike. Ratios are taken within a round; the median and the extremes
over rounds are told. That they train the same thing is checked by their losses after as many updates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

import torch

from benchmarks.cases import Case, Round, train_images
from benchmarks.ours import Ours
from benchmarks.plain import PlainLoop
from benchmarks.pythae_rival import METHODS, Pythae

SEVERAL = 8
LOSS_TOLERANCE = 0.03
"""Of the mean loss in the last round: initialisations and orders differ by contender, net and updates do not."""


class Contender(Protocol):
    def turn(self) -> Round:
        """Trains the case's updates once more."""
        ...


@dataclass(frozen=True)
class Duel:
    """One case under one method: every contender's rounds, by name, in the order in which they were run."""

    case: Case
    method: str
    rounds: Mapping[str, Sequence[Round]]

    def rate(self, name: str) -> float:
        """The median rate, trial-steps a second."""
        return median(r.rate for r in self.rounds[name])

    def ratio(self, name: str, rival: str) -> tuple[float, float, float]:
        """How many times as fast ``name`` is as ``rival``: median, smallest, largest over rounds."""
        ratios = [a.rate / b.rate for a, b in zip(self.rounds[name], self.rounds[rival], strict=True)]
        return median(ratios), min(ratios), max(ratios)

    @property
    def loss_spread(self) -> float:
        """The largest last loss over the smallest, less 1, of the contenders that made the same updates."""
        last = [rounds[-1].loss for name, rounds in self.rounds.items() if name != f"vaestudy K={SEVERAL}"]
        return max(last) / min(last) - 1

    @property
    def same_losses(self) -> bool:
        return self.loss_spread <= LOSS_TOLERANCE

    def dump(self) -> dict[str, Any]:
        rounds = {name: [asdict(r) for r in made] for name, made in self.rounds.items()}
        return {"case": asdict(self.case), "method": self.method, "loss_spread": self.loss_spread, "rounds": rounds}


def measure(case: Case, method: str, rounds: int, with_pythae: bool) -> Duel:
    """Runs a warm-up round, which is not told, and then ``rounds``."""
    torch.set_num_threads(1)
    with ExitStack() as stack:
        contenders = _contenders(case, method, with_pythae, stack)
        told: dict[str, list[Round]] = {name: [] for name in contenders}
        for number in range(rounds + 1):
            for name, contender in contenders.items():
                made = contender.turn()
                if number > 0:
                    told[name].append(made)
    return Duel(case, method, told)


def _contenders(case: Case, method: str, with_pythae: bool, stack: ExitStack) -> dict[str, Contender]:
    task = case.task()
    images = train_images(task)
    contenders: dict[str, Contender] = {
        "plain loop": PlainLoop(case, method, images),
        "vaestudy K=1": Ours(case, method, task, 1),
        f"vaestudy K={SEVERAL}": Ours(case, method, task, SEVERAL),
    }
    if with_pythae and method in METHODS:
        pythae = Pythae(case, method, images)
        stack.callback(pythae.close)
        contenders["Pythae"] = pythae
    return contenders


def table(duels: Sequence[Duel]) -> list[str]:
    """The duels as rows of a Markdown table."""
    rows = [
        "| net | method | plain loop | Pythae | vaestudy, 1 trial | vaestudy, 8 trials | 1 trial / plain loop | "
        "8 trials / plain loop | 1 trial / Pythae | last losses within |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return rows + [_row(duel) for duel in duels]


def _row(duel: Duel) -> str:
    one, several = "vaestudy K=1", f"vaestudy K={SEVERAL}"
    with_pythae = "Pythae" in duel.rounds
    cells = [
        duel.case.name,
        duel.method,
        f"{duel.rate('plain loop'):.0f}",
        f"{duel.rate('Pythae'):.0f}" if with_pythae else "-",
        f"{duel.rate(one):.0f}",
        f"{duel.rate(several):.0f}",
        _ratio(duel, one, "plain loop"),
        _ratio(duel, several, "plain loop"),
        _ratio(duel, one, "Pythae") if with_pythae else "-",
        f"{duel.loss_spread:.1%}" + ("" if duel.same_losses else " (!)"),
    ]
    return "| " + " | ".join(cells) + " |"


def _ratio(duel: Duel, name: str, rival: str) -> str:
    middle, low, high = duel.ratio(name, rival)
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"
