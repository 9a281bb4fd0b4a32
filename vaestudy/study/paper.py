"""The paper bundle of a study: the analysis makes it, the study file and whom to cite come from here."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from vaestudy import analysis
from vaestudy.errors import DataError
from vaestudy.registry import import_plugin
from vaestudy.spec import Study, dump_study
from vaestudy.study.references import references


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
    records = analysis.open_records(source)
    study = _study(source, records)
    return analysis.bundle(records, dump_study(study), references(study), out)


def _study(source: Path, records: analysis.Records) -> Study:
    """The resolved study that the records were made under, its plugins imported."""
    try:
        study = Study.model_validate_json(json.dumps(records.study))
    except ValidationError as error:
        raise DataError(f"{source / 'study.json'}: not a resolved study: {error.errors()[0]['msg']}") from error
    for module in study.plugins:
        import_plugin(module)
    return study
