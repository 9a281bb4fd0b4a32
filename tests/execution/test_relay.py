"""Checkpoints that travel from host to host through a real S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fixtures.object_store import ObjectStore, object_store, results, store
from vaestudy import checkpoint
from vaestudy.errors import ServiceError
from vaestudy.execution import relay
from vaestudy.execution.relay import Relay
from vaestudy.store import Store

__all__ = ["object_store", "results", "store"]

IDENTITY = {"uid": "a", "study": "hash"}


def saved(folder: Path, attempt: int, step: int) -> Path:
    state = {"row": torch.full((3,), float(step))}
    return checkpoint.save(folder / "runs" / "a" / f"attempt-{attempt}", step, state, IDENTITY)


def loaded(folder: Path) -> float | None:
    state = checkpoint.load_latest(folder / "runs" / "a", IDENTITY)
    return None if state is None else float(state["row"][0])


def test_another_host_goes_on_from_the_newest_checkpoint(tmp_path: Path, results: str) -> None:
    one, two = tmp_path / "one" / "s", tmp_path / "two" / "s"
    sender = Relay(one, results)
    for attempt, step in ((1, 900), (2, 20), (2, 30), (10, 25)):
        sender.send_checkpoints([saved(one, attempt, step)])
    Relay(two, results).fetch_checkpoints(two / "runs" / "a")
    assert loaded(two) == 25.0
    assert sorted(path.parent.name for path in two.rglob("checkpoint-*")) == ["attempt-10", "attempt-2"]
    assert not list(two.rglob(".*"))


def test_the_store_keeps_as_many_as_the_host(tmp_path: Path, results: str, store: Store) -> None:
    sender = Relay(tmp_path / "s", results)
    for step in (10, 20, 30, 40):
        sender.send_checkpoints([saved(tmp_path / "s", 1, step)])
    assert sorted({key.split("/")[-2] for key in store.entries()}) == ["checkpoint-000000030", "checkpoint-000000040"]


def test_a_manifest_is_sent_last_and_nothing_is_left_of_what_is_removed(
    tmp_path: Path, results: str, store: Store, object_store: ObjectStore
) -> None:
    sender = Relay(tmp_path / "s", results)
    for step in (10, 20, 30):
        sender.send_checkpoints([saved(tmp_path / "s", 1, step)])
    log = [line for line in object_store.log().splitlines() if f"/{tmp_path.name}/s/" in line]
    written = [line for line in log if '"PUT ' in line and "checkpoint-" in line]
    assert ["manifest.json" in line for line in written] == [False, True] * 3
    assert store.below("runs/a/attempt-1").folders() == ["checkpoint-000000020", "checkpoint-000000030"]


def test_a_checkpoint_without_its_manifest_is_none(tmp_path: Path, results: str, store: Store) -> None:
    one, two = tmp_path / "one" / "s", tmp_path / "two" / "s"
    Relay(one, results).send_checkpoints([saved(one, 1, 10)])
    store.write("runs/a/attempt-1/checkpoint-000000020/state.pt", b"half")
    Relay(two, results).fetch_checkpoints(two / "runs" / "a")
    assert loaded(two) == 10.0


def test_a_damaged_object_is_passed_over(tmp_path: Path, results: str, store: Store) -> None:
    one, two = tmp_path / "one" / "s", tmp_path / "two" / "s"
    for step in (10, 20):
        Relay(one, results).send_checkpoints([saved(one, 1, step)])
    store.write("runs/a/attempt-1/checkpoint-000000020/state.pt", b"damaged")
    Relay(two, results).fetch_checkpoints(two / "runs" / "a")
    assert loaded(two) == 10.0


def test_what_a_host_has_sent_goes_when_its_run_leaves_and_what_it_has_not_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ObjectStore(tmp_path / "server")
    server.wait()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(relay, "PATIENCE", 0.0)
    folder = tmp_path / "s"
    sender = Relay(folder, server.address)
    attempt = saved(folder, 2, 10).parent
    sender.send_checkpoints([attempt / "checkpoint-000000010"])
    later = saved(folder, 3, 10)
    sender.leave(attempt)
    assert not attempt.exists()
    assert later.exists(), "another worker's"
    server.close()
    sender.send_checkpoints([saved(folder, 2, 20)])  # training goes on
    sender.leave(attempt)
    assert loaded(folder) is not None
    with pytest.raises(ServiceError, match="does not answer"):
        sender.fetch_checkpoints(folder / "runs" / "a")


def test_a_shared_folder_needs_none_of_it(tmp_path: Path) -> None:
    path = saved(tmp_path, 1, 10)
    plain = Relay(tmp_path, "")
    plain.send_checkpoints([path])
    plain.send_pictures(path)
    plain.fetch_checkpoints(tmp_path / "runs" / "a")
    plain.leave(path.parent)
    assert loaded(tmp_path) == 10.0
