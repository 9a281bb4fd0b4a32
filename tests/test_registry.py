"""Names find components; a plugin is a module's name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vaestudy.errors import UsageError
from vaestudy.hyperparameters import Positive
from vaestudy.registry import Registry, Source, import_plugin


def example(*, lr: Positive = 0.1) -> None:
    """An example."""


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None)
    with pytest.raises(UsageError, match=r"unknown optimizer 'adamz' - did you mean 'adam'\? \(one of: adam\)"):
        registry.find("adamz")


def test_two_components_cannot_share_a_name() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None)
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("adam", object(), example, None)


def test_a_source_is_cited_as_bibtex() -> None:
    text = Source("k2015", "A and B", "Title", 2015, "arXiv:1412.6980").bibtex()
    assert text.startswith("@misc{k2015,")
    assert "eprint = {1412.6980}" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", ["os:system", "../x", "a b", ""])
def test_a_plugin_is_a_module_name_and_nothing_else(name: str) -> None:
    with pytest.raises(UsageError, match="module name"):
        import_plugin(name)


def test_a_summary_and_a_schema_are_read_from_the_signature() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None)
    entry = registry.find("adam")
    assert entry.summary == "An example."
    assert entry.hyperparameters["lr"].default == 0.1


def test_an_entry_has_the_family_and_the_inclusions_that_it_was_registered_with() -> None:
    registry: Registry[object] = Registry("optimizer")
    registry.add("adam", object(), example, None, family="adam", contains=("sgd",))
    registry.add("plain", object(), example, None)
    assert (registry.find("adam").family, registry.find("adam").contains) == ("adam", ("sgd",))
    assert (registry.find("plain").family, registry.find("plain").contains) == ("", ())


def test_a_plugin_that_fails_says_what_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_plugin.py").write_text("x = 1\nraise RuntimeError('no\\nlicence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UsageError, match=r"importing 'broken_plugin' failed: RuntimeError: no \(.*broken_plugin.py:2\)"
    ):
        import_plugin("broken_plugin")
    assert "broken_plugin" not in sys.modules


def test_a_plugin_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="No module named 'no_such_plugin'"):
        import_plugin("no_such_plugin")
