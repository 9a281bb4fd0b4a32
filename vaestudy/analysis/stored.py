"""Records as Parquet: written, read back, and found wherever a study's or an export's folder holds them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa

from vaestudy.analysis.frames import FRAMES, Records, load, load_parquet
from vaestudy.errors import DataError

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own never gives a driver back the 30 MB of a first export


def record_files(records: Records) -> dict[str, bytes]:
    """The records as files that ``open_records`` reads back: the facts, one row a run, a value, an image."""
    return {
        **facts_file(records),
        "runs.parquet": parquet(_uniform(records.runs)),
        "metrics.parquet": parquet(records.metrics),
        "pictures.parquet": parquet(records.pictures),
    }


def facts_file(records: Records) -> dict[str, bytes]:
    """The study's facts as a file."""
    return {"study.json": json.dumps(records.facts, indent=1).encode()}


def as_stored(records: Records) -> Records:
    """The records as their own files give them back.

    What is made of these is the same whether it starts from the spools or from an earlier export.
    """
    files = record_files(records)
    return Records(
        json.loads(files["study.json"]),
        *(pd.read_parquet(io.BytesIO(files[f"{name}.parquet"])) for name in FRAMES),
    )


def open_records(folder: Path) -> Records:
    """The records in a study's folder (its spools), or in an export's or a bundle's (Parquet).

    Raises:
        DataError: the folder holds neither, or what it holds is damaged.
    """
    if not (folder / "runs.parquet").is_file():
        return load(folder)
    try:
        return load_parquet(folder)
    except (OSError, pa.ArrowException) as error:
        what = str(error).splitlines()[0]
        raise DataError(f"{folder}: its Parquet files cannot be read: {what}") from error


def parquet(frame: pd.DataFrame) -> bytes:
    """A frame as Parquet, the same bytes every time."""
    made: bytes = frame.to_parquet(index=False)
    return made


def _uniform(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with every mixed column as text: Parquet columns have one type."""
    mixed = [
        name for name in runs if not pd.api.types.is_numeric_dtype(runs[name]) and runs[name].map(type).nunique() > 1
    ]
    return runs.astype(dict.fromkeys(mixed, "string")) if mixed else runs
