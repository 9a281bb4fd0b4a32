"""The shipper against a real ``mlflow server`` that dies, comes back, and answers into the void."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from mlflow.server.assistant.api import assistant_router

from tests.tracking import synthetic
from tests.tracking.conftest import MakeShipper, Server, Shelf, expected_rows, store_uri
from tests.tracking.proxy import LossyProxy
from vaestudy.errors import ServiceError
from vaestudy.records import RunRecord
from vaestudy.tracking import Shipper, preflight
from vaestudy.tracking.address import connect


def until_it_is_there(shipper: Shipper, most: int) -> None:
    """Calls ``finish`` again after each failure, as the shipper's process does, but without waiting."""
    for _ in range(most):
        try:
            return shipper.finish()
        except ServiceError:
            continue
    pytest.fail(f"not shipped after {most} passes")


def test_a_server_gets_every_row_once(tmp_path: Path, server: Server, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write_study(tmp_path, methods=("adam",), trials=3, seeds=1, epochs=3)
    preflight(server.address)
    make_shipper(server.address).finish()
    assert shelf.rows() == expected_rows(tmp_path)
    assert shelf.runs()[f"STUDY {shelf.study}"] == "FINISHED"


def test_nobody_is_served_the_assistant(server: Server) -> None:
    asked = [(method, route.path) for route in assistant_router.routes for method in route.methods]
    assert ("PUT", f"{assistant_router.prefix}/config") in asked
    for method, path in asked:
        reply = requests.request(method, server.address + path, json={}, timeout=30)
        assert (reply.status_code, reply.text) == (404, "vaestudy serves MLflow without its assistant"), (method, path)


def test_a_server_killed_in_mid_ship_loses_and_doubles_nothing(
    tmp_path: Path, server: Server, make_shipper: MakeShipper, shelf: Shelf
) -> None:
    synthetic.write_study(tmp_path, methods=("adam",), trials=3, seeds=1, epochs=3)

    def kill_before_the_upload(record: RunRecord, folder: Path) -> dict[str, bytes]:
        server.kill()
        return {"curve.svg": b"<svg/>"}

    with pytest.raises(ServiceError, match="test it with: curl http://127"):
        make_shipper(server.address, run_figures=kill_before_the_upload).ship()
    shipper = make_shipper(server.address)
    with pytest.raises(ServiceError):
        shipper.ship()
    synthetic.write(tmp_path, synthetic.run("adam", 7), 3)  # training goes on
    server.start()
    shipper.finish()
    assert shelf.rows() == expected_rows(tmp_path)
    assert len(shelf.runs()) == 6
    assert "RUNNING" not in shelf.runs().values()


def test_lost_replies_double_nothing(tmp_path: Path, server: Server, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write_study(tmp_path, methods=("adam",), trials=3, seeds=1, epochs=3)
    proxy = LossyProxy(server.port, share=0.2, seed=1)
    try:
        until_it_is_there(make_shipper(proxy.address), most=200)
    finally:
        proxy.close()
    assert proxy.cut >= 10
    assert shelf.rows() == expected_rows(tmp_path)
    assert len(shelf.runs()) == 5


@pytest.mark.parametrize("most", [25_000, 4], ids=["one-reply", "cut-replies"])
def test_what_a_server_holds_is_read_for_many_runs_at_once(
    tmp_path: Path,
    results: Path,
    server: Server,
    make_shipper: MakeShipper,
    name: str,
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vaestudy.tracking.store.HISTORY_ROWS", most)
    synthetic.write_study(tmp_path, methods=("adam",), trials=3, seeds=1, epochs=3)
    make_shipper(server.address).ship()
    by_address = [connect(address) for address in (server.address, store_uri(results))]
    found = []
    for store in by_address:
        experiment = store.find_experiment(name, synthetic.STUDY_HASH)
        assert experiment is not None
        ids = [run.run_id for run in store.every_run(experiment)]
        found.append({run_id: sorted(rows, key=str) for run_id, rows in store.history(ids, "val/nelbo").items()})
    assert found[0] == found[1]
    assert sorted(map(len, found[0].values())) == [0, 3, 3, 3, 3]
    assert by_address[0].find_experiment("another", synthetic.STUDY_HASH) is None
