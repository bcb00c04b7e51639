# SPDX-License-Identifier: Apache-2.0
"""The course of a training run as a table and as a picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

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
    """Draw loss and accuracy over the steps, averaged over some, and those of the validation.

    Beside them the metric around an alignment is drawn, where it was tried.
    """
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        panels = 3 if progress.curves else 2
        figure = Figure(figsize=(4 * panels, 3), layout="constrained")
        figure.suptitle(title)
        width = max(1, min(_SMOOTH, progress.step // 10))
        steps = np.arange(progress.step - width + 1) + (width + 1) / 2
        curves = (progress.losses, progress.accuracies)
        found = figure.subplots(1, panels)
        for column, (axes, values) in enumerate(zip(found[:2], curves, strict=True)):
            smooth = np.convolve(values, np.full(width, 1 / width), mode="valid")
            axes.plot(steps, smooth, label=f"training, mean of {width} steps")
            if progress.validations:
                where, *measures = np.array(progress.validations).T
                axes.plot(where, measures[column], "o-", markersize=3, label="validation")
                axes.axvline(progress.best_step, color="0.5", linestyle=":", label="exported")
            axes.set_xlabel("step")
            axes.set_ylabel(("loss", "accuracy")[column])
            axes.legend()
        if progress.curves:
            _draw_shifts(found[2], progress)
    return figure


def _draw_shifts(axes: Any, progress: Progress) -> None:
    """Draw the metric over the shift along each axis, as the mean over pairs."""
    for name in sorted({curve["axis"] for curve in progress.curves}):
        curves = [curve for curve in progress.curves if curve["axis"] == name]
        values = np.mean([curve["values"] for curve in curves], axis=0)
        axes.plot(curves[0]["shifts"], values, "o-", markersize=3, label=f"along {name}")
    number = len(progress.held_out)
    axes.set_title(
        f"{number} held-out pair{'s' * (number > 1)}" if number else "a pair that was trained on",
        fontsize=9,
    )
    axes.axvline(0, color="0.5", linestyle=":")
    axes.set_xlabel("shift of the second image [voxels]")
    axes.set_ylabel("dissimilarity")
    axes.legend()
