"""Figures of one run: its curve, its KL per dimension, and what it draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaestudy.analysis.drawing import OKABE_ITO, framed, legend, plain, render
from vaestudy.outputs import Images, read_outputs
from vaestudy.records import RunRecord

COLUMNS = 8
"""Images beside each other."""

TERMS = {"val/nelbo": "−ELBO", "val/rec": "reconstruction", "val/kl": "KL"}


def run_figures(record: RunRecord, folder: Path) -> Mapping[str, bytes]:
    """One run's figures as PNG by file name.

    Args:
        folder: the run's attempt; reconstructions and prior samples are drawn where it holds ``outputs.npz``.
    """
    figures: dict[str, Figure] = {}
    if any(report.epoch > 0 and "val/nelbo" in report.metrics for report in record.reports):
        figures["learning_curve.png"] = _curve(record)
    if any("val/kl_per_dimension" in report.vectors for report in record.reports):
        figures["kl_per_dimension.png"] = _kl(record)
    if outputs := read_outputs(folder):
        figures |= _images(record, outputs)
    return {name: render(figure, "png") for name, figure in figures.items()}


def _curve(record: RunRecord) -> Figure:
    """Validation −ELBO and its two terms by epoch, from the first epoch on: before it they are off the scale."""
    figure, axes = framed(6, 3.4, (0.75, 0.5, 1.4, 0.3))
    judged = [report for report in record.reports if "val/nelbo" in report.metrics and report.epoch > 0]
    for (name, label), colour, style in zip(TERMS.items(), OKABE_ITO[:3], ("-", "--", ":"), strict=True):
        points = [(report.epoch, report.metrics[name]) for report in judged if name in report.metrics]
        axes.plot(*zip(*points, strict=True), color=colour, ls=style, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="validation [nats per image]")
    plain(axes, record.run.name)
    legend(axes)
    return figure


def _kl(record: RunRecord) -> Figure:
    figure, axes = framed(6, 3, (0.75, 0.5, 0.1, 0.3))
    kl = [r.vectors["val/kl_per_dimension"] for r in record.reports if "val/kl_per_dimension" in r.vectors][-1]
    axes.bar(range(1, len(kl) + 1), sorted(kl, reverse=True), color=OKABE_ITO[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="latent dimension, by KL", ylabel="KL [nats per image]")
    plain(axes, f"{record.run.name}: KL per dimension on validation images")
    return figure


def _images(record: RunRecord, outputs: Mapping[str, Images]) -> dict[str, Figure]:
    pairs = np.stack([outputs["originals"], outputs["reconstructions"]], axis=1)
    pairs = pairs.reshape(-1, *pairs.shape[2:])
    return {
        "reconstructions.png": _grid(pairs, f"{record.run.name}: validation images, each beside its reconstruction"),
        "prior_samples.png": _grid(outputs["samples"], f"{record.run.name}: means of samples from the prior"),
    }


def _grid(images: npt.NDArray[np.float32], title: str) -> Figure:
    """Images in [0, 1] ``[n, height, width]`` side by side, dark ink on white, thin grey lines between them."""
    count, height, width = images.shape
    tiles = np.full((-(-count // COLUMNS), COLUMNS, height + 1, width + 1), 0.25)
    tiles[..., 1:, 1:] = 0.0
    tiles.reshape(-1, height + 1, width + 1)[:count, 1:, 1:] = images
    picture = tiles.swapaxes(1, 2).reshape(tiles.shape[0] * (height + 1), COLUMNS * (width + 1))
    figure, axes = framed(6, 0.3 + 6 * picture.shape[0] / picture.shape[1], (0.0, 0.0, 0.0, 0.3))
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize="medium")
    axes.set_axis_off()
    return figure
