"""A short text with headings, lists and tables, written once and set as Markdown and as LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from vaestudy.analysis import tables
from vaestudy.analysis.latex import escape, tabular


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it: paragraphs (text), lists and tables."""

    title: str
    blocks: tuple[str | Bullets | Grid, ...]


@dataclass(frozen=True)
class Bullets:
    """A list of statements."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Cite:
    """A citation by its BibTeX key."""

    key: str


@dataclass(frozen=True)
class Grid:
    """A table; ``widths`` are the columns' shares of the line in LaTeX, where cells may need several lines."""

    header: tuple[str, ...]
    rows: tuple[tuple[str | Cite, ...], ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class Document:
    """A titled text in sections."""

    title: str
    sections: tuple[Section, ...]


def markdown(document: Document) -> str:
    """The document as Markdown."""
    parts = [f"# {document.title}"]
    for section in document.sections:
        parts += [f"## {section.title}", *map(_markdown, section.blocks)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def latex(document: Document) -> str:
    """The document as the LaTeX source of a section, to be taken in with ``input``."""
    parts = [r"% needs \usepackage{booktabs}", rf"\section{{{escape(document.title)}}}"]
    for section in document.sections:
        parts += [rf"\subsection{{{escape(section.title)}}}", *map(_latex, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: str | Bullets | Grid) -> str:
    if isinstance(block, Bullets):
        return "\n".join(f"- {item}" for item in block.items)
    if isinstance(block, Grid):
        rows = [[f"[@{cell.key}]" if isinstance(cell, Cite) else cell for cell in row] for row in block.rows]
        return tables.markdown(block.header, rows)
    return block


def _latex(block: str | Bullets | Grid) -> str:
    if isinstance(block, Bullets):
        items = [rf"  \item {{}}{escape(item)}" for item in block.items]
        return "\n".join([r"\begin{itemize}", *items, r"\end{itemize}"])
    if isinstance(block, Grid):
        columns = "".join(rf"p{{{share:.2f}\linewidth}}" for share in block.widths) or "l" * len(block.header)
        rows = [
            [rf"\cite{{{cell.key}}}" if isinstance(cell, Cite) else escape(cell) for cell in row] for row in block.rows
        ]
        lines = tabular(block.header, rows, columns=columns)
        return "\n".join([r"\begin{center}", r"\footnotesize", *lines, r"\end{center}"])
    return escape(block)
