"""Every command of docs/cluster.md is executed by a walk, or is known not to run here, with the reason."""

from __future__ import annotations

from tests.fixtures.page import NOT_HERE, PAGE, Walk, commands

WALKS = {
    "From one laptop to a cluster": "test_several_hosts",
    "1. Bare hosts": "test_bare_hosts",
    "2. One machine, all that a group shares: Compose": "test_compose",
    "3. Kubernetes": "test_kubernetes",
    "4. SLURM": "test_slurm",
    "No shared folder: an object store": "test_object_store",
}
"""Sections, and the modules beside this one that walk them to the end."""


def test_every_section_with_commands_is_walked_to_its_end() -> None:
    assert list(commands()) == list(WALKS)
    for title, module in WALKS.items():
        text = PAGE.parents[1].joinpath("tests", "cluster", f"{module}.py").read_text()
        assert f'Walk("{title}"' in text, title
        assert "walk.end()" in text, title


def test_what_cannot_run_here_is_on_the_page() -> None:
    lines = [line for found in commands().values() for line in found]
    assert [beginning for beginning in NOT_HERE if not any(line.startswith(beginning) for line in lines)] == []
    assert all(NOT_HERE.values())


def test_every_way_ends_with_exported_tables() -> None:
    for title, found in commands().items():
        if title[0].isdigit():
            assert any("vaestudy export" in line or "study export" in line for line in found), title


def test_a_command_that_nobody_takes_fails_its_walk() -> None:
    walk = Walk("4. SLURM", {"quickstart": "other"})
    assert walk.take("vaestudy stop").startswith("vaestudy stop   other")
    try:
        walk.end()
    except AssertionError as error:
        assert "vaestudy submit" in str(error)
    else:
        raise AssertionError("three commands are left")
