"""Whether a study's statements survive a second study: the default study under several study seeds, and how often its
intervals for methods enclose what all of them together find.

    make replicates                       every seed anew, about an hour on two cores
    python -m benchmarks.replicates DIR   studies that lie in DIR/seed-1, DIR/seed-2 ... are not run again

Writes docs/results/replicates: a row an interval, a row a claim, and the summary.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pandas as pd

from vaestudy.analysis.compare import WORDS, compare, confirmed, scores, sound
from vaestudy.analysis.findings import Findings, findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.methods import Scores, differences, estimate, leaders
from vaestudy.analysis.tables import markdown, minus
from vaestudy.records import PRIMARY

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies" / "quickstart.yaml"
OUT = ROOT / "docs" / "results" / "replicates"
SEEDS = range(1, 13)
WORKLOAD = "digits-mlp"
QUIET = ["confirm.sources=0", "tracking.mlflow=none", "report.figures=false", "report.formats=[csv]"]
"""What changes no number that is looked at here."""
VERDICTS = ("supported", "contradicted", "not settled", "not tested")


def main() -> None:
    """Runs what is missing, then writes the tables."""
    if len(sys.argv) > 1:
        write(studies(Path(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory() as place:
        write(studies(Path(place)))


def studies(place: Path) -> dict[int, Records]:
    """The records of the default study by study seed; those that are not in ``place`` are run there."""
    for seed in SEEDS:
        results = place / f"seed-{seed}"
        verb = ["resume", "quickstart"] if (results / "quickstart").exists() else ["launch", str(STUDY), f"seed={seed}"]
        quiet = [] if verb[0] == "resume" else QUIET
        subprocess.run([sys.executable, "-m", "vaestudy", *verb, *quiet, "--results", str(results)], check=True)
    return {seed: load(place / f"seed-{seed}" / "quickstart") for seed in SEEDS}


def write(found: dict[int, Records]) -> None:
    """The tables of all studies."""
    OUT.mkdir(parents=True, exist_ok=True)
    intervals = pd.DataFrame(_intervals(found))
    verdicts = pd.DataFrame(_verdicts({seed: findings(records) for seed, records in found.items()}))
    intervals.to_csv(OUT / "intervals.csv", index=False, float_format="%.4f")
    verdicts.to_csv(OUT / "claims.csv", index=False)
    (OUT / "README.md").write_text(_summary(found, intervals, verdicts))


def _intervals(found: dict[int, Records]) -> Iterator[dict[str, object]]:
    """Every interval of every study, with the mean of all studies' replicates as the truth that it should enclose."""
    for name, metric in PRIMARY.items():
        by_seed = {seed: _by_method(records, metric) for seed, records in found.items()}
        made = {seed: _of(methods) for seed, methods in by_seed.items()}
        truths = {of: fmean(study[of].estimate for study in made.values()) for of in next(iter(made.values()))}
        for (seed, study), (of, truth) in itertools.product(made.items(), truths.items()):
            one = study[of]
            yield {
                "score": WORDS[name],
                "of": of,
                "seed": seed,
                "estimate": one.estimate,
                "low": one.low,
                "high": one.high,
                "replicates": one.n,
                "all": truth,
                "encloses": one.low <= truth <= one.high,
            }


def _by_method(records: Records, metric: str) -> dict[str, Scores]:
    budget = records.budgets[-1]
    return {
        method: scores(records, sound(confirmed(records, WORKLOAD, method, budget)), metric)
        for method in records.methods
    }


def _of(methods: dict[str, Scores]) -> dict[str, Interval]:
    pairs = {f"{one} less {other}": interval for (one, other), interval in differences(methods).items()}
    return {method: estimate(found) for method, found in methods.items()} | pairs


def _verdicts(found: dict[int, Findings]) -> Iterator[dict[str, object]]:
    for seed, one in found.items():
        for claim in one.claims[WORKLOAD]:
            yield {"seed": seed, "claim": claim.statement, "verdict": claim.verdict, "evidence": claim.evidence}


def _summary(found: dict[int, Records], intervals: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    records = next(iter(found.values()))
    search, confirm = records.study["search"], records.study["confirm"]
    environment = records.facts.get("environment", {})
    kinds = intervals.groupby(["score", "of"], sort=False)
    rows = [
        [
            score,
            of,
            minus(f"{one['all'].iloc[0]:.2f}"),
            f"{one['estimate'].std():.2f}",
            _half(one),
            _share(one["encloses"]),
        ]
        for (score, of), one in kinds
    ]
    said = verdicts.groupby("claim", sort=False)["verdict"].agg(Counter)
    flips = [claim for claim, counts in said.items() if counts["supported"] and counts["contradicted"]]
    claims = [[claim, *(str(counts[word]) for word in VERDICTS)] for claim, counts in said.items()]
    first = Counter(compare(one).rows[0].method for one in found.values())
    apart = sum(len(leaders(_by_method(one, PRIMARY["elbo"]))) < len(one.methods) for one in found.values())
    return "\n".join(
        [
            "# The default study under twelve study seeds",
            "",
            f"`make replicates` runs [studies/quickstart.yaml](../../../studies/quickstart.yaml) with `seed` 1 to "
            f"{len(found)}: {search['replicates']} replicates of each search of {search['trials']} trials, each "
            f"confirmed under {confirm['seeds']} seeds. Made on {_hardware(environment)}, code "
            f"{environment.get('code', 'unknown')}.",
            "",
            f"**{intervals['encloses'].sum()} of {len(intervals)} intervals for methods enclose the mean of all "
            f"{len(found) * search['replicates']} replicates; {len(flips)} of {len(said)} claims are supported by one "
            f"study and contradicted by another.** In {apart} of {len(found)} studies a method is told apart from the "
            f"leader; the lowest mean has {_listed(first)}.",
            "",
            "Nats per example. *All*: the mean over all studies. *Spread*: the standard deviation of the studies' "
            "estimates. *±*: half an interval, the median over the studies; those of differences hold for all pairs at "
            "once. *Encloses*: intervals that enclose the mean of all.",
            "",
            markdown(("score", "of", "all", "spread", "±", "encloses"), rows),
            "What the studies say of each claim:",
            "",
            markdown(("claim", *VERDICTS), claims),
            "[intervals.csv](intervals.csv) has every interval, [claims.csv](claims.csv) every verdict with its "
            "evidence.",
            "",
        ]
    )


def _half(one: pd.DataFrame) -> str:
    return f"{((one['high'] - one['low']) / 2).median():.2f}"


def _share(held: pd.Series) -> str:  # type: ignore[type-arg]  # of booleans
    return f"{int(held.sum())}/{len(held)}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{method} in {count}" for method, count in counts.most_common())


def _hardware(environment: dict[str, dict[str, object]]) -> str:
    hardware = environment.get("hardware", {})
    return f"{hardware.get('cores', '?')} cores of an {hardware.get('processor', 'unknown processor')}"


if __name__ == "__main__":
    main()
