"""A study's folder and its place in an object store, against a real S3 server: what travels, and which is right."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures.object_store import ObjectStore, object_store, results, store
from vaestudy.errors import ConflictError, ServiceError
from vaestudy.store import Store
from vaestudy.study import lease as leases
from vaestudy.study import working_copy
from vaestudy.study.folder import StudyFolder
from vaestudy.study.lease import Lease
from vaestudy.study.locks import holding
from vaestudy.study.mirror import COMMIT, Mirror
from vaestudy.study.working_copy import WorkingCopy, ask_to_stop, refresh

__all__ = ["object_store", "results", "store"]

SPOOL = "runs/a/attempt-1/spool.jsonl"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats and pushes ten times as often."""
    for name in ("BEAT_SECONDS", "PUSH_SECONDS"):
        monkeypatch.setattr(working_copy, name, 0.3)
    for name in ("TRY_SECONDS", "LAST_SECONDS"):
        monkeypatch.setattr(working_copy, name, 1.0)
    monkeypatch.setattr(leases, "SETTLE_SECONDS", 0.1)


def host(tmp_path: Path, name: str, **files: str) -> Path:
    """A host's copy of study ``s``, with files in it."""
    folder = tmp_path / name / "s"
    for key, content in files.items():
        write(folder, key, content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(folder: Path, key: str, content: str) -> None:
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    (folder / key).write_text(content)


def files(folder: Path) -> dict[str, str]:
    """What a copy holds, a machine's own files left out."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {key: path.read_text() for key, path in found.items() if not key.startswith(".") and key != "lock"}


def driven(folder: Path, store: Store, **more: str) -> Mirror:
    """A driver's session: what it fetched, wrote and sent."""
    mirror = Mirror(folder, store)
    mirror.refresh()
    mirror.begin()
    for key, content in more.items():
        write(folder, key, content)
    mirror.push()
    return mirror


def test_another_host_gets_what_was_sent_and_nothing_of_this_machine(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{"study.yaml": "x", SPOOL: "1\n", "lock": "me", "runs/a/attempt-1/.x.tmp": "?"})
    write(one, "runs/a/attempt-1/checkpoint-000000010/state.pt", "weights")
    driven(one, store)
    assert set(store.entries()) == {"study.yaml", SPOOL, COMMIT}
    two = host(tmp_path, "two")
    assert Mirror(two, store).refresh() == []
    assert files(two) == {"study.yaml": "x", SPOOL: "1\n"}


def test_the_commit_is_written_after_all_that_it_stands_for(tmp_path: Path, store: Store) -> None:
    driven(host(tmp_path, "one", **{"study.yaml": "x", SPOOL: "1\n"}), store)
    told = store.read(COMMIT)
    assert told is not None
    assert json.loads(told)["sequence"] == 2, "one as it begins, one when everything is there"
    assert (store.modified(COMMIT) or 0) >= max(entry.modified for entry in store.entries().values())


def test_only_what_changed_is_sent_again(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{"study.yaml": "x", SPOOL: "1\n"})
    mirror = driven(one, store)
    assert not mirror.push()
    store.remove(["study.yaml"])
    write(one, SPOOL, "1\n2\n")
    assert mirror.push()
    assert store.read(SPOOL) == b"1\n2\n"
    assert store.read("study.yaml") is None


def test_a_file_that_goes_while_a_driver_is_at_it_goes_from_the_store(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{"report/old.png": "x", SPOOL: "1\n"})
    mirror = driven(one, store)
    (one / "report" / "old.png").unlink()
    mirror.push()
    assert set(store.entries()) == {SPOOL, COMMIT}


def test_a_copy_that_was_partly_removed_is_filled_again_and_removes_nothing(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{"study.yaml": "x", SPOOL: "1\n"})
    driven(one, store)
    (one / SPOOL).unlink()
    driven(one, store)
    assert files(one) == {"study.yaml": "x", SPOOL: "1\n"}
    assert SPOOL in store.entries()


def test_a_copy_with_more_than_the_store_is_right_while_nobody_else_has_written(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{SPOOL: "1\n"})
    driven(one, store)
    write(one, SPOOL, "1\n2\n")  # and then it was killed
    write(one, "runs/b/attempt-1/spool.jsonl", "1\n")
    Mirror(host(tmp_path, "two"), store).refresh()  # somebody looks, and writes nothing
    assert driven(one, store).state.sent.keys() == {SPOOL, "runs/b/attempt-1/spool.jsonl"}
    assert store.read(SPOOL) == b"1\n2\n"


def test_the_store_is_right_where_another_driver_has_written_since(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{SPOOL: "1\n"})
    driven(one, store)
    write(one, SPOOL, "1\nlost\n")
    write(one, "runs/a/attempt-2/spool.jsonl", "lost\n")
    write(one, "report/table.csv", "mine")
    two = host(tmp_path, "two")
    driven(two, store, **{SPOOL: "1\n2\n3\n"})
    assert Mirror(one, store).refresh() == ["runs/a/attempt-2/spool.jsonl"]
    assert files(one) == {SPOOL: "1\n2\n3\n", "report/table.csv": "mine"}
    assert not (one / "runs/a/attempt-2").exists(), "a folder would count as an attempt"


def test_a_folder_that_was_copied_into_the_store_is_a_study_like_any_other(tmp_path: Path, store: Store) -> None:
    store.write(SPOOL, b"1\n")
    one = host(tmp_path, "one")
    driven(one, store)
    assert files(one) == {SPOOL: "1\n"}


def test_a_place_that_was_emptied_is_filled_again_by_who_wrote_last(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one", **{SPOOL: "1\n"})
    driven(one, store)
    store.remove([SPOOL, COMMIT])
    driven(one, store)
    assert store.read(SPOOL) == b"1\n"


def test_a_driver_that_died_before_it_had_sent_all_is_still_the_last_writer(tmp_path: Path, store: Store) -> None:
    one, two = host(tmp_path, "one", **{SPOOL: "1\n"}), host(tmp_path, "two")
    driven(one, store)
    second = Mirror(two, store)
    second.refresh()
    second.begin()
    store.write(SPOOL, b"1\n2\n")  # no commit follows
    Mirror(one, store).refresh()
    assert files(one) == {SPOOL: "1\n2\n"}


def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path, store: Store, object_store: ObjectStore) -> None:
    driven(host(tmp_path, "one", **{SPOOL: "1\n"}), store)
    object_store.put(f"{store.address}/runs/%2E%2E/%2E%2E/outside", b"x")
    with pytest.raises(ServiceError, match="which leads out of it"):
        Mirror(host(tmp_path, "two"), store).refresh()
    assert not list(tmp_path.rglob("outside"))


def test_a_database_is_sent_whole_while_it_is_written_and_before_the_spools(tmp_path: Path, store: Store) -> None:
    one = host(tmp_path, "one")
    over = threading.Event()

    def search() -> None:
        with closing(sqlite3.connect(one / "optuna.db", timeout=20, isolation_level=None)) as database:
            number = 0
            while not over.wait(0.02):
                number += 1
                database.execute("begin")
                database.execute("insert into trials values (?)", (number,))
                database.execute("insert into settings values (?, ?)", (number, "x" * 3000))
                database.execute("commit")
                write(one, f"runs/{number}/attempt-1/spool.jsonl", "1\n")

    with closing(sqlite3.connect(one / "optuna.db")) as database:
        database.execute("create table trials (number)")
        database.execute("create table settings (number, text)")
    mirror = Mirror(one, store)
    mirror.begin()
    thread = threading.Thread(target=search)
    thread.start()
    try:
        for _ in range(5):
            mirror.push()
            assert store.fetch("optuna.db", tmp_path / "snapshot.db")
            with closing(sqlite3.connect(tmp_path / "snapshot.db")) as snapshot:
                assert snapshot.execute("pragma integrity_check").fetchall() == [("ok",)]
                trials = {number for (number,) in snapshot.execute("select number from trials")}
                assert trials == {number for (number,) in snapshot.execute("select number from settings")}
            records = {int(key.split("/")[1]) for key in store.entries("runs")}
            assert records <= trials, "no record of a trial that the database does not know"
        assert records
    finally:
        over.set()
        thread.join()
    assert list(one.glob(".*.tmp")) == []


def test_a_lease_is_one_drivers_until_it_is_given_back(store: Store, hurried: None) -> None:
    first, second = Lease(store, "one"), Lease(store, "two")
    first.take()
    with pytest.raises(ConflictError, match=r"is running already: host \S+, pid \d+, since"):
        second.take()
    first.renew()
    first.release()
    assert set(store.entries()) == set()
    second.take()
    with pytest.raises(ConflictError, match="has gone to another driver: host"):
        first.renew()
    first.release()
    assert leases.read(store), "what is another's is left alone"


def test_of_two_that_begin_at_once_one_gives_way(store: Store, hurried: None) -> None:
    outcomes = list[str]()

    def begin(writer: str) -> None:
        try:
            Lease(store, writer).take()
            outcomes.append("driver")
        except ConflictError:
            outcomes.append("second")

    threads = [threading.Thread(target=begin, args=(writer,)) for writer in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["driver", "second"]


def test_the_lease_of_a_dead_process_of_the_same_copy_is_taken_at_once(store: Store, hurried: None) -> None:
    Lease(store, "one").take()
    began = time.monotonic()
    Lease(store, "one").take()
    assert time.monotonic() - began < 5


def test_a_lease_that_nobody_renews_is_free_after_a_while(
    store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lease(store, "one").take()
    monkeypatch.setattr(leases, "FREE_SECONDS", 2.0)
    with pytest.raises(ConflictError):
        Lease(store, "two").take()
    time.sleep(3.1)
    Lease(store, "two").take()


def test_a_lease_that_is_gone_is_not_written_again(store: Store, hurried: None) -> None:
    lease = Lease(store, "one")
    lease.take()
    store.remove([leases.KEY])
    with pytest.raises(ConflictError, match="gives way"):
        lease.renew()


def test_a_driver_sends_while_it_works_and_others_see_that_it_runs(
    tmp_path: Path, results: str, store: Store, hurried: None
) -> None:
    one, two = host(tmp_path, "one", **{"study.yaml": "x"}), StudyFolder(tmp_path / "two" / "s", results)
    with holding(one / "lock"), WorkingCopy.driving(one, results):
        write(one, SPOOL, "1\n")
        deadline = time.monotonic() + 20
        while store.read(SPOOL) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        refresh(two.path, results)
        assert two.running
        assert two.driver.startswith("host ")
        with pytest.raises(ConflictError, match="is running already: host"):
            two.check_free()
        write(one, "report/table.csv", "1")
    assert store.read("report/table.csv") == b"1"
    assert leases.read(store) is None
    refresh(two.path, results)
    assert not two.running
    assert files(two.path) == {"study.yaml": "x", SPOOL: "1\n", "report/table.csv": "1"}


def test_a_driver_is_stopped_from_another_host(tmp_path: Path, results: str, store: Store, hurried: None) -> None:
    one, two = host(tmp_path, "one"), host(tmp_path, "two")
    with holding(one / "lock"), WorkingCopy.driving(one, results):
        ask_to_stop(two, results)
        deadline = time.monotonic() + 20
        while not (one / "stop").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert store.read("stop") is None


def test_a_driver_that_was_given_up_stops_and_sends_nothing(
    tmp_path: Path, results: str, store: Store, hurried: None
) -> None:
    one = host(tmp_path, "one")

    def drive() -> None:
        with holding(one / "lock"), WorkingCopy.driving(one, results):
            store.write(leases.KEY, json.dumps({"token": "another's", "host": "two", "pid": 1, "since": 0}).encode())
            deadline = time.monotonic() + 20
            while not (one / "stop").exists():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            write(one, SPOOL, "late\n")

    with pytest.raises(ConflictError, match="has gone to another driver: host two, pid 1"):
        drive()
    assert store.read(SPOOL) is None
    assert leases.read(store), "what is another's is left alone"


def test_checkpoints_go_once_the_store_has_the_end(tmp_path: Path, results: str, store: Store, hurried: None) -> None:
    one = host(tmp_path, "one")
    for name in ("manifest.json", "state.pt"):
        store.write(f"runs/a/attempt-1/checkpoint-000000010/{name}", b"x")
        store.write(f"runs/b/attempt-1/checkpoint-000000010/{name}", b"x")
    with holding(one / "lock"), WorkingCopy.driving(one, results) as copy:
        write(one, SPOOL, "the end\n")
        copy.discard("a")
    kept = [key for key in store.entries("runs") if "checkpoint" in key]
    assert sorted(kept) == [f"runs/b/attempt-1/checkpoint-000000010/{name}" for name in ("manifest.json", "state.pt")]
    assert store.read(SPOOL) == b"the end\n"


def test_a_store_that_goes_away_is_said_once_and_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurried: None
) -> None:
    server = ObjectStore(tmp_path / "server")
    server.wait()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    one, said = host(tmp_path, "one"), list[str]()

    def drive() -> None:
        with holding(one / "lock"), WorkingCopy.driving(one, server.address, said.append):
            server.close()
            write(one, SPOOL, "1\n")
            deadline = time.monotonic() + 60
            while not said:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    with pytest.raises(ServiceError, match=r"nothing is lost: .* sent with: vaestudy resume s --results s3://"):
        drive()
    assert len(said) == 1
    assert "the study goes on" in said[0]
    assert files(one) == {SPOOL: "1\n"}


def test_a_driver_is_not_begun_without_its_store(tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = host(tmp_path, "one")
    with pytest.raises(ServiceError, match="there is no bucket 'nowhere'"):
        refresh(one, "s3://nowhere/results")
    assert files(one) == {}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
