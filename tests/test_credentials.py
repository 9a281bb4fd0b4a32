"""Credentials are found by name, and nobody else may read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaestudy.credentials import credential
from vaestudy.errors import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The credentials file of a home folder of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".config" / "vaestudy" / "credentials.toml"
    path.parent.mkdir(parents=True)
    path.write_text('lab-db = "postgresql://user:s3cret@host/db"\n')
    path.chmod(0o600)
    return path


def said(name: str) -> str:
    with pytest.raises(UsageError) as caught:
        credential(name)
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def test_a_credential_is_read_from_the_file(file: Path) -> None:
    assert credential("lab-db") == "postgresql://user:s3cret@host/db"


def test_the_environment_goes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB_DB", "postgresql://other")
    assert credential("lab-db") == "postgresql://other"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "chmod 600" in said("lab-db")


def test_an_unknown_name_gets_the_nearest(file: Path) -> None:
    assert "did you mean 'lab-db'?" in said("lab-bd")


def test_without_a_file_the_message_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    message = said("lab-db")
    assert "VAESTUDY_CREDENTIAL_LAB_DB" in message
    assert "credentials.toml" in message


def test_an_address_in_place_of_a_name_is_refused_and_not_repeated(file: Path) -> None:
    assert "got an address" in said("postgresql://user:s3cret@host/db")


@pytest.mark.parametrize("text", ["lab-db = s3cret", 'lab-db = {address = "s3cret"}', "\x00"])
def test_a_file_of_another_form_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    assert "expected" in said("lab-db")
