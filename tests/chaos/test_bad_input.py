"""R16 and R17: bad input, which `make test` tries one by one, tried at once and counted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger

ROOT = Path(__file__).parents[2]


def tried(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Tests of ``make test``, with what pytest says of them."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def count(what: str, said: str) -> int:
    """The sum of the numbers before ``what``."""
    return sum(map(int, re.findall(rf"(\d+) {what}", said)))


@pytest.mark.chaos
@pytest.mark.bar("R16", "study files, commands, environments, disks and data files that are wrong")
def test_r16_whatever_is_wrong_gets_its_own_error(ledger: Ledger) -> None:
    done = tried("tests/bad")
    wrong = count("(?:failed|error)", done.stdout)
    ledger.met = count("passed", done.stdout) + wrong
    ledger.figures["tracebacks, or other errors than meant"] = wrong
    assert done.returncode == 0, done.stdout


@pytest.mark.chaos
@pytest.mark.bar("R17", "study files mutated at random")
def test_r17_mutated_study_files_are_sound_or_refused(ledger: Ledger) -> None:
    done = tried("tests/spec/test_fuzz.py", "--hypothesis-show-statistics")
    wrong = count("failing", done.stdout)
    ledger.met = count("passing", done.stdout) + wrong
    ledger.figures["neither sound nor refused by name"] = wrong
    assert done.returncode == 0, done.stdout
