"""An independent loop in plain torch, given the same draws, has the same losses, parameters and averages.

It shares with the trainer the model, the random draws and nothing else: losses, gradients, schedules, stages, clipping,
rates per part, SGD and the averaged weights are written out here from their definitions, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.tasks import populate, random_task, settings
from vaestudy.population import Population, Task
from vaestudy.seeding import Noise, Stream, mix, permutation

EPOCHS, PER_EPOCH, BATCH, PIXELS, LATENT = 4, 5, 6, 12, 3
TOTAL = EPOCHS * PER_EPOCH
SEED = 7
RATE = 0.2


@dataclass
class Loop:
    """One member's training from its definition.

    Attributes:
        losses: of each update. params: by name, at the end. average: of the weights, where there is one.
    """

    train: dict[str, Any]
    losses: list[float] = field(default_factory=list)
    params: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)

    def run(self, task: Task, updates: int) -> Loop:
        generator = torch.Generator().manual_seed(mix(SEED, Stream.INIT.name, 0))
        row = task.model.layout.initial(generator, torch.float64)[None]
        self.params = {name: view[0].clone() for name, view in task.model.layout.views(row).items()}
        self.average = dict(self.params)
        for step in range(updates):
            self.update(task, step)
        return self

    def update(self, task: Task, step: int) -> None:
        leaves = {name: value.clone().requires_grad_() for name, value in self.params.items()}
        loss = self.loss(task, leaves, step)
        grads = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        for name, g in grads.items():
            if name.startswith(self.frozen(step)):
                g.zero_()
        bound = self.train.get("clip_norm", math.inf)
        norm = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        shrink = bound / norm if norm > bound else 1.0
        for name, g in grads.items():
            ratio = self.train.get("decoder_lr_ratio", 1.0) if name.startswith("decoder") else 1.0
            self.params[name] = self.params[name] - self.rate(step) * ratio * shrink * g
        decay = min(self.train.get("ema", 0.0), (1 + step) / (10 + step))
        self.average = {n: decay * self.average[n] + (1 - decay) * value for n, value in self.params.items()}
        self.losses.append(loss.item())

    def loss(self, task: Task, params: dict[str, Tensor], step: int) -> Tensor:
        epoch, batch = divmod(step, PER_EPOCH)
        rows = permutation(SEED, epoch, len(task.examples.train))[batch * BATCH : (batch + 1) * BATCH]
        means = task.examples.train[rows]
        u = Noise([SEED], torch.device("cpu")).uniform(Stream.BINARIZE, [step], BATCH, PIXELS, dtype=torch.float64)[0]
        eps = Noise([SEED], torch.device("cpu")).normal(Stream.LATENT, [step], BATCH, LATENT, dtype=torch.float64)[0]
        x = (u < means).double() if task.examples.dynamic else means
        one = {name: value[None] for name, value in params.items()}
        mu, logvar = (out[0] for out in task.model.encode(one, x[None]))
        sigma = torch.exp(logvar / 2)
        logits = task.model.decode(one, (mu + sigma * eps)[None])[0]
        distortion = binary_cross_entropy_with_logits(logits, x, reduction="sum") / BATCH
        rate = (sigma**2 + mu**2 - 1 - logvar) / 2
        return distortion + self.beta(step) * self.paid(rate)

    def paid(self, rate: Tensor) -> Tensor:
        """The rate with free bits, from ``[B, Z]``, unit by unit and example by example."""
        free = self.train.get("free_bits", {})
        nats, count = free.get("nats", 0.0), len(rate)
        units = {"dimension": [[0], [1], [2]], "group": [[0, 1], [2]], "total": [[0, 1, 2]]}[
            free.get("per", "dimension")
        ]
        total = torch.zeros((), dtype=rate.dtype)
        for unit in units:
            each = rate[:, unit].sum(1)
            if nats == 0:
                total = total + each.mean()
            elif free.get("average", "batch") == "batch":
                total = total + (each.mean() if each.mean() > nats else nats)
            else:
                total = total + sum(value if value > nats else value.detach() * 0 + nats for value in each) / count
        return total

    def stage(self, step: int) -> dict[str, Any]:
        done = 0.0
        for stage in self.train.get("stages", []):
            done += stage.get("share", 1.0)
            if step < round(done * TOTAL):
                return dict(stage)
        return {}

    def frozen(self, step: int) -> str:
        return str(self.stage(step).get("freeze", "none"))

    def beta(self, step: int) -> float:
        if self.stage(step).get("beta") is not None:
            return float(self.stage(step)["beta"])
        beta = self.train.get("beta", {"schedule": "constant", "end": 1.0})
        if beta["schedule"] == "constant":
            return float(beta["end"])
        first = self.ramp_start()
        through = min(max(step - first, 0) / (TOTAL - 1 - first) / beta["over"], 1.0)
        return float(beta["start"] + (beta["end"] - beta["start"]) * through)

    def ramp_start(self) -> int:
        """The update at which the last stage with a beta of its own has ended, the final stage left aside."""
        done, start = 0.0, 0
        for stage in self.train.get("stages", [])[:-1]:
            done += stage["share"]
            start = round(done * TOTAL) if stage.get("beta") is not None else start
        return start

    def rate(self, step: int) -> float:
        warm = round(self.train.get("warmup", 0.0) * TOTAL)
        factor = min((step + 1) / warm, 1.0) if warm else 1.0
        through = max(step - warm, 0) / (TOTAL - 1 - warm)
        last = self.train.get("final_lr_ratio", 0.0)
        decay = 1.0
        if self.train.get("schedule") == "cosine":
            decay = last + (1 - last) * (1 + math.cos(math.pi * through)) / 2
        elif self.train.get("schedule") == "linear":
            decay = last + (1 - last) * (1 - through)
        return RATE * factor * decay


def small_task(dynamic: bool = True) -> Task:
    return random_task(
        rows=PER_EPOCH * BATCH + 2,
        pixels=PIXELS,
        batch=BATCH,
        dynamic=dynamic,
        seed=5,
        dtype=torch.float64,
        hidden=(8,),
        latent_dim=LATENT,
    )


def trained(train: dict[str, Any], dynamic: bool = True, updates: int = TOTAL) -> tuple[Population, list[float]]:
    task = small_task(dynamic)
    population = populate(task, [(SEED, settings("sgd", EPOCHS, train, lr=RATE))], torch.float64)
    return population, population.train(updates)[0].tolist()


LINEAR = {"schedule": "linear", "start": 0.1, "end": 0.9, "over": 0.4}
TRAINS: dict[str, dict[str, Any]] = {
    "plain": {},
    "constant beta": {"beta": {"schedule": "constant", "end": 0.3}},
    "annealing": {"beta": LINEAR},
    "a stage of reconstruction": {"stages": [{"name": "reconstruct", "share": 0.3, "beta": 0.0}, {"name": "joint"}]},
    "betas of three stages": {
        "stages": [
            {"name": "one", "share": 0.25, "beta": 0.5},
            {"name": "two", "share": 0.45},
            {"name": "three", "beta": 2.0},
        ],
    },
    "annealing after a stage with a beta of its own": {
        "beta": LINEAR,
        "stages": [
            {"name": "reconstruct", "share": 0.3, "beta": 0.0},
            {"name": "hold", "share": 0.2},
            {"name": "joint"},
        ],
    },
    "annealing between stages with betas of their own": {
        "beta": {"schedule": "linear", "start": 0.1, "end": 0.9, "over": 1.0},
        "stages": [
            {"name": "one", "share": 0.2},
            {"name": "two", "share": 0.2, "beta": 0.5},
            {"name": "three", "share": 0.3},
            {"name": "last", "beta": 1.5},
        ],
    },
    "free bits by dimension": {"free_bits": {"nats": 0.4}},
    "free bits by dimension and example": {"free_bits": {"nats": 0.4, "average": "example"}},
    "free bits by group": {"free_bits": {"nats": 0.5, "per": "group", "groups": 2}},
    "free bits in all, by example": {"free_bits": {"nats": 0.9, "per": "total", "average": "example"}},
    "a stage that freezes the decoder": {
        "stages": [{"name": "hold", "share": 0.4, "freeze": "decoder"}, {"name": "joint"}],
        "clip_norm": 0.7,
    },
    "a last stage that freezes the encoder": {
        "stages": [{"name": "joint", "share": 0.4}, {"name": "hold", "freeze": "encoder"}],
        "clip_norm": 0.7,
    },
    "warm-up": {"warmup": 0.25},
    "warm-up and a cosine": {"warmup": 0.2, "schedule": "cosine", "final_lr_ratio": 0.1},
    "a linear decay to 0": {"schedule": "linear"},
    "clipping": {"clip_norm": 0.7},
    "a slower decoder": {"decoder_lr_ratio": 0.25},
    "averaged weights": {"ema": 0.3},
}
TRAINS["all at once"] = {
    "beta": LINEAR,
    "stages": [{"name": "reconstruct", "share": 0.3, "beta": 0.0}, {"name": "joint"}],
    "free_bits": {"nats": 0.4},
    "warmup": 0.2,
    "schedule": "cosine",
    "final_lr_ratio": 0.1,
    "clip_norm": 0.7,
    "decoder_lr_ratio": 0.25,
    "ema": 0.3,
}


@pytest.mark.parametrize("dynamic", [True, False], ids=["binarised anew", "binary"])
@pytest.mark.parametrize("train", TRAINS.values(), ids=TRAINS)
def test_training_is_what_its_definition_says(train: dict[str, Any], dynamic: bool) -> None:
    population, losses = trained(train, dynamic)
    loop = Loop(train).run(small_task(dynamic), TOTAL)
    assert losses == pytest.approx(loop.losses, rel=1e-10)
    ends = population.task.model.layout.views(population.save(0)["params"][None])
    judged = population.eval_params()
    for name, expected in loop.params.items():
        torch.testing.assert_close(ends[name][0], expected, rtol=1e-9, atol=1e-12)
        where = loop.average[name] if train.get("ema") else expected
        torch.testing.assert_close(judged[name][0], where, rtol=1e-9, atol=1e-12)


def test_every_setting_that_is_tried_changes_the_training_or_its_judgement() -> None:
    """A setting that did nothing would make its trial above say nothing."""
    seen = {name: Loop(train).run(small_task(), TOTAL) for name, train in TRAINS.items()}
    ends = [sum(float(value.sum()) for value in loop.average.values()) for loop in seen.values()]
    assert len({round(end, 9) for end in ends}) == len(TRAINS)


def test_a_stretch_that_ends_in_mid_epoch_changes_nothing() -> None:
    population, losses = trained(TRAINS["all at once"], updates=7)
    losses += population.train(TOTAL - 7)[0].tolist()
    assert losses == trained(TRAINS["all at once"])[1]


def test_the_examples_left_over_after_the_last_whole_batch_wait() -> None:
    task = small_task()
    assert len(task.examples.train) == task.steps_per_epoch * BATCH + 2
    assert task.steps_per_epoch == PER_EPOCH
