# SPDX-License-Identifier: Apache-2.0
"""The course of a training run as a table and as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cnnmetric.files.output import atomic_path
from cnnmetric.training.checkpoint import Progress

_SMOOTH = 50  # steps, in the picture


def write_log(path: Path, progress: Progress) -> None:
    """Write loss and accuracy of every step, and those of the validations beside them."""
    validations = {step: rest for step, *rest in progress.validations}
    with atomic_path(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["step", "loss", "accuracy", "validation_loss", "validation_accuracy"])
        steps = zip(progress.losses, progress.accuracies, strict=True)
        for step, values in enumerate(steps, start=1):
            writer.writerow([step, *values, *validations.get(step, ("", ""))])


def draw_curve(progress: Progress, *, title: str) -> Figure:
    """Draw loss and accuracy over the steps, averaged over some, and those of the validation."""
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(8, 3), layout="constrained")
        figure.suptitle(title)
        width = max(1, min(_SMOOTH, progress.step // 10))
        steps = np.arange(progress.step - width + 1) + (width + 1) / 2
        curves = (progress.losses, progress.accuracies)
        for column, (axes, values) in enumerate(zip(figure.subplots(1, 2), curves, strict=True)):
            smooth = np.convolve(values, np.full(width, 1 / width), mode="valid")
            axes.plot(steps, smooth, label=f"training, mean of {width} steps")
            if progress.validations:
                where, *measures = np.array(progress.validations).T
                axes.plot(where, measures[column], "o-", markersize=3, label="validation")
                axes.axvline(progress.best_step, color="0.5", linestyle=":", label="exported")
            axes.set_xlabel("step")
            axes.set_ylabel(("loss", "accuracy")[column])
            axes.legend()
    return figure
