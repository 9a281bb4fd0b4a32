"""Spools: what was written comes back; torn tails are dropped; damage is named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaestudy.errors import DataError, DiskError
from vaestudy.records import End, Report, Run, Spool, attempt_folder, attempts, last_attempt, read_run, read_runs

RUN = Run("u1", "w/m", "w", "m", "search", 3, 0, {"lr": 0.1, "schedule": "cosine"})
numbers = st.floats(allow_nan=False, allow_infinity=False)


def report(step: int) -> Report:
    return Report(step, step, 100.0 + step, {"val/nelbo": 1.0 / (step + 1)}, {"val/kl_per_dimension": [0.1, 0.2]})


def spool_file(folder: Path, attempt: int = 1) -> Path:
    return attempt_folder(folder, "u1", attempt) / "spool.jsonl"


def written(folder: Path, *steps: int, attempt: int = 1, end: bool = False) -> None:
    spool = Spool(folder, RUN, attempt, 1.0)
    spool.report(*(report(step) for step in steps))
    if end:
        spool.end(End("done", steps[-1], 2.0, metrics={"final/val_nelbo": 1.5}))
    spool.close()


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path, 0, 1, 2, end=True)
    record = read_run(tmp_path, "u1")
    assert record.run == RUN
    assert record.reports == (report(0), report(1), report(2))
    assert record.end == End("done", 2, 2.0, metrics={"final/val_nelbo": 1.5})


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=8), numbers, max_size=4), min_size=1, max_size=5))
def test_any_finite_metrics_come_back_exactly(tmp_path: Path, metrics: list[dict[str, float]]) -> None:
    folder = tmp_path / os.urandom(6).hex()
    reports = tuple(Report(i, i, 0.5, found) for i, found in enumerate(metrics))
    spool = Spool(folder, RUN, 1, 1.0)
    spool.report(*reports)
    spool.close()
    assert read_run(folder, "u1").reports == reports


def test_what_an_earlier_attempt_reported_stands(tmp_path: Path) -> None:
    written(tmp_path, 0, 1, 2)
    written(tmp_path, 0, attempt=2)
    spool = Spool(tmp_path, RUN, 3, 1.0)
    again = [replace(report(step), time=999.0) for step in range(4)]
    assert spool.report(*again) == (report(0), report(1), report(2), again[3])
    spool.close()
    assert read_run(tmp_path, "u1").reports == (report(0), report(1), report(2), again[3])


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    written(tmp_path, 0, 1)
    path = spool_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_run(tmp_path, "u1").reports == (report(0),)


def test_a_flipped_bit_before_the_last_line_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    written(tmp_path, 0, 1, 2)
    path = spool_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 30] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"spool\.jsonl:2: damaged line"):
        read_run(tmp_path, "u1")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000))
def test_a_spool_cut_anywhere_gives_the_reports_before_the_cut(tmp_path: Path, cut: int) -> None:
    written(tmp_path, 0, 1, 2, end=True)
    path = spool_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    kept = path.read_bytes().count(b"\n")
    found = read_run(tmp_path, "u1")
    path.unlink()
    assert found.reports == tuple(report(step) for step in range(min(max(kept - 1, 0), 3)))
    assert found.end is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_before_the_last_line_is_an_error(tmp_path: Path, at: int, bit: int) -> None:
    written(tmp_path, 0, 1, 2)
    path = spool_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[at % content.rindex(b"\n", 0, -1)] ^= 1 << bit
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged line"):
        read_run(tmp_path, "u1")
    path.unlink()


def test_a_run_whose_first_line_is_not_there_yet_began_when_its_attempt_did(tmp_path: Path) -> None:
    written(tmp_path)
    file = spool_file(tmp_path)
    file.write_bytes(b"")
    assert read_run(tmp_path, RUN.uid).started == pytest.approx(file.parent.stat().st_mtime)
    assert [record.started for record in read_runs(tmp_path)] == [read_run(tmp_path, RUN.uid).started]


def test_only_the_highest_attempt_is_believed(tmp_path: Path) -> None:
    written(tmp_path, 0, 1, 2, 3)
    written(tmp_path, 0, 1, attempt=2)
    assert last_attempt(tmp_path, "u1") == 2
    assert read_run(tmp_path, "u1").reports == (report(0), report(1))


def test_what_is_no_attempt_is_not_counted(tmp_path: Path) -> None:
    written(tmp_path, 0, attempt=1)
    for name in ("7", "attempt-x", "damaged-attempt-9"):
        (tmp_path / "runs" / "u1" / name).mkdir()
    assert attempts(tmp_path, "u1") == [1]


def test_a_report_sent_twice_is_kept_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN, 1, 1.0)
    assert spool.report(report(0), report(1)) == (report(0), report(1))
    assert spool.report(report(0), report(1), report(2)) == (report(2),)
    spool.close()
    assert read_run(tmp_path, "u1").reports == (report(0), report(1), report(2))


def test_of_two_ends_the_first_stands_and_nothing_follows_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN, 1, 1.0)
    assert spool.end(End("pruned", 1, 2.0))
    assert not spool.end(End("done", 1, 3.0))
    assert spool.report(report(5)) == ()
    record = read_run(tmp_path, "u1")
    assert record.end is not None
    assert record.end.outcome == "pruned"


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, RUN, 1, 1.0)
    with pytest.raises(ValueError, match="JSON compliant"):
        spool.report(Report(1, 1, 1.0, {"val/nelbo": float("nan")}))
    spool.close()


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    written(tmp_path, 0)
    (tmp_path / "runs" / "u1" / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: not a run plan"):
        list(read_runs(tmp_path))


def test_a_folder_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(DiskError, match="cannot write"):
        Spool(tmp_path, RUN, 1, 1.0)


def test_names_are_what_people_see() -> None:
    confirm = Run("u", "w/m", "w", "m", "confirm", 3, 2, {})
    assert (RUN.name, confirm.name) == ("m #003", "m #003 seed 2")
