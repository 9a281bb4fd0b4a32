"""Reports and the paper bundle: the analysis makes them, what it may not import itself comes from here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from vaestudy.analysis.bundle import bundle
from vaestudy.analysis.compare import trials
from vaestudy.analysis.export import export
from vaestudy.analysis.findings import Importance, Importances
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.spaces import space as searched
from vaestudy.analysis.stored import open_records
from vaestudy.errors import DataError
from vaestudy.registry import import_plugin
from vaestudy.search import Evaluator, importance
from vaestudy.spec import Study, dump_study, space
from vaestudy.study.folder import StudyFolder
from vaestudy.study.references import references

EVALUATORS: tuple[Evaluator, ...] = ("ped-anova", "fanova")


def make_export(folder: Path, formats: Sequence[str], out: Path) -> list[Path]:
    """Writes a study's tables and figures (``analysis.export``), with the importance of its searched settings."""
    return export(folder, formats, out, importances(StudyFolder(folder).study()))


def importances(study: Study) -> Importance:
    """Computes the importance of a method's searched settings on a workload, by evaluator, from its ended trials."""

    def computed(records: Records, workload: str, method: str) -> Importances:
        search = trials(records, workload, method)
        ended = search[search["outcome"].isin(["done", "diverged"])]
        values = {dimension.key: dimension.values(ended) for dimension in searched(records, method)}
        settings = [
            {key: found.iloc[i] for key, found in values.items() if found.iloc[i] == found.iloc[i]}
            for i in range(len(ended))
        ]
        losses = column(ended, "final/val_nelbo").where(ended["outcome"] == "done").fillna(math.inf)
        ranges = space(study, method)
        return {name: importance(settings, list(losses), ranges, name) for name in EVALUATORS}

    return computed


def make_bundle(source: Path, out: Path) -> list[Path]:
    """Writes the paper bundle of the study whose records lie in ``source``.

    Args:
        source: a study's folder, or an export's or a bundle's with Parquet.
        out: the bundle's folder; an earlier bundle there is replaced.

    Returns:
        What was written.

    Raises:
        DataError: ``source`` holds no sound records.
        ConflictError: ``out`` holds something else.
        DiskError: ``out`` cannot be written.
    """
    records = open_records(source)
    study = _study(source, records)
    return bundle(records, dump_study(study), references(study), out, importances(study))


def _study(source: Path, records: Records) -> Study:
    """The resolved study that the records were made under, its plugins imported."""
    try:
        study = Study.model_validate_json(json.dumps(records.study))
    except ValidationError as error:
        raise DataError(f"{source / 'study.json'}: not a resolved study: {error.errors()[0]['msg']}") from error
    for module in study.plugins:
        import_plugin(module)
    return study
