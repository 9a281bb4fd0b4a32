"""Statements put to the data together, each with a verdict by an interval; all of the intervals hold at once at 95 %.

So where there is nothing to be told, at most one study in twenty supports or contradicts any statement at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from vaestudy.analysis.statistics.intervals import LEVEL, Interval
from vaestudy.analysis.tables import minus

Verdict = Literal["supported", "contradicted", "not settled", "not tested"]


@dataclass(frozen=True)
class Claim:
    """A statement and what this study's data say of it.

    Attributes:
        evidence: the number with its interval, or why there is none.
    """

    statement: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Answer:
    """What the data answer.

    Attributes:
        found: the number with its interval. told: both in words, with what was compared.
        unsettled: why the number must not be taken for an answer yet; empty where it may.
    """

    found: Interval
    told: str
    unsettled: str = ""


@dataclass(frozen=True)
class Question:
    """What decides whether a statement is true.

    Attributes:
        answer: from the number of comparisons that are to hold at once to the answer.
        neutral: the number at which the statement is neither true nor false.
        below: whether it is true below that, and not above.
        comparisons: how many it stands for: those of all pairs of methods that might have been compared in its place.
    """

    answer: Callable[[int], Answer]
    neutral: float = 0.0
    below: bool = False
    comparisons: int = 1


Asked = Question | str
"""A question, or why the data cannot be asked."""


def settle(asked: Mapping[str, Asked]) -> list[Claim]:
    """The claims by their statements, judged at once; a text says why a statement is not tested."""
    comparisons = sum(one.comparisons for one in asked.values() if isinstance(one, Question))
    return [
        Claim(statement, "not tested", one) if isinstance(one, str) else _judged(statement, one, comparisons)
        for statement, one in asked.items()
    ]


def _judged(statement: str, question: Question, comparisons: int) -> Claim:
    answer = question.answer(comparisons)
    verdict = _verdict(question, answer.found)
    if answer.unsettled and verdict in ("supported", "contradicted"):
        return Claim(statement, "not settled", f"{answer.unsettled}; {answer.told}")
    return Claim(statement, verdict, answer.told)


def _verdict(question: Question, found: Interval) -> Verdict:
    """Supported or contradicted only where the whole interval lies on one side; an unknown one does not."""
    if found.low > question.neutral:
        return "contradicted" if question.below else "supported"
    if found.high < question.neutral:
        return "supported" if question.below else "contradicted"
    return "not settled"


def at_once(comparisons: int) -> float:
    """The level of each of so many intervals that are to hold at once at 95 % (Bonferroni; Dunn 1961)."""
    return 1 - (1 - LEVEL) / comparisons


def nats(found: Interval, smallest: float) -> str:
    """A difference, and the smallest that so many units would have told apart."""
    return f"{spread(found)} nats" + ("" if math.isnan(found.low) else f" (detectable: {smallest:.2f})")


def spread(found: Interval, percent: bool = False) -> str:
    """``0.32 [0.26, 0.38]``, or in percent points; no minus before what is rounded to 0."""
    scale, unit, digits = (100, " points", 0) if percent else (1, "", _digits(found))
    centre = minus(f"{scale * found.estimate:z.{digits}f}")
    if math.isnan(found.estimate):
        return f"unknown (n = {found.n})"
    if math.isnan(found.low):
        return f"{centre}{unit} (no interval: {f'n = {found.n}' if found.n < 2 else 'no spread'})"
    ends = minus(f"[{scale * found.low:z.{digits}f}, {scale * found.high:z.{digits}f}]")
    return f"{centre} {ends}{unit}"


def _digits(found: Interval) -> int:
    """Two decimals, three of what is below a tenth throughout."""
    return 3 if max(map(abs, (found.estimate, found.low, found.high))) < 0.1 else 2
