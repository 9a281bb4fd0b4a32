"""What the page is made of: sections with text, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A table's cell, with the address of the runs behind it."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table; ``best`` are the indices of rows to be set off."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A figure as PNG in base64, with what it shows for those who cannot see it."""

    name: str
    png: str


@dataclass(frozen=True)
class Section:
    """A heading with text, tables and figures."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def filled(self) -> bool:
        """Whether there is anything under the heading."""
        return bool(self.text or self.sheets or self.pictures)
