"""``study.yaml`` and ``study.json``: both there, both readable, and of one study, that of the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from vaestudy.errors import DataError, SpecError
from vaestudy.records import read_plan, run_uids
from vaestudy.seeding import uid
from vaestudy.spec import Study, study_hash
from vaestudy.study.doctor.finding import BY_REPAIR, Finding
from vaestudy.study.folder import StudyFolder


@dataclass(frozen=True)
class Facts:
    """What the study's folder says that it is: the study, if either file still tells, and what is wrong."""

    study: Study | None
    findings: tuple[Finding, ...]


def facts(folder: StudyFolder) -> Facts:
    """The study, from the file that can be read and that the runs were made under."""
    stored, trouble = _from_yaml(folder)
    copied, copy_trouble = _from_json(folder)
    study = _chosen(folder, stored, copied)
    if study is None:
        remedy = "put back a copy of one of them"
        found = (("study.yaml", trouble), ("study.json", copy_trouble))
        return Facts(None, tuple(Finding("damage", name, what, remedy) for name, what in found))
    return Facts(study, tuple(_disagreements(folder, study, trouble, copy_trouble, stored, copied)))


def _disagreements(
    folder: StudyFolder, study: Study, trouble: str, copy_trouble: str, stored: Study | None, copied: Study | None
) -> Iterator[Finding]:
    rewrite = partial(folder.write, study)
    if stored is None:
        yield Finding("damage", "study.yaml", trouble, BY_REPAIR, rewrite)
    elif _plain(stored) != _plain(study):
        yield Finding("damage", "study.yaml", "is not the study that the runs were made under", BY_REPAIR, rewrite)
    if copied is None:
        yield Finding("damage", "study.json", copy_trouble, BY_REPAIR, rewrite)
    elif _plain(copied) != _plain(study):
        yield Finding(
            "damage",
            "study.json",
            "is of another study than study.yaml, or of an older state of it",
            BY_REPAIR,
            rewrite,
        )
    elif _document(folder)["hash"] != study_hash(copied):
        yield Finding("damage", "study.json", "its hash is not that of its study", BY_REPAIR, rewrite)


def _chosen(folder: StudyFolder, stored: Study | None, copied: Study | None) -> Study | None:
    """The study in the file; the copy where that alone can be read, or alone fits the runs."""
    if stored is None or copied is None or study_hash(stored) == study_hash(copied):
        return stored or copied
    return copied if not _fits(folder, stored) and _fits(folder, copied) else stored


def _fits(folder: StudyFolder, study: Study) -> bool:
    """Whether a run has the identity that this study gives it."""
    for name in run_uids(folder.path):
        try:
            run = read_plan(folder.path, name)
        except DataError:
            continue
        if uid(study_hash(study), run.cell, run.trial, run.seed) == run.uid:
            return True
    return False


def _from_yaml(folder: StudyFolder) -> tuple[Study | None, str]:
    if not folder.resolved.exists():
        return None, "is missing"
    try:
        return folder.study(), ""
    except SpecError as error:
        return None, f"cannot be read: {error.problems[0].message}"


def _from_json(folder: StudyFolder) -> tuple[Study | None, str]:
    try:
        return Study.model_validate_json(json.dumps(_document(folder)["study"])), ""
    except FileNotFoundError:
        return None, "is missing"
    except ValidationError as error:
        return None, f"cannot be read: {error.errors()[0]['msg']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"cannot be read: {error}"


def _plain(study: Study) -> dict[str, Any]:
    """A study as JSON has it, in which a tuple is a list."""
    return study.model_dump(mode="json", by_alias=True)


def _document(folder: StudyFolder) -> dict[str, Any]:
    document = json.loads((folder.path / "study.json").read_bytes())
    if not isinstance(document, dict) or "hash" not in document:
        raise ValueError("not a study's facts")
    return document
