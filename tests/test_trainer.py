"""What a run reports, how it ends, and that the judge never sees the annealed loss."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest
import torch

from tests.ppca import optimum
from tests.tasks import digits_task, random_task, settings
from vaestudy import checkpoint
from vaestudy.data import Examples
from vaestudy.distributions import likelihoods
from vaestudy.evaluation import Evaluator
from vaestudy.models import models
from vaestudy.population import Task
from vaestudy.records import End, Report
from vaestudy.seeding import Seeds
from vaestudy.spec import Settings
from vaestudy.trainer import Trainer


def run_to_end(trainer: Trainer, uid: str) -> tuple[Report, ...]:
    while True:
        progress = next(p for p in trainer.run() if p.uid == uid)
        if progress.outcome:
            return trainer.history(uid)


def trained(task: Task, chosen: Settings, seed: int = 1) -> tuple[Trainer, tuple[Report, ...]]:
    trainer = Trainer(task, chosen.optimizer, evaluation_seed=0)
    trainer.admit("run", Seeds.same(seed), chosen)
    return trainer, run_to_end(trainer, "run")


def test_the_first_report_is_before_training_and_then_one_an_epoch() -> None:
    _, history = trained(random_task(), settings(epochs=3))
    assert [report.epoch for report in history] == [0, 1, 2, 3]


def test_evaluations_can_be_further_apart_and_the_last_is_at_the_end() -> None:
    _, history = trained(random_task(), settings(epochs=5, train={"evaluate_every": 2}))
    assert [report.epoch for report in history] == [0, 2, 4, 5]


def test_what_is_judged_does_not_depend_on_beta_or_free_bits() -> None:
    task = random_task()
    plain = Trainer(task, "adam", 0)
    plain.admit("run", Seeds.same(1), settings())
    heavy = Trainer(task, "adam", 0)
    heavy.admit("run", Seeds.same(1), settings(train={"beta": {"start": 9.0, "end": 9.0}, "free_bits": {"nats": 5.0}}))
    first = [t.run()[0].reports[0].metrics for t in (plain, heavy)]
    assert first[0] == first[1]


def test_the_negative_elbo_is_distortion_plus_kl_and_kl_is_the_sum_over_dimensions() -> None:
    _, history = trained(random_task(), settings())
    metrics = history[-1].metrics
    assert metrics["val/nelbo"] == pytest.approx(metrics["val/rec"] + metrics["val/kl"])
    assert metrics["val/kl"] == pytest.approx(sum(history[-1].vectors["val/kl_per_dimension"]))


def test_beta_reaches_its_end_value_exactly_at_the_last_update() -> None:
    _, history = trained(random_task(), settings(train={"beta": {"schedule": "linear", "over": 1.0, "end": 0.7}}))
    assert history[-1].metrics["train/beta"] == 0.7


def test_a_run_that_diverges_ends_at_once_with_the_update_and_without_a_value() -> None:
    trainer, _ = trained(random_task(), settings("sgd", lr=1e30))
    end = trainer.end("run", "diverged", {})
    assert end.outcome == end.failure == "diverged"
    assert 1 <= end.step <= 6
    assert "final/val_nelbo" not in end.metrics
    assert all(math.isfinite(value) for value in end.metrics.values())


def test_a_diverged_run_whose_end_nobody_heard_ends_the_same_when_it_is_taken_up_again() -> None:
    task, chosen = random_task(), settings("sgd", lr=1e30)
    trainer, history = trained(task, chosen)
    again = Trainer(task, chosen.optimizer, evaluation_seed=0)
    again.admit("run", Seeds.same(1), chosen, trainer.state_dict("run"))
    (progress,) = again.run()
    assert (progress.outcome, progress.reports) == ("diverged", ())
    assert again.history("run") == history
    first, second = (made.end("run", "diverged", {}) for made in (trainer, again))
    assert (first.step, first.metrics) == (second.step, second.metrics)


def test_a_huge_kl_weight_ends_as_collapsed() -> None:
    trainer, _ = trained(digits_task(), settings(epochs=10, lr=3e-3, train={"beta": {"start": 50.0, "end": 50.0}}))
    assert trainer.end("run", "done", {}).failure == "collapsed"


def test_a_healthy_run_ends_without_failure_below_the_trivial_loss() -> None:
    trainer, _ = trained(digits_task(), settings(epochs=25, lr=3e-3))
    end = trainer.end("run", "done", {})
    assert end.failure == "none"
    assert end.metrics["final/val_nelbo"] < end.metrics["final/l_trivial"] - 1


def test_the_annealed_training_loss_would_choose_the_wrong_trial_and_the_judge_does_not() -> None:
    """Protocol, rule 1: a run stopped while beta was small has the lower training loss and the worse ELBO."""
    task = digits_task()
    trainer = Trainer(task, "adam", 0)
    slow_ramp = settings(epochs=40, lr=3e-3, train={"beta": {"schedule": "linear", "over": 1.0}})
    whole = settings(epochs=40, lr=3e-3)
    trainer.admit("annealed", Seeds.same(1), slow_ramp)
    trainer.admit("plain", Seeds.same(1), whole)
    for _ in range(16):
        trainer.run()
    early = trainer.history("annealed")[-1].metrics
    late = run_to_end(trainer, "plain")[-1].metrics
    assert early["train/loss"] < late["train/loss"]
    assert early["val/nelbo"] > late["val/nelbo"]


def test_a_run_resumed_from_its_checkpoint_ends_with_the_same_history(tmp_path: Path) -> None:
    task, chosen = random_task(), settings("adam", epochs=5)
    _, straight = trained(task, chosen)
    first = Trainer(task, "adam", 0)
    first.admit("run", Seeds.same(1), chosen)
    first.run()
    first.run()
    identity = {"uid": "run", "study": "s"}
    checkpoint.save(tmp_path / "attempt-1", 12, first.state_dict("run"), identity)
    second = Trainer(task, "adam", 0)
    second.admit("run", Seeds.same(1), chosen, checkpoint.load_latest(tmp_path, identity))
    resumed = run_to_end(second, "run")
    strip = [({k: v for k, v in r.metrics.items() if k != "time/seconds"}, dict(r.vectors)) for r in straight]
    assert strip == [({k: v for k, v in r.metrics.items() if k != "time/seconds"}, dict(r.vectors)) for r in resumed]


def test_a_run_admitted_beside_others_in_mid_course_reports_as_if_alone() -> None:
    task, chosen = random_task(), settings("adam", epochs=3)
    _, alone = trained(task, chosen, seed=8)
    trainer = Trainer(task, "adam", 0)
    trainer.admit("old", Seeds.same(1), settings("adam", epochs=6))
    trainer.run()
    trainer.admit("run", Seeds.same(8), chosen)
    among = run_to_end(trainer, "run")
    assert [r.metrics["val/nelbo"] for r in alone] == [r.metrics["val/nelbo"] for r in among]


def ppca_task(scale: float) -> tuple[Task, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    factors = torch.randn(512, 2, generator=generator) @ torch.randn(2, 8, generator=generator)
    x = factors * 0.5 + 0.3 * torch.randn(512, 8, generator=generator) + 0.5
    likelihood = likelihoods.find("gaussian").component(scale=scale)
    return Task(Examples(x, x, False, (2, 4)), models.find("linear").component(8, latent_dim=2), likelihood, 128), x


def test_the_linear_vae_reaches_the_exact_optimum_of_probabilistic_pca() -> None:
    task, x = ppca_task(scale=0.3)
    best = optimum(x.double().numpy(), latent_dim=2, scale=0.3)
    chosen = settings("adam", epochs=1500, lr=0.01, train={"schedule": "cosine", "evaluate_every": 500})
    trainer, _ = trained(task, chosen)
    params = trainer._params_of("run")
    draws = [Evaluator(task, x, seed).scores(params)[0].nelbo for seed in range(40)]
    reached, error = statistics.fmean(draws), 3 * statistics.stdev(draws) / len(draws) ** 0.5
    assert best - error <= reached <= best + error + 0.02


def test_the_importance_weighted_bound_is_between_the_elbo_and_the_exact_likelihood() -> None:
    task, x = ppca_task(scale=0.3)
    exact = optimum(x.double().numpy(), latent_dim=2, scale=0.3)
    trainer, history = trained(task, settings("adam", epochs=60, lr=0.02))
    params = trainer._params_of("run")
    evaluator = Evaluator(task, x, seed=0)
    few, many = evaluator.nll(params, 5), evaluator.nll(params, 200)
    assert exact - 0.05 <= many <= few + 0.02
    assert few <= history[-1].metrics["val/nelbo"] + 0.02


def test_the_end_is_made_of_finite_numbers_only() -> None:
    trainer, _ = trained(random_task(), settings())
    end = trainer.end("run", "done", trainer.test("run", trainer._task.examples.validation, 10))
    assert isinstance(end, End)
    assert all(math.isfinite(value) for value in end.metrics.values())


def test_only_an_optimizer_with_a_weight_posterior_is_judged_over_its_weights() -> None:
    found = {}
    for name in ("ivon", "adam"):
        trainer = Trainer(random_task(), name, evaluation_seed=3)
        trainer.admit("run", Seeds.same(1), settings(name, epochs=2, lr=0.01))
        trainer.run()
        found[name] = trainer.test("run", random_task().examples.validation, iwae_samples=20)
    assert "final/test_nll_weights" not in found["adam"]
    assert math.isfinite(found["ivon"]["final/test_nll_weights"])
    assert found["ivon"]["final/test_nll_weights"] != found["ivon"]["final/test_nll"]


def test_a_narrow_weight_posterior_is_judged_as_its_mean() -> None:
    trainer = Trainer(random_task(), "ivon", evaluation_seed=3)
    trainer.admit("run", Seeds.same(1), settings("ivon", epochs=2, lr=0.01, ess=1e12))
    trainer.run()
    scores = trainer.test("run", random_task().examples.validation, iwae_samples=400)
    assert scores["final/test_nll_weights"] == pytest.approx(scores["final/test_nll"], abs=0.05)
