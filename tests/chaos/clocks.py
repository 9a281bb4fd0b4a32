"""A plug-in that puts workers' clocks wrong: the first an hour ahead, the others an hour behind; the driver's is right.

``VAESTUDY_CLOCKS`` names a folder, where each worker leaves its shift; without it all clocks are right.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

HOUR = 3600.0


def _shift(folder: Path) -> float:
    try:
        (folder / "ahead").touch(exist_ok=False)
    except FileExistsError:
        (folder / f"behind-{os.getpid()}").touch()
        return -HOUR
    return HOUR


def _is_worker() -> bool:
    return Path(sys.argv[0]).name == "default_worker.py"


if _is_worker() and "VAESTUDY_CLOCKS" in os.environ:
    right, shift = time.time, _shift(Path(os.environ["VAESTUDY_CLOCKS"]))
    time.time = lambda: right() + shift
