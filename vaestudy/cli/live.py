"""The live table while a study runs; plain lines where nobody watches a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vaestudy.cli.output import Output, seconds

if TYPE_CHECKING:
    from vaestudy.study.status import Arm, Status

COLUMNS = ("method", "search", "running", "pruned", "diverged", "failed", "best −ELBO [nats]", "confirmed")


class Watcher:
    """Shows each status it is given; a context manager."""

    def __init__(self, output: Output):
        self._output = output
        self._finished = -1
        self._live: Live | None = None
        if output.err.is_terminal and not output.quiet:
            self._live = Live(Text("Starting Ray ..."), console=output.err, auto_refresh=False, transient=True)

    def __enter__(self) -> Watcher:
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, status: Status) -> None:
        """Draws the status, or prints a line where runs have ended since the last."""
        if self._live:
            self._live.update(picture(status), refresh=True)
        elif status.finished_runs != self._finished:
            self._finished = status.finished_runs
            self._output.note(line(status))


def picture(status: Status) -> Group:
    """The table of arms and the bar below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(COLUMNS):
        table.add_column(Text(name), justify="left" if index == 0 else "right")
    best = min((arm.best for arm in status.arms if arm.best is not None), default=None)
    for arm in status.arms:
        table.add_row(
            *_cells(arm, several=len({a.cell.split("/")[0] for a in status.arms}) > 1),
            style="bold" if best is not None and arm.best == best else None,
        )
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(status.planned_runs, 1), completed=status.finished_runs, width=40),
        f"{status.finished_runs} of {status.planned_runs} runs",
        f"{seconds(status.elapsed)} elapsed",
        f"{seconds(status.seconds_left)} left",
    )
    return Group(table, Text(""), bar)


def line(status: Status) -> str:
    """One line: runs ended, the best so far, time left."""
    arms = [arm for arm in status.arms if arm.best is not None]
    best = min(arms, key=lambda arm: arm.best or 0.0, default=None)
    ahead = f"; best so far {best.method} {best.best:.2f} nats" if best and best.best is not None else ""
    return (
        f"{status.finished_runs}/{status.planned_runs} runs, {seconds(status.elapsed)} elapsed, "
        f"{seconds(status.seconds_left)} left{ahead}"
    )


def _cells(arm: Arm, several: bool) -> list[str]:
    return [
        arm.cell if several else arm.method,
        f"{arm.ended}/{arm.planned}",
        *map(_count, (arm.running, arm.pruned)),
        _count(arm.diverged),
        _count(arm.failed),
        "" if arm.best is None else f"{arm.best:.2f}",
        f"{arm.confirmed}/{arm.to_confirm}",
    ]


def _count(number: int) -> str:
    return str(number) if number else "·"


def render(status: Status, console: Console) -> None:
    """Prints the picture once."""
    console.print(picture(status))
