"""``make mutants``: tries the mutants of every module, or of those named; writes docs/mutants.md where all were tried.

MUTANTS: how many of each module, 0 for all of them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.mutants.mutations import Mutant, mutants
from tests.mutants.report import WANTED, Tried, page, share, table, unexplained
from tests.mutants.trial import ROOT, Verdict, seconds_unmutated, verdict

HERE = ROOT / "tests" / "mutants"
WORKERS = 2
DEFAULT_SAMPLE = 25
SPARE_SECONDS = 20.0
"""Beyond five times what the tests take without a mutant, before a mutant is said to run for ever."""


def main(named: Sequence[str]) -> int:
    """The exit code: 1 where too few are noticed, or a survivor has no reason."""
    sampled = int(os.environ.get("MUTANTS", DEFAULT_SAMPLE))
    tests = tomllib.loads((HERE / "modules.toml").read_text())
    reasons = tomllib.loads((HERE / "survivors.toml").read_text())
    os.environ |= {"OMP_NUM_THREADS": "1", "HYPOTHESIS_STORAGE_DIRECTORY": tempfile.mkdtemp(prefix="mutants-")}
    modules = [tried(module, tests[module], sampled) for module in (named or tests)]
    print(table(modules))
    if not named:
        (ROOT / "docs" / "mutants.md").write_text(page(modules, reasons, sampled))
    for line in (without := unexplained(modules, reasons)):
        print(f"no reason: {line}")
    return int(bool(without) or share(modules) < WANTED)


def tried(path: str, tests: Sequence[str], sampled: int) -> Tried:
    """A module's mutants under its tests, so many of them."""
    every = mutants((ROOT / path).read_text())
    chosen = every[:sampled] if sampled else every
    limit = 5 * seconds_unmutated(tests) + SPARE_SECONDS
    with ThreadPoolExecutor(WORKERS) as pool:
        verdicts = list(pool.map(partial(judged, path, tests, limit), chosen))
    survivors = [mutant.key for mutant, found in zip(chosen, verdicts, strict=True) if found == "survived"]
    return Tried(path, len(every), len(chosen), Counter(verdicts)["timed out"], survivors)


def judged(path: str, tests: Sequence[str], limit: float, mutant: Mutant) -> Verdict:
    """One mutant's verdict, told on standard error as well."""
    found = verdict(path.removesuffix(".py").replace("/", "."), mutant.tree, tests, limit)
    print(f"{found:9}  {path}: {mutant.key}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
