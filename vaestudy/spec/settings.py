"""From a study file's ranges and a sampler's draws to one run's settings, every value written out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.spec.models import Frozen, Range, Scalar, Study, Train

TRAIN_SIZE = "train_size"
"""A fixed value that stands for the number of training examples of the workload."""

SHORT = {
    "schedule": "train.schedule",
    "final_lr_ratio": "train.final_lr_ratio",
    "warmup": "train.warmup",
    "clip_norm": "train.clip_norm",
    "ema": "train.ema",
    "decoder.lr_ratio": "train.decoder_lr_ratio",
}
"""Short keys of a method and the path each stands for."""


@dataclass(frozen=True)
class Cell:
    """A workload under a method: what is searched and confirmed on its own."""

    workload: str
    method: str

    @property
    def key(self) -> str:
        return f"{self.workload}/{self.method}"


@dataclass(frozen=True)
class SearchId:
    """One search: of a cell, or of a workload over all its methods (joint mode), in one replicate (from 0)."""

    workload: str
    methods: tuple[str, ...]
    replicate: int = 0

    @property
    def key(self) -> str:
        """Its name within the study: ``digits-mlp/adam``; of a later replicate ``digits-mlp/adam/replicate-2``."""
        cell = f"{self.workload}/{self.methods[0]}" if len(self.methods) == 1 else self.workload
        return f"{cell}/replicate-{self.replicate + 1}" if self.replicate else cell


class Settings(Frozen):
    """One run's settings: the optimizer with every hyperparameter, and its training with every value."""

    optimizer: str
    hyperparameters: dict[str, Scalar | None]
    train: Train

    def flat(self) -> dict[str, Any]:
        """All values by short key: ``lr``, ``momentum``, ``schedule``, ``beta.over``, ``stages.warm.share`` ..."""
        train = self.train.model_dump(exclude={"stages", "beta", "free_bits", "epochs", "evaluate_every", "precision"})
        nested = {
            **{f"beta.{key}": value for key, value in self.train.beta.model_dump().items()},
            **{f"free_bits.{key}": value for key, value in self.train.free_bits.model_dump().items()},
            **{
                f"stages.{p.name}.{key}": value
                for p in self.train.stages
                for key, value in p.model_dump(exclude={"name"}).items()
            },
        }
        return {"optimizer": self.optimizer, **self.hyperparameters, **train, **nested}


def cells(study: Study) -> list[Cell]:
    """Every workload under every method, in the order of the file."""
    return [Cell(workload, method) for workload in study.workloads for method in study.methods]


def searches(study: Study) -> list[SearchId]:
    """Every search of a study, replicate by replicate: of each cell, or in joint mode of each workload."""
    joint = study.search.allocation == "joint"
    arms = [tuple(study.methods)] if joint else [(method,) for method in study.methods]
    return [
        SearchId(workload, methods, replicate)
        for replicate in range(study.search.replicates)
        for workload in study.workloads
        for methods in arms
    ]


def budgets(study: Study) -> tuple[int, ...]:
    """The numbers of trials that winners are chosen from, rising; 0 stands for the published defaults."""
    return (0,) * study.confirm.defaults + (study.confirm.budgets or (study.search.trials,))


def reference_methods(study: Study) -> tuple[str, ...]:
    """The methods whose best trial makes the target; none where no target is asked for."""
    if study.target is None:
        return ()
    return study.target.methods or tuple(study.methods)


def space(study: Study, method: str) -> dict[str, Range]:
    """What is searched for a method: by name, but conditions after what they depend on.

    The order in the file does not matter, so that moving a line changes no draw.

    Raises:
        ValueError: conditions form a circle.
    """
    waiting = dict(sorted(_searched(study, method).items()))
    ordered: dict[str, Range] = {}
    while waiting:
        ready = [key for key, entry in waiting.items() if not set(entry.when or {}) & set(waiting)]
        if not ready:
            raise ValueError(f"conditions of {', '.join(waiting)} form a circle")
        ordered |= {key: waiting.pop(key) for key in ready}
    return ordered


def _searched(study: Study, method: str) -> dict[str, Range]:
    return {**study.methods[method].search, **study.shared_search}


def applies(entry: Range, drawn: Mapping[str, Any]) -> bool:
    """Whether a range's condition holds for what has been drawn so far."""
    return all(
        key in drawn and drawn[key] in (wanted if isinstance(wanted, tuple) else (wanted,))
        for key, wanted in (entry.when or {}).items()
    )


def canonical(key: str) -> str:
    """The short key under which a searched key appears in ``Settings.flat``."""
    return SHORT.get(key, key).removeprefix("train.").removeprefix("one_minus_")


def resolve(study: Study, method: str, drawn: Mapping[str, Any], train_size: int) -> Settings:
    """The settings of a run: published defaults, overlaid by ``fixed``, overlaid by what was drawn.

    ``train_size`` replaces the word of that name.

    Raises:
        ValueError: a value is illegal (the study file's checks find these first).
    """
    from vaestudy.optimizers import optimizers  # with it comes torch, which nothing else here needs

    arm = study.methods[method]
    schema = optimizers.find(arm.optimizer).hyperparameters
    values: dict[str, Any] = {name: entry.default for name, entry in schema.items()}
    train = study.train.model_dump()
    for key, value in {**arm.fixed, **drawn}.items():
        value = train_size if value == TRAIN_SIZE else value
        path = SHORT.get(key, key)
        if path.startswith("train."):
            set_in(train, path.removeprefix("train.").split("."), value)
        elif key.startswith("one_minus_") and key not in schema:
            values[key.removeprefix("one_minus_")] = 1 - value
        else:
            values[key] = value
    for name, value in values.items():
        problem = schema[name].problem(value) if name in schema else f"not a hyperparameter of {arm.optimizer}"
        if problem:
            raise ValueError(f"methods.{method}: {name}: {problem}")
    return Settings(optimizer=arm.optimizer, hyperparameters=values, train=Train.model_validate(train))


def set_in(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Puts ``value`` at ``path`` of a dumped ``Train``; stages go by their names."""
    node: Any = tree
    for part in path[:-1]:
        node = next(stage for stage in node if stage["name"] == part) if isinstance(node, (list, tuple)) else node[part]
    node[path[-1]] = value


def first_rung(study: Study) -> int:
    """The first epoch at which a trial may be pruned: after ``grace`` and after every possible annealing ramp.

    It is one number for all methods, so that all are judged at equal shares of training.
    """
    share = max((_latest_ramp_end(study, method) for method in study.methods), default=0.0)
    ramp = math.ceil(round(study.train.epochs * share, 9))  # rounded: 30 * 0.1 is a little more than 3
    return min(max(study.search.pruner.grace, ramp), study.train.epochs)


def possible(study: Study, method: str, path: str, given: Any) -> list[Any]:
    """The values that a ``train.`` path can take under a method: its choices or ends, what is fixed, or ``given``."""
    entries, fixed = _searched(study, method), study.methods[method].fixed
    for key in (path, *(short for short, target in SHORT.items() if target == path)):
        if key in fixed:
            return [fixed[key]]
        if key in entries:
            conditional = [given] if entries[key].when else []
            return [*(entries[key].choice or entries[key].bounds or ()), *conditional]
    return [given]


def largest_shares(study: Study, method: str) -> list[float]:
    """The largest share that each stage can take under a method, in order; 0 where a stage leaves it out."""
    paths = {stage.name: f"train.stages.{stage.name}.share" for stage in study.train.stages}
    return [
        max(share or 0.0 for share in possible(study, method, paths[stage.name], stage.share))
        for stage in study.train.stages
    ]


def _latest_ramp_end(study: Study, method: str) -> float:
    """The share of training after which beta is at its end value under a method, whatever is drawn: the ramp takes its
    share of what is left after the stages that set their own beta."""
    from vaestudy.schedules import ramp_end  # with torch

    beta = study.train.beta
    ramps = [
        ramp_end(name, over=over, cycles=cycles)
        for name in possible(study, method, "train.beta.schedule", beta.schedule)
        for over in possible(study, method, "train.beta.over", beta.over)
        for cycles in possible(study, method, "train.beta.cycles", beta.cycles)
    ]
    own = _end_of_stages_with_beta(study, method)
    return min(own + (1 - own) * max(ramps), 1.0)


def _end_of_stages_with_beta(study: Study, method: str) -> float:
    """Where the last stage with a beta of its own ends; the final stage's own beta is the final one, from its start."""
    shares = largest_shares(study, method)
    own = [
        index
        for index, stage in enumerate(study.train.stages[:-1])
        if shares[index] > 0
        and any(value is not None for value in possible(study, method, f"train.stages.{stage.name}.beta", stage.beta))
    ]
    return sum(shares[: own[-1] + 1]) if own else 0.0
