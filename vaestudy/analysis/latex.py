"""LaTeX: text escaped, and tables in the booktabs style."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def tabular(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    best: frozenset[int] = frozenset(),
    columns: str | None = None,
) -> list[str]:
    """The lines of a booktabs table of LaTeX source; ``columns`` are LaTeX's types, left-aligned unless given."""
    bold = r"\textbf{{{}}}".format
    return [
        rf"\begin{{tabular}}{{{columns or 'l' * len(header)}}}",
        r"\toprule",
        _latex_row([_stacked(name) for name in header]),
        r"\midrule",
        *[_latex_row(bold_row(header, row, bold) if index in best else row) for index, row in enumerate(rows)],
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _latex_row(cells: Sequence[str]) -> str:
    """A row; braces keep a first cell in brackets or with a star from being read as an argument of the row before."""
    guarded = ["{}" + cell if index == 0 and cell[:1] in ("[", "*") else cell for index, cell in enumerate(cells)]
    return " & ".join(guarded) + r" \\"


def _stacked(title: str) -> str:
    """A column title in its lines."""
    return rf"\shortstack[l]{{{escape(title)}}}".replace("\n", r"\\{}")


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "±": r"$\pm$",
    "−": "$-$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "–": "--",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "†": r"$^{\dagger}$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\to$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
}


def escape(text: str) -> str:
    """Text as LaTeX source."""
    return "".join(LATEX.get(character, character) for character in text)


def bold_row(header: Sequence[str], row: Sequence[str], style: Callable[[str], str]) -> list[str]:
    """The row with its method and the score that follows it set off."""
    method = list(header).index("method")
    return [style(value) if place in (method, method + 1) else value for place, value in enumerate(row)]
