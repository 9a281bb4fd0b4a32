"""An object store as this project uses it, against a real S3 server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.addresses import free_port
from tests.fixtures.object_store import ObjectStore, object_store
from vaestudy.errors import ServiceError, UsageError
from vaestudy.store import Store, checked, results_at

__all__ = ["object_store"]


@pytest.fixture
def store(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A folder of the test's own, tried once a call."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    return Store(f"{object_store.address}/{tmp_path.name}", patience=0)


def test_what_is_sent_is_fetched_listed_and_removed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"one\ntwo\n")
    store.send(tmp_path / "spool", "runs/a/spool")
    store.send(tmp_path / "spool", "runs/b/spool", size=4)
    store.write("empty", b"")
    assert {key: entry.size for key, entry in store.entries().items()} == {
        "runs/a/spool": 8,
        "runs/b/spool": 4,
        "empty": 0,
    }
    assert set(store.entries("runs/a")) == {"runs/a/spool"}
    assert store.folders() == ["runs"]
    assert store.below("runs").read("b/spool") == b"one\n"
    assert store.fetch("runs/a/spool", tmp_path / "new" / "spool")
    assert (tmp_path / "new" / "spool").read_bytes() == b"one\ntwo\n"
    modified = store.modified("empty")
    assert modified is not None
    assert abs(modified - time.time()) < 5
    store.remove(["runs/a/spool", "runs/a/never"])
    store.remove_folder("runs/b")
    store.remove_folder("runs/never")
    assert set(store.entries()) == {"empty"}


def test_what_is_not_there_is_none(store: Store, tmp_path: Path) -> None:
    assert store.read("nothing") is None
    assert store.modified("nothing") is None
    assert not store.fetch("nothing", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
    assert store.entries("nothing") == {}
    assert store.folders() == []


def test_a_file_of_several_parts_arrives_whole(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * (90_000)
    (tmp_path / "state.pt").write_bytes(content)
    store.send(tmp_path / "state.pt", "state.pt")
    assert store.read("state.pt") == content
    assert store.fetch("state.pt", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_missing_bucket_is_named(store: Store) -> None:
    other = Store("s3://nowhere/results", patience=0)
    with pytest.raises(ServiceError, match="there is no bucket 'nowhere' in the object store at http://127"):
        other.check()
    with pytest.raises(ServiceError, match="there is no bucket 'nowhere'"):
        other.write("x", b"1")
    store.check()


def test_a_dead_endpoint_is_named_within_the_patience(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"at http://127\S+ does not answer for bucket 'studies': Could not connect"):
        Store(store.address, patience=2).check()
    assert 1 < time.monotonic() - began < 10


def test_a_server_that_hears_but_does_not_answer_is_left(store: Store, object_store: ObjectStore) -> None:
    store.write("x", b"1")
    object_store.pause()
    try:
        with pytest.raises(ServiceError, match="does not answer for bucket 'studies': Timeout was reached"):
            store.read("x")
    finally:
        object_store.go_on()
    assert store.read("x") == b"1"


def test_refused_keys_are_said_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ObjectStore(tmp_path)
    try:
        server.wait()
        server.refuse_all_keys()
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = Store(server.address)
        began = time.monotonic()
        for call in (store.check, store.entries, lambda: store.read("x"), lambda: store.write("x", b"1")):
            with pytest.raises(ServiceError, match="refuses this host's keys for bucket 'studies'") as caught:
                call()
            assert "studies-secret" not in str(caught.value)
            assert "studies-key" not in str(caught.value)
        assert time.monotonic() - began < 5, "asking again changes nothing"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://", "got '' for the bucket"),
        ("s3://bucket", "got a bucket alone; e.g. s3://bucket/results"),
        ("s3://key:hunter2@bucket/results", "keys belong in AWS_ACCESS_KEY_ID"),
        ("s3://bucket/results?secret_key=hunter2", "keys belong in AWS_ACCESS_KEY_ID"),
        ("s3://bucket/../other", "got '..' in the folder"),
        ("s3://bucket//x", "got '' in the folder"),
        ("gs://bucket/results", "got an address of scheme 'gs'"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(address)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_working_copy_is_of_one_address_at_one_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one:9000")
    one = results_at("s3://bucket/results/")
    assert one.path.is_relative_to(tmp_path)
    assert str(one) == "s3://bucket/results"
    assert results_at("s3://bucket/results") == one
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://two:9000")
    assert results_at("s3://bucket/results").path != one.path
    assert results_at("./results").store == ""
