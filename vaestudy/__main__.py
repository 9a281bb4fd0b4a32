"""The process that is the command line: ``vaestudy``, or ``python -m vaestudy``."""

from __future__ import annotations

import signal
import sys


def run() -> None:
    """Runs the command of this process's arguments, and ends the process with its exit code.

    Ctrl-C ends it at once before there is a command: an import that is interrupted raises what it likes. After it there
    is nothing left to interrupt but Python's own end.
    """
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:  # it is ignored in what a shell runs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vaestudy.cli import main

    signal.signal(signal.SIGINT, interrupted)
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    run()
