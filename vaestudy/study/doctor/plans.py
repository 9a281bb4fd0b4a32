"""The plans of a study's runs, made anew from what its trial database says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from vaestudy.records import STAGES, Run, write_atomically
from vaestudy.search import Told
from vaestudy.spec import Cell, Study, reference_methods, study_hash
from vaestudy.study.doctor.trials import current, read_table


def rewrite_plan(study: Study, folder: Path, uid: str) -> None:
    """Writes the plan of a run again, where the trial database still tells what it was.

    Raises:
        VaestudyError: the trial database cannot be read, or the plan cannot be written.
    """
    for run in _plans(study, folder):
        if run.uid == uid:
            write_atomically(folder / "runs" / uid / "run.json", json.dumps(asdict(run), indent=1, allow_nan=False))


def _plans(study: Study, folder: Path) -> Iterator[Run]:
    """The trials that have been asked for, and the reruns of the winners so far."""
    from vaestudy.study.stages import Stages  # with it comes Ray: seconds that only this repair needs

    stages = Stages(study, study_hash(study))
    told: dict[tuple[Cell, int], list[Told]] = {}
    for of, rows in read_table(study, folder).items():
        for row in current(rows).values():
            assert row.number is not None
            cell = Cell(of.workload, row.method)
            yield stages.trial(cell, row.number, row.drawn, of.replicate).run
            if row.told:
                told.setdefault((cell, of.replicate), []).append(row.told)
    for (cell, replicate), ended in told.items():
        yield from (job.run for job in stages.reruns(cell, ended, replicate, STAGES))
    for workload in study.workloads:
        known = {method: told.get((Cell(workload, method), 0), []) for method in reference_methods(study)}
        yield from (job.run for job in stages.targets(workload, known))
