"""How many workers one driver can serve: the real driver, workers simulated in virtual time.

The driver is all that a launch has but Ray Tune's own loop: dispatcher, queue, searches on a real database, spools with
their fsync, the status that is looked at twice a second. Each call of it is timed as it happens. Workers are told apart
from it by a clock that does not run by itself: they train for so many virtual seconds, report, and wait their turn; the
driver does one thing after another, each for as long as it really took. So a thousand workers' load can be seen without
a thousand workers.

    python -m benchmarks.scale --workers 1000 --trials 10000
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import yaml

from vaestudy.execution import connect, disconnect
from vaestudy.execution.jobs import Job, News
from vaestudy.execution.tuner import Dispatcher
from vaestudy.records import End, Report
from vaestudy.search import open_storage
from vaestudy.spec import Study, study_hash
from vaestudy.spec.loader import load_study
from vaestudy.study.folder import StudyFolder
from vaestudy.study.launch import MOST_SHARE, TICK_SECONDS, Heartbeat, Watch, common_of, open_searches
from vaestudy.study.queue import StudyQueue

STUDY = {
    "version": 1,
    "name": "scale",
    "workloads": {
        "digits": {
            "data": {"name": "digits", "binarize": "static", "validation": 300},
            "model": {"name": "mlp", "hidden": [16], "latent_dim": 2},
            "likelihood": "bernoulli",
            "batch_size": 512,
        }
    },
    "methods": {
        name: {"optimizer": name, "search": {"lr": {"log": [1e-4, 1e-2]}}}
        for name in ("sgd", "momentum", "adam", "rmsprop")
    },
    "confirm": {"seeds": 0},
    "tracking": {"mlflow": "none"},
}
METRICS = 12
"""Scalars in a report, about as many as a run has."""

T = TypeVar("T")


@dataclass
class Load:
    """What is simulated.

    Attributes:
        workers: at once. trials: in all. epochs: of each, a report after each. epoch_seconds: virtual ones of training.
        tune_seconds: of the driver for each result, beside what is really done: Ray Tune's own.
    """

    workers: int
    trials: int
    epochs: int
    epoch_seconds: float
    tune_seconds: float


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        busy: the driver's share of the virtual time. waits: seconds from a report to its being on disk.
        idle: workers' share of time without a run. costs: seconds of the driver, by what it did.
    """

    load: Load
    seconds: float
    busy: float
    idle: float
    waits: list[float]
    costs: dict[str, list[float]]
    grown_bytes: int

    def line(self) -> list[str]:
        """A row of the table."""
        load = self.load
        reports = load.workers / load.epoch_seconds
        return [
            f"{load.workers:,}",
            f"{load.epoch_seconds:g}",
            f"{reports:,.0f}",
            f"{self.busy:.0%}",
            f"{statistics.median(self.waits):.3f}",
            f"{sorted(self.waits)[int(0.99 * len(self.waits))]:.3f}",
            f"{self.idle:.1%}",
            f"{load.trials / self.seconds * 3600:,.0f}",
            f"{self.grown_bytes / 1e6:.0f}",
        ]


HEADER = (
    "workers",
    "s an epoch",
    "reports/s",
    "driver busy",
    "s to disk, median",
    "s to disk, p99",
    "workers idle",
    "trials/h",
    "driver grew, MB",
)


@dataclass(order=True)
class Event:
    """Something that a worker has to say, or the driver's tick (worker -1)."""

    at: float
    number: int
    worker: int = field(compare=False)
    epoch: int = field(compare=False, default=0)


class Simulation:
    """One driver and its simulated workers."""

    def __init__(self, load: Load, dispatcher: Dispatcher):
        self._load = load
        self._dispatcher = dispatcher
        self._events: list[Event] = []
        self._numbers = itertools.count()
        self._jobs: dict[int, tuple[str, Job]] = {}
        self._free = 0.0
        self._spent = 0.0
        self._idle = 0.0
        self.waits: list[float] = []
        self.costs: dict[str, list[float]] = {"ask": [], "report": [], "tick": []}

    def run(self) -> tuple[float, float, float]:
        """Until nothing is left: virtual seconds, those of the driver, and those of workers without a run."""
        self._add(TICK_SECONDS, -1)
        for worker in range(self._load.workers):
            self._begin(worker, 0.0)
        while self._jobs:
            event = heapq.heappop(self._events)
            if event.worker < 0:
                self._serve("tick", event.at, self._dispatcher.tick)
                self._add(max(event.at, self._free) + max(TICK_SECONDS, self.costs["tick"][-1] / MOST_SHARE), -1)
            else:
                self._tell(event)
        return self._free, self._spent, self._idle

    def _add(self, at: float, worker: int, epoch: int = 0) -> None:
        heapq.heappush(self._events, Event(at, next(self._numbers), worker, epoch))

    def _serve(self, what: str, at: float, action: Callable[[], T], extra: float = 0.0) -> T:
        """The driver does something that somebody wants from ``at`` on; it is free again when that is done."""
        start = time.perf_counter()
        result = action()
        cost = time.perf_counter() - start + extra
        self.costs[what].append(cost)
        self._spent += cost
        self._free = max(at, self._free) + cost
        return result

    def _begin(self, worker: int, at: float) -> None:
        """A worker without a run gets one, if there is one."""
        group = f"{worker}-{next(self._numbers)}"
        configuration = self._serve("ask", at, lambda: self._dispatcher.open(group))
        self._idle += self._free - at
        if not isinstance(configuration, dict):
            return
        (job,) = (Job.load(job) for job in json.loads(configuration["jobs"]))
        self._jobs[worker] = group, job
        self._add(self._free + self._load.epoch_seconds, worker, 1)

    def _tell(self, event: Event) -> None:
        """A worker reports an epoch, at the last of which its run ends; it trains on without waiting."""
        group, job = self._jobs[event.worker]
        last = event.epoch == self._load.epochs
        news = json.dumps([_news(job, event.epoch, last).dump()])
        self._serve(
            "report",
            event.at,
            lambda: self._dispatcher.receive(group, [News.load(item) for item in json.loads(news)]),
            self._load.tune_seconds,
        )
        self.waits.append(self._free - event.at)
        if last:
            self._idle += self._free - event.at
            del self._jobs[event.worker]
            self._begin(event.worker, self._free)
        else:
            self._add(event.at + self._load.epoch_seconds, event.worker, event.epoch + 1)


def _news(job: Job, epoch: int, last: bool) -> News:
    metrics = {f"val/measure_{number}": 100.0 / (epoch + number + 1) for number in range(METRICS - 1)}
    value = 100.0 + (job.run.trial % 97) + 1.0 / epoch
    report = Report(epoch, epoch, 1e9 + epoch, {**metrics, "val/nelbo": value})
    end = End("done", epoch, 1e9 + epoch, metrics={"final/val_nelbo": value, "final/epochs": float(epoch)})
    return News(job.run.uid, job.attempt, epoch, (report,), end if last else None)


@contextmanager
def driver(load: Load, folder: Path) -> Iterator[Dispatcher]:
    """All of a launch's driver but Tune; Ray is there, without a worker."""
    study = _study(load, folder)
    place = StudyFolder(folder / study.name)
    place.make()
    place.write(study)
    storage = open_storage(study.storage.optuna, place.path)
    watch = Watch(place, None)
    heartbeat = Heartbeat(study, place, watch, lambda status: None)
    searches = open_searches(study, storage, retry_failed=False)
    queue = StudyQueue(
        study,
        study_hash(study),
        place.path,
        searches,
        lambda: watch.stopping,
        lambda: heartbeat.beat(queue, force=True),
    )
    dispatcher = Dispatcher(queue, common_of(study, place.path, "cpu", 1), population=1)
    connect(study.resources, address=None)
    try:
        yield dispatcher
        if dispatcher.error:
            raise dispatcher.error
    finally:
        queue.close()
        storage.close()
        disconnect()


def _study(load: Load, folder: Path) -> Study:
    search = {"trials": load.trials // len(STUDY["methods"]), "sampler": {"name": "random"}}  # type: ignore[arg-type]
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "train": {"epochs": load.epochs}, "search": search}))
    return load_study(path)


def measure(load: Load) -> Outcome:
    """Simulates a load."""
    me = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="vaestudy-scale-") as folder, driver(load, Path(folder)) as dispatcher:
        before = me.memory_info().rss
        simulation = Simulation(load, dispatcher)
        seconds, spent, idle = simulation.run()
        grown = me.memory_info().rss - before
    return Outcome(
        load,
        seconds,
        spent / seconds,
        idle / (seconds * load.workers),
        simulation.waits,
        simulation.costs,
        grown,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--epoch-seconds", type=float, nargs="+", default=[60.0, 10.0])
    parser.add_argument("--tune-seconds", type=float, default=0.0, help="of Ray Tune's own for each result")
    parser.add_argument("--out", type=Path, help="keep the figures here, as JSON")
    options = parser.parse_args()
    print("| " + " | ".join(HEADER) + " |\n|" + " ---: |" * len(HEADER))
    kept = []
    for workers, seconds in itertools.product(options.workers, options.epoch_seconds):
        outcome = measure(Load(workers, options.trials, options.epochs, seconds, options.tune_seconds))
        print("| " + " | ".join(outcome.line()) + " |", flush=True)
        for what, costs in outcome.costs.items():
            quarter = len(costs) // 4
            first, last = statistics.mean(costs[:quarter]), statistics.mean(costs[-quarter:])
            kept.append(
                {
                    **asdict(outcome.load),
                    "what": what,
                    "count": len(costs),
                    "ms, first quarter": 1000 * first,
                    "ms, last quarter": 1000 * last,
                }
            )
    for row in kept:
        print(json.dumps(row))
    if options.out:
        options.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
