"""Plots a comparison of models by slices, with intervals."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.comparison import check_reports
from tfrec_fusion.evaluation.report import Report
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")


def plot(reports: Sequence[Report], path: str | os.PathLike, metric: str | None = None) -> Path:
    """Draws a PNG with one panel per slice, one bar per model and its 95 % interval.

    Each panel has its own scale, as cold items rank among themselves and have another level.

    Args:
      reports: of models evaluated on the same split at the same cut-offs.
      path: ends in .png; written atomically.
      metric: e.g. "recall@20"; NDCG at the smallest cut-off by default.

    Returns:
      The path.

    Raises:
      InputError: an unknown metric, another ending, or reports that cannot be compared.

    Example:
      >>> plot([tff.evaluation.evaluate(model, split)], "comparison.png")
      PosixPath('comparison.png')
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reports = check_reports(reports, "plot")
    path = local_path(path, "plot")
    if path.suffix != ".png":
        raise InputError(f"plot: path must end in .png. Received: {str(path)!r}")
    metric = metric or f"ndcg@{reports[0].k[0]}"
    known = list(reports[0].metrics["total"])
    if metric not in known:
        raise InputError(f"plot: metric must be one of {known}. Received: {metric!r}")
    labels = [
        label
        for label, values in reports[0].metrics.items()
        if reports[0].counts[label]["users"] and metric in values
    ]
    columns = min(4, len(labels))
    rows = -(-len(labels) // columns)
    size = (2.0 + 2.5 * columns, rows * (0.9 + 0.26 * len(reports)) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = FigureCanvasAgg(figure).figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, label in zip(grid.flat, labels, strict=False):
        _panel(axes, reports, label, metric)
    for axes in grid.flat[len(labels) :]:
        axes.set_axis_off()
    grid[0, 0].invert_yaxis()
    title = f"{metric.replace('ndcg', 'NDCG')}, {reports[0].split} split"
    if reports[0].bootstrap:
        title += ", with 95 % bootstrap intervals over users"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    with new_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
    return path


def _panel(axes, reports: Sequence[Report], label: str, metric: str) -> None:
    """Draws one slice: a bar per model, its interval and its value."""
    values = np.array([r.metrics.get(label, {}).get(metric, np.nan) for r in reports])
    bounds = np.array(
        [
            r.intervals.get(label, {}).get(metric, (value, value))
            for r, value in zip(reports, values, strict=True)
        ]
    )
    place = np.arange(len(reports))
    colours = [_COLOURS[index % len(_COLOURS)] for index in place]
    axes.barh(place, values, 0.72, color=colours)
    around = np.abs(bounds.T - values)
    axes.errorbar(
        values, place, xerr=around, fmt="none", ecolor="#333333", elinewidth=0.9, capsize=2
    )
    for position, value, high in zip(place, values, bounds[:, 1], strict=True):
        if np.isfinite(value):
            axes.annotate(
                f"{value:.3f}" if value < 10 else f"{value:.1f}",
                (high, position),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
            )
    axes.set_yticks(place, [report.name for report in reports], fontsize=8.5)
    axes.set_title(f"{label} ({reports[0].counts[label]['users']:,} users)", fontsize=9, loc="left")
    axes.set_xlim(0, np.nanmax(bounds[:, 1], initial=0.0) * 1.28 or 1.0)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
