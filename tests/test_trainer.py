"""What a run reports, how it ends, and that the judge never sees the annealed loss."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from tests.ppca import optimum
from tests.tasks import digits_task, random_task, settings
from vaestudy import checkpoint
from vaestudy.data import Examples
from vaestudy.distributions import likelihoods
from vaestudy.evaluation import Evaluator, Samples, information
from vaestudy.metrics import blocks
from vaestudy.models import models
from vaestudy.population import Task
from vaestudy.records import End, Report
from vaestudy.seeding import Seeds
from vaestudy.spec import Settings
from vaestudy.trainer import Confirmed, Trainer


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
    end = trainer.end("run", "diverged")
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
    first, second = (made.end("run", "diverged") for made in (trainer, again))
    assert (first.step, first.metrics) == (second.step, second.metrics)


def test_a_huge_kl_weight_ends_as_collapsed() -> None:
    trainer, _ = trained(digits_task(), settings(epochs=10, lr=3e-3, train={"beta": {"start": 50.0, "end": 50.0}}))
    assert trainer.end("run", "done").failure == "collapsed"


def test_a_healthy_run_ends_without_failure_below_the_trivial_loss() -> None:
    trainer, _ = trained(digits_task(), settings(epochs=25, lr=3e-3))
    end = trainer.end("run", "done")
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
    few, many = (float(evaluator.bound(params, samples)[0].mean()) for samples in (5, 200))
    assert exact - 0.05 <= many <= few + 0.02
    assert few <= history[-1].metrics["val/nelbo"] + 0.02


def recorded(nelbo: list[float], steps: list[int], kl: float = 3.0, active: float = 2.0) -> tuple[Trainer, End]:
    """A run that has come to the end of its training with such evaluations; an infinite one was left out."""
    task, chosen = random_task(), settings(epochs=2)
    trainer, history = trained(task, chosen)
    state = trainer.state_dict("run")
    reports = [replace(history[-1], step=step, epoch=step // 6, vectors={}) for step in steps]
    values = [{"val/nelbo": value, "val/rec": value - kl} if math.isfinite(value) else {} for value in nelbo]
    rates = {"val/kl": kl, "val/active_units": active}
    made = [replace(report, metrics={**each, **rates}) for report, each in zip(reports, values, strict=True)]
    state["history"], state["seconds"] = [asdict(report) for report in made], 2.5
    again = Trainer(task, chosen.optimizer, evaluation_seed=0)
    again.admit("run", Seeds.same(1), chosen, state)
    return again, again.end("run", "done")


def test_the_summary_has_every_key_with_its_value() -> None:
    nelbo = [9.0, 7.5, 5.25, 5.0, 5.25, 5.5]
    trainer, end = recorded(nelbo, [0, 6, 12, 18, 24, 30], kl=1.25, active=3.0)
    told, limit = information(random_task(), trainer._params_of("run"), 0)
    assert end.metrics == {
        "final/val_nelbo": 5.5,
        "final/best_val_nelbo": 5.0,
        "final/best_epoch": 3,
        "final/kl": 1.25,
        "final/rec": 4.25,
        "final/active_units": 3.0,
        "final/epochs": 5,
        "final/l_init": 9.0,
        "final/grad_evals": 12.0,
        "final/train_seconds": 2.5,
        "final/l_trivial": trivial(random_task()),
        "final/mutual_information": told,
        "final/mutual_information_limit": limit,
    }
    assert limit == pytest.approx(math.log(96 + 32))
    assert (end.outcome, end.step, end.reason, end.vectors) == ("done", 12, "", {})


def trivial(task: Task) -> float:
    return task.likelihood.trivial(task.examples.train, task.examples.validation)


@pytest.mark.parametrize(
    ("nelbo", "best"), [([9.0, 5.0, 5.0, 6.0], 1), ([9.0, 8.0, 7.0, 6.0], 3), ([9.0, 9.5, 9.5], 0)]
)
def test_the_best_epoch_is_that_of_the_least_loss_and_of_equal_ones_the_first(nelbo: list[float], best: int) -> None:
    _, end = recorded(nelbo, [6 * epoch for epoch in range(len(nelbo))])
    assert end.metrics["final/best_epoch"] == best
    assert end.metrics["final/best_val_nelbo"] == nelbo[best]


def test_the_class_is_by_the_runs_own_history_its_end_and_the_constant_decoder() -> None:
    level = trivial(random_task())
    low, steps = level - 3, [0, 54, 60]
    assert recorded([level + 9, low, low], steps)[1].failure == "none"
    assert recorded([level + 9, low + 2, low], steps)[1].failure == "undertrained"
    assert recorded([level + 9, level, level], steps)[1].failure == "undertrained"
    assert recorded([level + 9, level, level], steps, kl=0.05)[1].failure == "collapsed"
    assert recorded([level + 9, level, level], steps, active=0.0)[1].failure == "collapsed"
    assert recorded([level + 9, low, level + 10], steps)[1].failure == "diverged"


def test_the_class_of_a_tested_run_is_by_its_test_part() -> None:
    level = trivial(random_task())
    trainer, plain = recorded([level + 9, level, level], [0, 54, 60], kl=0.05)
    assert plain.failure == "collapsed"
    scores = {"nelbo": level + 1, "l_trivial": level + 3, "kl": 2.0, "active_units": 1.0}

    def failure(**changed: float) -> str:
        metrics = {f"final/test_{name}": value for name, value in {**scores, **changed}.items()}
        return trainer.end("run", "done", Confirmed(metrics, {})).failure

    assert failure() == "none"
    assert failure(nelbo=level + 2) == failure(l_trivial=level + 2) == "undertrained"
    assert failure(nelbo=level + 2, kl=0.05) == failure(nelbo=level + 2, active_units=0.0) == "collapsed"


def test_a_run_whose_test_loss_is_not_finite_is_classed_by_its_validation_part() -> None:
    level = trivial(random_task())
    trainer, plain = recorded([level + 9, level, level], [0, 54, 60])
    assert trainer.end("run", "done", Confirmed({"final/test_kl": 0.0}, {})).failure == plain.failure == "undertrained"


def test_evaluations_that_were_not_finite_are_left_out_of_the_judgement() -> None:
    _, end = recorded([math.inf, 9.0, math.inf, 5.0, 5.0], [0, 6, 12, 54, 60])
    assert (end.metrics["final/l_init"], end.metrics["final/best_epoch"]) == (9.0, 9)


def test_a_run_that_is_infinite_from_the_start_has_diverged_with_what_it_cost() -> None:
    tiny = likelihoods.find("gaussian").component(scale=1e-20)
    trainer, history = trained(random_task(likelihood=tiny), settings(epochs=2))
    end = trainer.end("run", "diverged")
    assert "val/nelbo" not in history[0].metrics
    assert (end.outcome, end.failure, end.step) == ("diverged", "diverged", 1)
    assert end.reason == "loss not finite at update 1"
    assert set(end.metrics) == {"final/grad_evals", "final/train_seconds", "final/l_trivial"}
    assert all(math.isfinite(value) for value in end.metrics.values())


FEW = Samples(elbo=3, iwae=10, weight_draws=4)


def confirmed(
    optimizer: str = "adam", samples: Samples = FEW, **given: float
) -> tuple[Trainer, torch.Tensor, Confirmed]:
    trainer = Trainer(random_task(), optimizer, evaluation_seed=3)
    trainer.admit("run", Seeds.same(1), settings(optimizer, epochs=2, lr=0.01, **given))
    trainer.run()
    x = random_task(seed=7).examples.validation
    return trainer, x, trainer.test("run", x, samples)


def test_every_test_score_is_what_its_name_says() -> None:
    trainer, x, found = confirmed()
    params, evaluator = trainer._params_of("run"), Evaluator(random_task(), x, 3)
    (distortion, rate), (nll, bias) = evaluator.terms(params, 3), evaluator.bound(params, 10)
    assert found.metrics == {
        "final/test_nelbo": pytest.approx(float((distortion + rate).mean())),
        "final/test_rec": pytest.approx(float(distortion.mean())),
        "final/test_kl": pytest.approx(float(rate.mean())),
        "final/test_active_units": evaluator.scores(params)[0].active_units,
        "final/test_nll": pytest.approx(float(nll.mean())),
        "final/test_nll_bias": pytest.approx(float(bias.mean())),
        "final/test_l_trivial": random_task().likelihood.trivial(random_task().examples.train, x),
    }
    assert found.vectors == {"test/nelbo_blocks": blocks(distortion + rate), "test/nll_blocks": blocks(nll)}


def test_the_blocks_of_a_score_have_it_for_their_mean() -> None:
    _, _, found = confirmed()
    for name in ("nelbo", "nll"):
        blocked = found.vectors[f"test/{name}_blocks"]
        assert statistics.fmean(blocked) == pytest.approx(found.metrics[f"final/test_{name}"], rel=1e-12)


def test_of_one_importance_sample_no_bias_is_told() -> None:
    _, _, found = confirmed(samples=Samples(elbo=1, iwae=1, weight_draws=1))
    assert "final/test_nll_bias" not in found.metrics
    assert "final/test_nll" in found.metrics


def test_the_end_of_a_tested_run_carries_its_scores_beside_its_summary() -> None:
    trainer, _, found = confirmed()
    end, plain = trainer.end("run", "done", found), trainer.end("run", "done")
    assert end.metrics == {**plain.metrics, **found.metrics}
    assert end.vectors == found.vectors
    assert plain.vectors == {}


def test_the_end_is_made_of_finite_numbers_only() -> None:
    trainer, x, _ = confirmed()
    name, row = "decoder.output.bias", trainer._population._params
    task = random_task()
    row[:, task.model.layout.offsets[name]] = math.inf  # the loss is not finite, the KL as it was
    end = trainer.end("run", "done", trainer.test("run", x, FEW))
    assert isinstance(end, End)
    assert "final/test_kl" in end.metrics
    assert "final/test_nelbo" not in end.metrics
    assert all(math.isfinite(value) for value in end.metrics.values())
    assert all(math.isfinite(value) for values in end.vectors.values() for value in values)


def test_only_an_optimizer_with_a_weight_posterior_is_judged_over_its_weights() -> None:
    names = {"final/test_nll_weights", "final/test_nll_at_mean"}
    assert not names & set(confirmed("adam")[2].metrics)
    assert names < set(confirmed("ivon")[2].metrics)


def test_weights_are_drawn_anew_as_often_as_asked_for_and_compared_with_their_mean() -> None:
    trainer, x, found = confirmed("ivon", ess=20.0)
    draws = list(trainer._weight_draws(0, 4))
    assert len({float(draw["decoder.output.bias"].sum()) for draw in draws}) == 4
    averaged, at_mean = Evaluator(random_task(), x, 3).over_weights(trainer._params_of("run"), draws)
    assert found.metrics["final/test_nll_weights"] == averaged != at_mean
    assert found.metrics["final/test_nll_at_mean"] == at_mean


def test_every_seed_has_weight_draws_of_its_own() -> None:
    trainer = Trainer(random_task(), "ivon", evaluation_seed=3)
    for seed in (1, 2):
        trainer.admit(f"run {seed}", Seeds(init=1, order=1, noise=seed), settings("ivon", epochs=2, lr=0.01))
    first, second = (next(trainer._weight_draws(k, 1))["decoder.output.bias"] for k in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, next(trainer._weight_draws(0, 1))["decoder.output.bias"])


def test_a_narrow_weight_posterior_is_judged_as_its_mean() -> None:
    _, _, found = confirmed("ivon", Samples(elbo=1, iwae=400, weight_draws=80), ess=1e12)
    scores = found.metrics
    assert scores["final/test_nll_weights"] == pytest.approx(scores["final/test_nll_at_mean"], abs=1e-4)
    assert scores["final/test_nll_at_mean"] == pytest.approx(scores["final/test_nll"], abs=0.05)
