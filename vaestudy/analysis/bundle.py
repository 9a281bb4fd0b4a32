"""The paper bundle: one folder with everything a paper needs of a study, and the check sums to prove it.

    study.yaml  study.json  *.parquet            the study and its records, from which all else is made
    comparison.*  search.tex  runs.csv  ...      tables, and the page report.html
    figures/                                     each figure as PNG and SVG
    protocol.md  protocol.tex  references.bib    the protocol with this study's numbers, and whom to cite
    HASHES  SHA256SUMS                           what the numbers depend on; every file's sum, for sha256sum -c

The bundle is a function of the facts and the Parquet files: a second one, and one made from a bundle, has the same
bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from vaestudy.analysis import document
from vaestudy.analysis.export import tables_and_figures
from vaestudy.analysis.findings import Importance
from vaestudy.analysis.frames import Records
from vaestudy.analysis.protocol import Reference, identities, protocol
from vaestudy.analysis.stored import as_stored
from vaestudy.errors import ConflictError, DiskError

SUMS = "SHA256SUMS"


def bundle(
    records: Records,
    study_file: str,
    references: Sequence[Reference],
    out: Path,
    importance: Importance | None = None,
) -> list[Path]:
    """Writes the bundle of a study, whole or not at all; an earlier bundle in ``out`` is replaced.

    Args:
        study_file: the resolved study as YAML.
        references: everything the study used that was published.
        out: where to write; made if missing.
        importance: computes the importance of searched settings.

    Returns:
        What was written.

    Raises:
        ConflictError: ``out`` holds something that is not a bundle, or a bundle that somebody has changed.
        DiskError: ``out`` cannot be written.
    """
    out = out.resolve()
    _check_replaceable(out)
    return _replace(out, contents(as_stored(records), study_file, references, importance))


def contents(
    records: Records, study_file: str, references: Sequence[Reference], importance: Importance | None = None
) -> dict[str, bytes]:
    """The bundle's files by their paths."""
    text = protocol(records, references)
    files = tables_and_figures(records, figures="figures/", importance=importance)
    files |= {
        "study.yaml": study_file.encode(),
        "protocol.md": document.markdown(text).encode(),
        "protocol.tex": document.latex(text).encode(),
        "references.bib": _bibtex(references).encode(),
        "HASHES": "".join(f"{name}: {value}\n" for name, value in identities(records).items()).encode(),
    }
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return {**files, SUMS: "".join(f"{sums[path]}  {path}\n" for path in sorted(sums)).encode()}


def _bibtex(references: Sequence[Reference]) -> str:
    sources = {reference.source.key: reference.source for reference in references}
    return "\n\n".join(sources[key].bibtex() for key in sorted(sources)) + "\n"


def _check_replaceable(out: Path) -> None:
    """Nothing there, an empty folder, or a bundle as it was made."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConflictError(f"{out} is not a folder; name another for the bundle")
    there = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    if not there:
        return
    if SUMS not in there:
        raise ConflictError(f"{out} holds something that is not a bundle ({min(there)}); name a new or an empty folder")
    if changed := _changed(there):
        raise ConflictError(
            f"{out} has changed since the bundle was made: {', '.join(changed)}; move that away, or name another folder"
        )


def _changed(there: Mapping[str, Path]) -> list[str]:
    """The files that the check sums do not know, or know otherwise."""
    lines = [line.split("  ", 1) for line in there[SUMS].read_text().splitlines()]
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    return [
        name
        for name, path in sorted(there.items())
        if name != SUMS and hashlib.sha256(path.read_bytes()).hexdigest() != sums.get(name)
    ]


def _replace(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes beside ``out`` and renames into place, so that nobody ever sees half a bundle."""
    fresh, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        for name, content in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
        _swap(fresh, out, old)
    except OSError as error:
        raise DiskError(f"cannot write {out}: {error.strerror or error}; name another folder with --paper") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [out / name for name in sorted(files)]


def _swap(fresh: Path, out: Path, old: Path) -> None:
    """Puts ``fresh`` in the place of ``out``; what was there comes back if that fails."""
    if out.exists():
        out.replace(old)
    try:
        fresh.replace(out)
    except OSError:
        if old.exists():
            old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
