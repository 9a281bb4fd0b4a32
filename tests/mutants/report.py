"""What became of the mutants, as docs/mutants.md says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WANTED = 0.9
"""The share of mutants that the tests must notice."""

HEAD = """# Faults that the tests notice

`make mutants` puts one-line faults (tests/mutants/mutations.py: a moved boundary, a turned operator, a number that
grew, a dropped minus, clamp or call) into the code that trains, judges and compares, one at a time, and runs that
module's fast tests (tests/mutants/modules.toml). This page is its last run{of}.
At least 90 % must be noticed, and each that is not has a reason here (tests/mutants/survivors.toml).

No existing tester fits. mutmut leaves out decorated functions and everything outside of functions, which here are the
schedules, the evaluation and the thresholds of the failure classes; cosmic-ray changes the working tree.
"""


@dataclass(frozen=True)
class Tried:
    """A module's mutants: how many it has, how many were tried, which were not noticed, by their keys."""

    module: str
    possible: int
    tried: int
    timed_out: int
    survivors: Sequence[str]

    @property
    def noticed(self) -> int:
        return self.tried - len(self.survivors)


def share(modules: Sequence[Tried]) -> float:
    """The share of mutants that were noticed."""
    return sum(m.noticed for m in modules) / max(1, sum(m.tried for m in modules))


def unexplained(modules: Sequence[Tried], reasons: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The survivors without a reason."""
    return [f"{m.module}: {key}" for m in modules for key in m.survivors if key not in reasons.get(m.module, {})]


def table(modules: Sequence[Tried]) -> str:
    """The scores by module and in all, as Markdown."""
    lines = [
        "| module | mutants | tried | noticed | of these by running too long | score |",
        "| --- | " + "---: | " * 5,
    ]
    lines += [_line(f"`{m.module}`", m.possible, m.tried, m.noticed, m.timed_out, share([m])) for m in modules]
    totals = [sum(getattr(m, name) for m in modules) for name in ("possible", "tried", "noticed", "timed_out")]
    lines.append(_line("**all**", *totals, share(modules)))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def page(modules: Sequence[Tried], reasons: Mapping[str, Mapping[str, str]], sampled: int) -> str:
    """docs/mutants.md."""
    of = f", of {sampled} mutants of each module, drawn by the hash of what they change" if sampled else ""
    parts = [HEAD.format(of=of), table(modules), "## Not noticed\n"]
    for m in modules:
        if m.survivors:
            known = reasons.get(m.module, {})
            listed = [f"- `{key}`: {known.get(key, 'no reason yet')}" for key in sorted(m.survivors)]
            parts.append(f"`{m.module}`\n\n" + "\n".join(listed) + "\n")
    return "\n".join(parts)


def _line(name: str, possible: int, tried: int, noticed: int, timed_out: int, score: float) -> str:
    return f"| {name} | {possible} | {tried} | {noticed} | {timed_out} | {100 * score:.0f} % |"
