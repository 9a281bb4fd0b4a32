"""The shipper against a real ``mlflow server`` that dies, comes back, and answers into the void."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tracking import synthetic
from tests.tracking.conftest import MakeShipper, Server, Shelf, expected_rows
from tests.tracking.proxy import LossyProxy
from vaestudy.errors import ServiceError
from vaestudy.records import RunRecord
from vaestudy.tracking import Shipper, preflight


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
