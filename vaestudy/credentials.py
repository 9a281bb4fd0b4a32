"""Credentials by name: an address with its password stays out of study files, logs, records and pickles.

The address of credential ``lab-db`` is the environment variable ``VAESTUDY_CREDENTIAL_LAB_DB``, or else the line
``lab-db = "postgresql+psycopg://..."`` in ``~/.config/vaestudy/credentials.toml``, which only its owner may read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaestudy.errors import UsageError, nearest

PREFIX = "VAESTUDY_CREDENTIAL_"
OTHERS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
"""Variables of other programs that may hold a secret which the driver needs and its workers do not."""


def credential(name: str) -> str:
    """The address that the credential called ``name`` holds.

    Raises:
        UsageError: ``name`` is an address itself, is not known, or the file may be read by others. No message
            contains an address.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(_not_a_name(name))
    variable = PREFIX + re.sub(r"[-.]", "_", name).upper()
    if variable in os.environ:
        return os.environ[variable]
    path = Path.home() / ".config" / "vaestudy" / "credentials.toml"
    known = _read(path)
    if name not in known:
        hint = f" - {nearest(name, known)}" if known else ""
        raise UsageError(f"unknown credential {name!r}{hint}; set {variable}, or write it into {path} (mode 0600)")
    return known[name]


@contextmanager
def withheld() -> Iterator[None]:
    """While it lasts, processes that are started inherit no credential."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX) or name in OTHERS}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _not_a_name(name: str) -> str:
    law = "expected the NAME of a credential (letters, digits, '_', '.', '-')"
    if "://" in name:  # it may hold a password: never repeat it
        return f"{law}, got an address; put the address into VAESTUDY_CREDENTIAL_<NAME> and give that name here"
    return f"{law}, got {name!r}"


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UsageError(f"{path} holds passwords but has mode {mode:04o}; nobody else may read it: chmod 600 {path}")
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, PermissionError) as error:
        what = type(error).__name__  # its message may repeat an address
        raise UsageError(f'{path}: cannot be read as TOML ({what}); expected lines name = "address"') from None
    wrong = [name for name, address in entries.items() if not isinstance(address, str)]
    if wrong:
        raise UsageError(f'{path}: {wrong[0]}: expected {wrong[0]} = "postgresql+psycopg://..."')
    return entries
