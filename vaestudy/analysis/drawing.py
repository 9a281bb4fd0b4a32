"""What all figures share: colours, markers, sheets, and their bytes; matplotlib's objects, no global state."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#999999")
"""Colours that colour-blind readers tell apart (Okabe and Ito, 2008)."""

MARKERS = "osD^vPX*"


def look(index: int) -> tuple[str, str]:
    """The colour and marker of the method with this index, the same in every figure; no pair twice among 64."""
    lap, place = divmod(index, len(OKABE_ITO))
    return OKABE_ITO[place], MARKERS[(place + lap) % len(MARKERS)]


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def framed(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A figure with one axes at fixed margins, drawn in half the time of a ``sheet``, which measures its texts first.

    Args:
        width, height: in inches.
        margins: left, bottom, right and top, in inches.
    """
    left, bottom, right, top = margins
    figure = Figure(figsize=(width, height), dpi=150)
    axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height))
    return figure, axes


def bare(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches that its axes fill, without frame or ticks."""
    figure = Figure(figsize=(width, height), dpi=150)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    return figure, axes


def plain(axes: Axes, title: str = "") -> None:
    """A light grid, no box, the title on the left."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="both", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_title(title, fontsize="medium", loc="left")


def legend(axes: Axes) -> None:
    """A legend beside the data, never over them."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def render(figure: Figure, form: str) -> bytes:
    """A figure as ``png`` or ``svg``, the same bytes every time."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vaestudy", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    figure.set_layout_engine("none")  # laid out once; drawing it in another form finds everything in its place
    return buffer.getvalue()
