"""The logs of a study: ``driver.log`` and ``shipper.log``, one JSON object a line; ``vaestudy logs`` shows them.

A line has ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message`` and ``study``; ``runs`` where it is of some, by
their uids; ``exception``, the traceback, where there was one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vaestudy.errors import VaestudyError

LOGIN = re.compile(r"(?<=://)[^\s/\"]+(?=@)")
"""What is left out of any address, whoever logs it."""

log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Each record as a JSON object."""

    def __init__(self, study: str):
        super().__init__()
        self._study = study

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "study": self._study,
            "runs": list(getattr(record, "runs", ())),
            "exception": self.formatException(record.exc_info) if record.exc_info else "",
        }
        return LOGIN.sub("***", json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False))


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Nothing: of a full disk those tell who need it more."""


@contextmanager
def logging_to(path: Path, study: str) -> Iterator[None]:
    """Everything that is logged goes to a study's file, nothing to the terminal; why it ended early goes there too."""
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(JsonLines(study))
    root = logging.getLogger()
    root.addHandler(handler)
    logging.getLogger("vaestudy").setLevel(logging.INFO)
    try:
        yield
    except VaestudyError as error:
        log.error("%s", error)
        raise
    except Exception:
        log.exception("internal error")
        raise
    finally:
        root.removeHandler(handler)
        with suppress(OSError):  # the disk's, as above
            handler.close()


def read(*paths: Path) -> list[dict[str, Any]]:
    """The lines of several logs by time. What a program printed there has a message alone, and the time of the line
    before."""
    found = [line for path in paths if path.exists() for line in _lines(path.read_text("utf-8", errors="replace"))]
    return sorted(found, key=lambda line: str(line["time"]))


def _lines(text: str) -> Iterator[dict[str, Any]]:
    time = ""
    for line in text.split("\n"):
        if line.strip():
            told = _told(line)
            yield {"time": time, **told}
            time = str(told.get("time", time))


def _told(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    return told if isinstance(told, dict) and "message" in told else {"message": line}


def in_words(line: Mapping[str, Any]) -> str:
    """A line for people: local time, level, logger, message, and the traceback below."""
    words = [_clock(str(line.get("time", ""))), line.get("level"), line.get("logger"), line["message"]]
    return "\n".join(filter(None, [" ".join(str(word) for word in words if word), line.get("exception")]))


def _clock(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:  # no line before it had one
        return time
