"""The text on a study's page in MLflow: the question, the answer so far, and links to the views."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from vaestudy.records import RunRecord
from vaestudy.spec import Study
from vaestudy.tracking import views
from vaestudy.tracking.address import study_url
from vaestudy.tracking.rows import best, primary_metric

CHARACTERS = 5000
"""What an experiment's tag holds on every server."""

MENU = "MLflow's own menu of views opens all of them as tables; its chart button turns them into these."


def note(study: Study, records: Sequence[RunRecord], experiment_id: str, answers: Sequence[str] = ()) -> str:
    """The note in Markdown. MLflow shows its first line on every page: the question, and the answer where there is one.

    Args:
        answers: one a workload and budget; the last one, of the largest budget, stands in the first line.
    """
    question = " ".join(study.description.split()) or f"Study {study.name}"
    parts = [" ".join([f"**{question}**", *answers[-1:]]), "\n".join(f"- {answer}" for answer in answers[:-1])]
    for workload in study.workloads:
        here = [record for record in records if record.run.workload == workload]
        parts += [f"### {workload}", _links(study, workload, experiment_id), _table(study, here)]
    return "\n\n".join(part for part in [*parts, MENU] if part)[:CHARACTERS]


def _links(study: Study, workload: str, experiment_id: str) -> str:
    return " | ".join(
        f"[{title}]({study_url('', experiment_id, views.key(study, kind, workload))})"
        for kind, title in views.titles(study).items()
    )


def _table(study: Study, records: Sequence[RunRecord]) -> str:
    metric = primary_metric(study)
    values: dict[str, list[float]] = {}
    winners = best(study, records)
    for record in records:
        shown = record.run.uid in winners if study.confirm.seeds else record.run.stage == "search"
        if shown and record.end and record.end.failure == "none" and metric in record.end.metrics:
            values.setdefault(record.run.method, []).append(record.end.metrics[metric])
    if not values:
        return ""
    word, summary = ("mean", fmean) if study.confirm.seeds else ("best", min)
    head = f"| method | {metric}, {word} (nats per example) | sound runs |\n| --- | ---: | ---: |\n"
    ranked = sorted((summary(measured), method, len(measured)) for method, measured in values.items())
    lines = [f"| {method} | {value:.2f} | {runs} |" for value, method, runs in ranked]
    return head + "\n".join(lines) + "\n\nIntervals, failures and budgets: `report/` among the study run's artifacts."
