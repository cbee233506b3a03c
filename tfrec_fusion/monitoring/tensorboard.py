"""Writes a report for TensorBoard."""

from __future__ import annotations

import math
import os

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.disk import disk_errors
from tfrec_fusion.monitoring.report import Report
from tfrec_fusion.paths import local_path


def write_summaries(report: Report, logdir: str | os.PathLike) -> None:
    """Writes a report for TensorBoard: figures as scalars, and histograms of the samples.

    There are histograms of scores, history lengths and numeric features. The step is the unix time
    of the window's last request in whole seconds (0 without times), so reports of successive
    windows form one curve in a folder.

    Args:
      report: report on one window.
      logdir: TensorBoard's log folder.

    Raises:
      OSError: the disk is full.
    """
    logdir = local_path(logdir, "monitor", tensorflow=True)
    step = 0 if report.end is None else int(report.end)
    with disk_errors(logdir, "not all of the figures were written"):
        writer = tf.summary.create_file_writer(str(logdir))
        with writer.as_default(step=step):
            _write(report)
        writer.close()


def _write(report: Report) -> None:
    tf.summary.scalar("monitoring/requests", report.rows)
    for figure in report.figures:
        if not math.isnan(figure.value):
            tf.summary.scalar(f"monitoring/{figure.name}", figure.value)
    for name, values in report.samples.items():
        if len(values):
            tf.summary.histogram(f"monitoring/{name}", np.asarray(values))
