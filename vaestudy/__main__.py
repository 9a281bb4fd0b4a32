"""The process that is the command line: ``vaestudy``, or ``python -m vaestudy``."""

from __future__ import annotations

import signal
import sys

from vaestudy.interrupts import loading


def run() -> None:
    """Runs the command of this process's arguments, and ends the process with its exit code."""
    with loading():
        from vaestudy.cli import main
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM):  # there is nothing left to interrupt but Python's own end
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    run()
