"""The ledger of every chaos test, and a study to compare with."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger, append
from tests.launched import LONG, ROOT, calm

HELD = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[HELD] = report.passed
    return report


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """The line of this test, written when it ends; a test that met its fault 0 times fails."""
    mark = request.node.get_closest_marker("bar")
    assert mark is not None, "a chaos test names its bar: @pytest.mark.bar(number, fault)"
    kept = Ledger(*mark.args)
    start = time.monotonic()
    yield kept
    held = request.node.stash.get(HELD, None)
    if held is None:  # skipped
        return
    append(kept.line(held and kept.met > 0, time.monotonic() - start))
    if kept.met == 0:
        pytest.fail(f"{kept.bar}: the fault was never met")


@pytest.fixture(scope="session")
def long() -> Path:
    """The longer small study, that nobody disturbed: made once in a ``make chaos``; not to be changed."""
    kept, made = ROOT / ".chaos" / "long", ROOT / ".chaos" / "long.part"
    kept.parent.mkdir(exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            calm(made, *LONG)
            made.rename(kept)
    return kept / "quickstart"
