"""Stages of a study: which runs follow a search, under which seeds, launched and extended one by one."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.made_up import study
from vaestudy.errors import ConflictError
from vaestudy.execution import Job
from vaestudy.records import DEFAULTS, STAGES, End, Report, Stage, read_run, read_runs
from vaestudy.search import open_storage
from vaestudy.seeding import Seeds
from vaestudy.spec import Study, study_hash
from vaestudy.study.launch import open_searches
from vaestudy.study.queue import StudyQueue
from vaestudy.study.stages import FIRST_SEEDS

TARGET = {"methods": ["adam"], "trials": 2, "seeds": 3}
CONFIRM = {"seeds": 2, "sources": 2}
BEST = {"sgd": 1, "adam": 2}
"""The trial of each method with the lowest score."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "made-up"


def open_queue(folder: Path, made: Study, wanted: tuple[Stage, ...] = STAGES) -> StudyQueue:
    folder.mkdir(exist_ok=True)
    storage = open_storage("sqlite", folder)
    opened = open_searches(made, storage, retry_failed=False)
    return StudyQueue(made, study_hash(made), folder, opened, lambda: False, lambda: None, wanted)


def done(job: Job) -> End:
    """The end of a run, whose trial's number decides the score."""
    value = 20.0 + abs(job.run.trial - BEST[job.run.method])
    return End("done", 10, time.time(), metrics={"final/val_nelbo": value})


def drain(queue: StudyQueue) -> list[Job]:
    """Runs everything that the queue gives."""
    ran: list[Job] = []
    while not queue.exhausted:
        jobs = list(queue.take(3))
        assert jobs or queue.exhausted, "the queue is not exhausted and gives nothing"
        for job in jobs:
            queue.end(job, done(job))
        ran += jobs
    queue.close()
    return ran


def stages_of(jobs: list[Job]) -> Counter[tuple[str, str]]:
    return Counter((job.run.method, job.run.stage) for job in jobs)


def test_every_stage_follows_the_search_of_its_cell(folder: Path) -> None:
    made = study(trials=3, confirm=CONFIRM, target=TARGET)
    jobs = drain(open_queue(folder, made))
    assert stages_of(jobs) == {
        **{(m, s): n for m in ("sgd", "adam") for s, n in (("search", 3), ("confirm", 2), ("sources", 6))},
        ("adam", "target"): 3,
    }
    reruns = {job.run.trial for job in jobs if job.run.stage in ("confirm", "sources") and job.run.method == "adam"}
    assert reruns == {BEST["adam"]}


def test_the_target_is_the_best_of_the_first_trials_of_the_reference_methods(folder: Path) -> None:
    jobs = drain(open_queue(folder, study(trials=3, target=TARGET)))
    assert {(job.run.method, job.run.trial) for job in jobs if job.run.stage == "target"} == {("adam", 1)}


def test_a_declared_target_needs_no_runs(folder: Path) -> None:
    jobs = drain(open_queue(folder, study(trials=2, target={"nats": {"w": 21.5}})))
    assert "target" not in {job.run.stage for job in jobs}


def test_the_published_defaults_are_confirmed_without_a_trial(folder: Path) -> None:
    jobs = drain(open_queue(folder, study(trials=2, confirm={"seeds": 2, "defaults": True})))
    mine = [job for job in jobs if job.run.method == "adam" and job.run.trial == DEFAULTS]
    assert [(job.run.stage, job.run.seed) for job in mine] == [("confirm", 1), ("confirm", 2)]
    assert mine[0].settings.hyperparameters["lr"] == 1e-3
    assert mine[0].run.name == "adam defaults seed 1"


def test_no_seed_serves_two_stages(folder: Path) -> None:
    jobs = drain(open_queue(folder, study(trials=3, confirm=CONFIRM, target=TARGET)))
    adam = [(job.run.seed, job.run.trial) for job in jobs if job.run.method == "adam"]
    assert len(set(adam)) == len(adam)
    by_stage = {job.run.stage: {j.run.seed for j in jobs if j.run.stage == job.run.stage} for job in jobs}
    assert len(set().union(*by_stage.values())) == sum(map(len, by_stage.values()))


def test_each_source_of_spread_varies_alone() -> None:
    assert Seeds.varying("order", 7, 1) == Seeds(1, 7, 1)
    assert Seeds.varying("init", 7, 1) == Seeds(7, 1, 1)
    assert Seeds.varying("noise", 7, 1) == Seeds(1, 1, 7)
    assert Seeds.varying("all", 7, 1) == Seeds.same(7)


def test_sources_name_what_varies(folder: Path) -> None:
    jobs = drain(open_queue(folder, study(trials=2, confirm=CONFIRM)))
    found = Counter((job.run.varied, job.run.seed) for job in jobs if job.run.stage == "sources")
    assert found == {
        (varied, FIRST_SEEDS["sources", varied] + n): 2 for varied in ("init", "order", "noise") for n in (0, 1)
    }


def test_a_stage_runs_alone_once_the_search_has_ended(folder: Path) -> None:
    made = study(trials=3, confirm=CONFIRM, target=TARGET)
    assert {stage for _, stage in stages_of(drain(open_queue(folder, made, ("search",))))} == {"search"}
    assert stages_of(drain(open_queue(folder, made, ("target",)))) == {("adam", "target"): 3}
    assert {stage for _, stage in stages_of(drain(open_queue(folder, made, ("confirm",))))} == {"confirm"}
    assert {stage for _, stage in stages_of(drain(open_queue(folder, made)))} == {"sources"}


def test_no_stage_follows_a_search_that_has_not_ended(folder: Path) -> None:
    with pytest.raises(ConflictError, match=r"search of w/sgd has ended 0 of 3 trials.*--stage search first"):
        open_queue(folder, study(trials=3), ("confirm",))


def test_more_seeds_run_only_what_is_missing(folder: Path) -> None:
    drain(open_queue(folder, study(trials=2, confirm={"seeds": 2})))
    jobs = drain(open_queue(folder, study(trials=2, confirm={"seeds": 4})))
    assert {(job.run.stage, job.run.seed) for job in jobs} == {("confirm", 3), ("confirm", 4)}


def test_more_trials_confirm_the_new_winner(folder: Path) -> None:
    drain(open_queue(folder, study(methods=("adam",), trials=2, confirm={"seeds": 2})))
    jobs = drain(open_queue(folder, study(methods=("adam",), trials=3, confirm={"seeds": 2})))
    assert [(job.run.stage, job.run.trial) for job in jobs] == [("search", 2), ("confirm", 2), ("confirm", 2)]


def test_what_was_begun_for_a_former_winner_ends_with_the_study_and_may_begin_again(folder: Path) -> None:
    def grown(trials: int) -> Study:
        return study(methods=("adam",), trials=trials, confirm={"seeds": 1})

    first = open_queue(folder, grown(2))
    for job in first.take(2):
        first.end(job, done(job))
    (begun,) = first.take(1)
    first.report(begun, [Report(0, 0, 1.0, {"val/nelbo": 30.0}), Report(10, 1, 2.0, {"val/nelbo": 25.0})])
    first.close()

    second = open_queue(folder, grown(3))
    drain(second)
    second.cancel_rest()
    left = read_run(folder, begun.run.uid)
    assert left.end is not None
    assert (left.end.outcome, left.end.step) == ("cancelled", 10)
    assert [report.step for report in left.reports] == [0, 10]
    assert all(record.end for record in read_runs(folder))

    third = open_queue(folder, study(methods=("adam",), trials=3, confirm={"seeds": 1, "budgets": [2]}))
    assert [job.run.uid for job in drain(third)] == [begun.run.uid]


def test_a_trial_whose_record_is_gone_runs_again_as_it_was(folder: Path) -> None:
    made = study(trials=3, confirm=CONFIRM)
    first = {job.run.uid: job.run for job in drain(open_queue(folder, made)) if job.run.stage == "search"}
    gone = [uid for uid, run in first.items() if run.trial == 1]
    for uid in gone:
        shutil.rmtree(folder / "runs" / uid)
    again = drain(open_queue(folder, made))
    assert {job.run.uid: job.run for job in again} == {uid: first[uid] for uid in gone}
    assert drain(open_queue(folder, made)) == []


def test_what_was_given_back_is_given_out_again_alone(folder: Path) -> None:
    queue = open_queue(folder, study(trials=4))
    jobs = list(queue.take(4))
    queue.release(jobs[2:])
    assert [job.run.uid for job in queue.take(1)] == [jobs[2].run.uid]
    again = queue.take(3)
    assert [job.run.uid for job in again] == [jobs[3].run.uid]
    assert again[0].attempt == 2
    assert not queue.exhausted
    queue.close()


def replicated(replicates: int, **more: object) -> Study:
    return study(search={"trials": 3, "replicates": replicates}, confirm=CONFIRM, target=TARGET, **more)


def test_each_replicate_repeats_the_search_and_the_confirmation_and_the_first_alone_the_rest(folder: Path) -> None:
    jobs = drain(open_queue(folder, replicated(3)))
    per_replicate = Counter((job.run.replicate, job.run.method, job.run.stage) for job in jobs)
    first = {(0, m, s): n for m in ("sgd", "adam") for s, n in (("search", 3), ("confirm", 2), ("sources", 6))}
    later = {(r, m, s): n for r in (1, 2) for m in ("sgd", "adam") for s, n in (("search", 3), ("confirm", 2))}
    assert per_replicate == {**first, **later, (0, "adam", "target"): 3}


def test_replicates_search_under_seeds_and_settings_of_their_own(folder: Path) -> None:
    jobs = [job for job in drain(open_queue(folder, replicated(3))) if job.run.stage == "search"]
    assert {(job.run.replicate, job.run.seed) for job in jobs} == {(0, 0), (1, 10_000), (2, 20_000)}
    rates = {job.run.settings["lr"] for job in jobs}
    assert len(rates) == len(jobs)


def test_replicates_share_confirmation_seeds_between_methods_and_with_no_other_replicate(folder: Path) -> None:
    jobs = [job.run for job in drain(open_queue(folder, replicated(2))) if job.run.stage == "confirm"]
    seeds = {m: {run.seed for run in jobs if run.method == m} for m in ("sgd", "adam")}
    assert seeds["sgd"] == seeds["adam"] == {1, 2, 10_001, 10_002}


def test_more_replicates_leave_the_runs_that_are_there_as_they_are(folder: Path) -> None:
    alone = {job.run.uid: job.run for job in drain(open_queue(folder, replicated(1)))}
    added = {job.run.uid: job.run for job in drain(open_queue(folder, replicated(2)))}
    assert not set(alone) & set(added)
    assert {run.replicate for run in added.values()} == {1}


def test_replicates_of_a_cell_train_together_where_one_has_too_few(folder: Path) -> None:
    queue = open_queue(folder, study(methods=("adam",), search={"trials": 2, "replicates": 3}))
    jobs = queue.take(8)
    assert sorted((job.run.replicate, job.run.trial) for job in jobs) == [(r, n) for r in range(3) for n in range(2)]
    queue.close()


def test_a_later_replicate_stands_in_the_names_of_its_runs(folder: Path) -> None:
    names = {job.run.name for job in drain(open_queue(folder, replicated(2)))}
    assert {"adam #002", "adam r2 #002", "adam #002 seed 1", "adam r2 #002 seed 10001"} <= names
