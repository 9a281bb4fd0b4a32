"""`make bench`: runs the benchmarks, prints their tables, and keeps them in benchmarks/results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report, steps, study_overhead
from benchmarks.cases import DIGITS, HYPERPARAMETERS, MNIST
from benchmarks.pythae_rival import install
from vaestudy import data

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "ray", "optuna", "mlflow", "numpy")
STEPS_LEGEND = "Trial-steps a second: medians. Ratios within a round: median (smallest–largest)."
STUDY_LEGEND = "Lost: wall time - pure training / workers. Overhead: lost time over pure training / workers."
REPORT_LEGEND = "From the command to its exit, Python's start and imports included."
PARTS = ("steps", "study", "report")
NO_MNIST = "MNIST is not in the folder that VAESTUDY_DATA names: its parts are skipped"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    with_mnist = (data.data_folder() / "mnist").is_dir()
    notes = [] if with_mnist else [NO_MNIST]
    now = datetime.now().isoformat(timespec="seconds")
    document: dict[str, Any] = {"date": now, "machine": machine(), "load": [load()]}
    sections: list[str] = []
    if "steps" in options.parts:
        duels = _steps(options, with_mnist, notes)
        document["steps"] = [duel.dump() for duel in duels]
        document["load"].append(load())
        sections += [
            "",
            f"## Steps per second, one thread, {options.rounds} interleaved rounds",
            "",
            STEPS_LEGEND,
            "",
            *steps.table(duels),
        ]
    if "study" in options.parts and with_mnist:
        timings = study_overhead.measure(study_overhead.size_for(options.trials, options.seconds, options.workers))
        document["study"] = [timing.dump() for timing in timings]
        document["load"].append(load())
        sections += [
            "",
            "## A whole study over its pure training",
            "",
            STUDY_LEGEND,
            "",
            *study_overhead.table(timings),
        ]
    if "report" in options.parts:
        reports = report.measure()
        document["report"] = [timing.dump() for timing in reports]
        document["load"].append(load())
        sections += [
            "",
            "## A report of 1,000 trials x 50 epochs, tables of 10,000 x 10",
            "",
            REPORT_LEGEND,
            "",
            *report.table(reports),
        ]
    text = "\n".join([*heading(document), *(f"\n{note}." for note in notes), *sections, ""])
    print(text)
    keep(document, text, "" if len(set(options.parts)) > 1 else f"-{options.parts[0]}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--methods", nargs="+", choices=tuple(HYPERPARAMETERS), default=tuple(HYPERPARAMETERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trials", type=int, default=16, help="of the study; its full size is 64")
    parser.add_argument("--seconds", type=float, default=5.0, help="of pure training a trial; its full size is 20")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the study, one core each")
    return parser.parse_args(arguments)


def _steps(options: argparse.Namespace, with_mnist: bool, notes: list[str]) -> list[steps.Duel]:
    problem = install()
    if problem:
        notes.append(f"Pythae is missing: {problem}")
    duels = []
    for case in [MNIST, DIGITS] if with_mnist else [DIGITS]:
        for method in options.methods:
            print(f"{case.name}, {method} ...", file=sys.stderr, flush=True)
            duels.append(steps.measure(case, method, options.rounds, with_pythae=problem is None))
    return duels


def machine() -> dict[str, Any]:
    """What the numbers depend on; neither host name nor paths."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def load() -> float:
    """Processes that wanted a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def heading(document: dict[str, Any]) -> list[str]:
    described = document["machine"]
    versions = ", ".join(f"{name} {described[name]}" for name in ("python", *PACKAGES))
    loads = ", ".join(map(str, document["load"]))
    return [
        f"# Benchmark of {document['date'][:10]}: {described['cpu']}, {described['cores']} cores",
        "",
        f"{versions}. Load (1 min) before and after each part, the benchmark's own included: {loads}.",
    ]


def keep(document: dict[str, Any], text: str, suffix: str) -> None:
    """Writes the results of today on this kind of machine; ``suffix`` says which part, where it is not the whole."""
    kind = re.sub(r"[^a-z0-9]+", "-", f"{document['machine']['cpu']} {document['machine']['cores']} cores".lower())
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{document['date'][:10]}-{kind}{suffix}"
    path.with_suffix(".md").write_text(text)
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"kept in {path.relative_to(RESULTS.parent.parent)}.md and .json")


if __name__ == "__main__":
    main()
