"""The trainer: admits runs to a population, trains them to the next evaluation, judges them. Knows nothing of who asks.

trainer.admit(uid, seeds, settings)
while trainer.uids:
    for progress in trainer.run():
        ...                           # progress.reports, progress.outcome
        trainer.evict(progress.uid)   # once it has ended, or somebody has decided against it
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

from vaestudy.errors import CheckpointError
from vaestudy.evaluation import Evaluator, Pictures, Samples, Score, information, pictures
from vaestudy.metrics import blocks, failure_class
from vaestudy.optimizers import optimizers
from vaestudy.population import Member, Population, Task, misfit
from vaestudy.records import End, Failure, Report
from vaestudy.seeding import Seeds, mix
from vaestudy.spec import Settings
from vaestudy.timeline import Timeline

SHOWN = 16
"""Validation images that are kept as reconstructions."""


@dataclass
class Track:
    """What the trainer remembers of one run beside its row of parameters.

    Attributes:
        seconds: of training so far.
        losses: of the updates since its last report, pieces of ``[S]``, nats per example.
    """

    uid: str
    history: list[Report] = field(default_factory=list)
    seconds: float = 0.0
    losses: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """What one call of ``run`` brought for one run: its updates so far, new reports, and how it ended if it did."""

    uid: str
    step: int
    reports: tuple[Report, ...]
    outcome: Literal["done", "diverged"] | None


@dataclass(frozen=True)
class Confirmed:
    """A run's test scores: numbers and, in blocks of examples, vectors, as ``End`` takes them; nats per example."""

    metrics: dict[str, float]
    vectors: dict[str, list[float]]


class Trainer:
    """Trains runs of one cell together: one task, one optimizer, settings of their own."""

    def __init__(self, task: Task, optimizer: str, evaluation_seed: int):
        self._task = task
        self._population = Population(task, optimizers.find(optimizer).component(task.model.layout))
        self._evaluator = Evaluator(task, task.examples.validation, evaluation_seed)
        self._evaluation_seed = evaluation_seed
        self._tracks: list[Track] = []
        self._trivial = self._evaluator.trivial

    @property
    def uids(self) -> list[str]:
        """The runs in training, by row."""
        return [track.uid for track in self._tracks]

    def admit(self, uid: str, seeds: Seeds, settings: Settings, saved: dict[str, Any] | None = None) -> None:
        """Takes a run in: from its start, or as ``state_dict`` left it.

        Raises:
            CheckpointError: ``saved`` is not what ``state_dict`` gives for such a run.
        """
        parts: dict[str, Any] = {"row": {}, "history": None, "seconds": None, "losses": None}
        if saved is not None and (lacking := misfit(saved, parts)):
            raise CheckpointError(f"not a run's state: {lacking}")
        member = Member(seeds, settings, Timeline(settings, self._total(settings)))
        self._population.add(member, saved["row"] if saved else None)
        track = Track(uid)
        if saved:
            track.history = [Report(**report) for report in saved["history"]]
            track.seconds, track.losses = saved["seconds"], [saved["losses"]]
        self._tracks.append(track)

    def evict(self, uid: str) -> None:
        """Lets a run go; the others stay as they are."""
        k = self._row(uid)
        self._population.remove(k)
        del self._tracks[k]

    def history(self, uid: str) -> tuple[Report, ...]:
        """Every report of a run so far."""
        return tuple(self._tracks[self._row(uid)].history)

    def state_dict(self, uid: str) -> dict[str, Any]:
        """A run as tensors, numbers and containers of them, its whole history included."""
        track = self._tracks[self._row(uid)]
        return {
            "row": self._population.save(self._row(uid)),
            "history": [asdict(report) for report in track.history],
            "seconds": track.seconds,
            "losses": _joined(track.losses),
        }

    def run(self, seconds: float = math.inf) -> list[Progress]:
        """Trains every run to the nearest evaluation that any of them has due, and judges those that have one due; or
        trains for about so many seconds, where that is less.

        The first call judges new runs before their first update (epoch 0). While a run that has ended is here, be it
        that its end was told to nobody who lived, nothing is trained.
        """
        until = time.monotonic() + seconds
        begun = self._judge([not track.history for track in self._tracks])
        if not any(map(self._outcome, self._tracks, self._population.members)):
            self._train(until)
        reports = self._judge([self._is_due(k) for k in range(len(self._tracks))])
        return [
            Progress(track.uid, member.steps, first + later, self._outcome(track, member))
            for track, member, first, later in zip(self._tracks, self._population.members, begun, reports, strict=True)
        ]

    def end(self, uid: str, outcome: Literal["done", "diverged"], tested: Confirmed | None = None) -> End:
        """The end of a run, its failure class and its summary, from its history; with its test scores if it has any.

        Whether it is better than the constant decoder, its KL and its active units are those of the test part where it
        has been tested: the validation part may be small.
        """
        k = self._row(uid)
        member, reached = self._population.members[k], _reached(self._tracks[k])
        summary = self._summary(k, reached)
        if outcome == "diverged":
            at = member.diverged_at or member.steps
            summary.pop("final/val_nelbo", None)
            return End("diverged", at, time.time(), "diverged", summary, f"loss not finite at update {at}")
        failure = self._failure(reached, tested)
        told, limit = information(self._task, self._params_of(uid), self._evaluation_seed)
        summary |= {"final/mutual_information": told, "final/mutual_information_limit": limit}
        if tested is None:
            return End("done", member.steps, time.time(), failure, _finite(summary))
        return End("done", member.steps, time.time(), failure, _finite(summary | tested.metrics), "", tested.vectors)

    def _failure(self, reached: Sequence[Report], tested: Confirmed | None) -> Failure:
        final = reached[-1].metrics
        nelbo, trivial, kl, active = final["val/nelbo"], self._trivial, final["val/kl"], final["val/active_units"]
        if tested is not None and "final/test_nelbo" in tested.metrics:
            names = ("nelbo", "l_trivial", "kl", "active_units")
            nelbo, trivial, kl, active = (tested.metrics[f"final/test_{name}"] for name in names)
        history = [report.metrics["val/nelbo"] for report in reached]
        steps = [report.step for report in reached]
        return failure_class(steps, history, above_trivial=nelbo - trivial, kl=kl, active=active)

    def _summary(self, k: int, reached: Sequence[Report]) -> dict[str, float]:
        """What run k came to in its evaluations, if one was finite, and what it cost."""
        track, member = self._tracks[k], self._population.members[k]
        cost = {"final/grad_evals": float(member.grad_evals), "final/train_seconds": track.seconds}
        summary = _finite({**cost, "final/l_trivial": self._trivial})
        if not reached:
            return summary
        last, best = reached[-1], min(reached, key=lambda report: report.metrics["val/nelbo"])
        return summary | {
            "final/val_nelbo": last.metrics["val/nelbo"],
            "final/best_val_nelbo": best.metrics["val/nelbo"],
            "final/best_epoch": best.epoch,
            "final/kl": last.metrics["val/kl"],
            "final/rec": last.metrics["val/rec"],
            "final/active_units": last.metrics["val/active_units"],
            "final/epochs": last.epoch,
            "final/l_init": reached[0].metrics["val/nelbo"],
        }

    def test(self, uid: str, x: Tensor, samples: Samples) -> Confirmed:
        """The scores of a run on test examples ``[N, D]``, at the point that its optimizer evaluates at.

        ``final/test_nll`` is the importance-weighted bound; ``final/test_nll_bias`` how far it is still too high. For
        an optimizer with a posterior over weights, ``final/test_nll_weights`` averages p(x) over the decoder's, and
        ``final/test_nll_at_mean`` is what to compare it with: the same samples with the decoder at its mean.
        """
        params = self._params_of(uid)
        evaluator = Evaluator(self._task, x, self._evaluation_seed)
        distortion, rate = evaluator.terms(params, samples.elbo)
        nll, bias = evaluator.bound(params, samples.iwae)
        scores = {
            "final/test_nelbo": float((distortion + rate).mean()),
            "final/test_rec": float(distortion.mean()),
            "final/test_kl": float(rate.mean()),
            "final/test_active_units": float(evaluator.scores(params)[0].active_units),
            "final/test_nll": float(nll.mean()),
            "final/test_nll_bias": float(bias.mean()),
            "final/test_l_trivial": evaluator.trivial,
        }
        draws = self._weight_draws(self._row(uid), samples.weight_draws)
        if (first := next(draws, None)) is not None:
            averaged, at_mean = evaluator.over_weights(params, chain([first], draws))
            scores |= {"final/test_nll_weights": averaged, "final/test_nll_at_mean": at_mean}
        vectors = {"test/nelbo_blocks": blocks(distortion + rate), "test/nll_blocks": blocks(nll)}
        return Confirmed(_finite(scores), _finite_vectors(vectors))

    def _weight_draws(self, k: int, count: int) -> Iterator[dict[str, Tensor]]:
        """Draws of run k's weights, made one at a time; none where its optimizer learns a point.

        Each run has its own: what so many draws miss shows in the spread over seeds, and less of it in their mean.
        """
        own = mix(self._evaluation_seed, self._population.members[k].seeds.noise)
        for draw in range(count):
            yield from self._population.sampled_params(k, mix(own, draw), 1)

    def pictures(self, uid: str) -> Pictures:
        """Reconstructions of the first validation images, and prior samples."""
        shown = self._task.examples.validation[:SHOWN]
        return pictures(self._task, self._params_of(uid), shown, self._evaluation_seed)

    def _train(self, until: float) -> None:
        start = time.perf_counter()
        losses = self._population.train(min(map(self._to_evaluation, self._population.members)), until)
        seconds = time.perf_counter() - start
        for track, row in zip(self._tracks, losses, strict=True):
            track.losses.append(row)
            track.seconds += seconds

    def _judge(self, wanted: list[bool]) -> list[tuple[Report, ...]]:
        if not any(wanted):
            return [()] * len(wanted)
        scores = self._evaluator.scores(self._population.eval_params())
        reports: list[tuple[Report, ...]] = []
        for k, (track, score) in enumerate(zip(self._tracks, scores, strict=True)):
            made = (self._report(k, score),) if wanted[k] else ()
            track.history.extend(made)
            reports.append(made)
        return reports

    def _report(self, k: int, score: Score) -> Report:
        member, track = self._population.members[k], self._tracks[k]
        losses = _joined(track.losses)
        track.losses = []
        metrics = {
            "val/nelbo": score.nelbo,
            "val/rec": score.distortion,
            "val/kl": score.kl,
            "val/active_units": float(score.active_units),
            "time/seconds": track.seconds,
            "cost/grad_evals": float(member.grad_evals),
            "cost/examples": float(member.steps * self._task.batch_size),
        }
        if len(losses):
            now = member.timeline.at(member.steps - 1, 1)
            metrics |= {"train/loss": float(losses.nanmean()), "train/beta": float(now.beta), "train/lr": float(now.lr)}
        vectors = _finite_vectors({"val/kl_per_dimension": score.kl_per_dimension})
        epoch = member.steps // self._task.steps_per_epoch
        return Report(member.steps, epoch, time.time(), _finite(metrics), vectors)

    def _outcome(self, track: Track, member: Member) -> Literal["done", "diverged"] | None:
        """How a run ended, told at an evaluation, so that it does not depend on where a call of ``run`` ended."""
        last = track.history[-1]
        if last.step < member.steps:
            return None
        if member.diverged_at is not None:
            return "diverged"
        if member.steps < self._total(member.settings):
            return None
        return "done" if "val/nelbo" in last.metrics else "diverged"

    def _total(self, settings: Settings) -> int:
        return settings.train.epochs * self._task.steps_per_epoch

    def _to_evaluation(self, member: Member) -> int:
        interval = member.settings.train.evaluate_every * self._task.steps_per_epoch
        return min(interval - member.steps % interval, self._total(member.settings) - member.steps)

    def _is_due(self, k: int) -> bool:
        """Whether run k stands at an evaluation that has not been made."""
        member, last = self._population.members[k], self._tracks[k].history[-1]
        interval = member.settings.train.evaluate_every * self._task.steps_per_epoch
        stands = member.steps % interval == 0 or member.steps == self._total(member.settings)
        return stands and member.steps > last.step

    def _params_of(self, uid: str) -> dict[str, Tensor]:
        k = self._row(uid)
        return {name: tensor[k : k + 1] for name, tensor in self._population.eval_params().items()}

    def _row(self, uid: str) -> int:
        return self.uids.index(uid)


def _reached(track: Track) -> list[Report]:
    """The reports of a run whose evaluation was finite."""
    return [report for report in track.history if "val/nelbo" in report.metrics]


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _finite_vectors(vectors: Mapping[str, list[float]]) -> dict[str, list[float]]:
    return {name: values for name, values in vectors.items() if all(map(math.isfinite, values))}


def _joined(losses: list[Tensor]) -> Tensor:
    """The losses since the last report, ``[S]``."""
    return torch.cat(losses) if losses else torch.empty(0)
