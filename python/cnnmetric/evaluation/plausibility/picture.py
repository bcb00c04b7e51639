# SPDX-License-Identifier: Apache-2.0
"""The paper's Figure 3 (curves) and the middle of its Figure 1 (maps)."""

from __future__ import annotations

from collections.abc import Sequence

import itk
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cnnmetric.evaluation.plausibility.curves import Curve
from cnnmetric.evaluation.plausibility.perturbations import centre_of
from cnnmetric.metric.maps import Maps
from cnnmetric.types import Image

_VALUE, _DERIVATIVE = "#1f6f8b", "#c0392b"


def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Draw value and derivative, a row for each metric and a column for each perturbation."""
    metrics = list(dict.fromkeys(curve.metric for curve in curves))
    names = list(dict.fromkeys(curve.perturbation.name for curve in curves))
    figure = Figure(figsize=(3.4 * len(names), 2.6 * len(metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(metrics), len(names), squeeze=False)
    for curve in curves:
        row, column = metrics.index(curve.metric), names.index(curve.perturbation.name)
        values = panels[row][column]
        values.plot(curve.amounts, curve.values, color=_VALUE)
        values.tick_params(axis="y", colors=_VALUE, labelsize=7)
        values.tick_params(axis="x", labelsize=7)
        values.axvline(0, color="0.7", linewidth=0.6)
        values.set_xlabel(f"{curve.perturbation.name} [{curve.perturbation.unit}]", fontsize=8)
        derivatives = values.twinx()
        derivatives.plot(curve.amounts, curve.derivatives, color=_DERIVATIVE, linewidth=0.9)
        derivatives.axhline(0, color=_DERIVATIVE, linewidth=0.4, linestyle="--")
        # 0 in the middle, so that the sign is seen.
        largest = float(np.abs(curve.derivatives).max()) * 1.1 or 1.0
        derivatives.set_ylim(-largest, largest)
        derivatives.tick_params(axis="y", colors=_DERIVATIVE, labelsize=7)
        derivatives.set_ylabel(
            f"derivative [1/{curve.perturbation.unit}]", color=_DERIVATIVE, fontsize=8
        )
        values.set_title(
            f"{curve.metric}: minimum at {curve.minimum:g}, sign right at {curve.right_signs:.0%}",
            fontsize=8,
        )
        values.set_ylabel("value", color=_VALUE, fontsize=8)
    return figure


def draw_maps(fixed: Image, moving: Image, maps: Maps, *, title: str) -> Figure:
    """Draw a slice through the middle of two aligned images and of what the network says of them.

    Parameters
    ----------
    fixed, moving
        ITK images of float, 3D.
    maps
        Of `MetricOnImages.maps`.
    title
        Heading.
    """
    place = np.asarray(centre_of(fixed))
    shown = [
        ("fixed", fixed, "gray", None),
        ("moving", moving, "gray", None),
        ("dissimilarity N(P)", maps.dissimilarity, "coolwarm", 1.0),
        ("derivative dM/dI'm(x)", maps.derivative, "coolwarm", 0.995),
    ]
    figure = Figure(figsize=(13.5, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    for axes, (name, image, colours, quantile) in zip(figure.subplots(1, 4), shown, strict=True):
        picture, extent = _slice(image, place)
        limits: dict[str, float] = {}
        if quantile is not None:  # warm is positive, as in the paper
            largest = float(np.nanquantile(np.abs(picture), quantile)) or 1.0
            limits = {"vmin": -largest, "vmax": largest}
        drawn = axes.imshow(picture, cmap=colours, extent=extent, origin="lower", **limits)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("first grid axis [mm]", fontsize=8)
        axes.tick_params(labelsize=7)
        if quantile is not None:
            figure.colorbar(drawn, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    return figure


def _slice(
    image: Image, place: NDArray[np.float64]
) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """Return the slice of the third grid axis nearest to a point, and its extent in mm."""
    spacing, size = np.asarray(image.GetSpacing()), np.asarray(itk.size(image))
    along_axes = np.asarray(image.GetDirection()).T @ (place - np.asarray(image.GetOrigin()))
    index = int(np.clip(round(along_axes[2] / spacing[2]), 0, size[2] - 1))
    # From the point, so that maps and images lie on each other.
    low = -along_axes[:2] - spacing[:2] / 2
    high = low + size[:2] * spacing[:2]
    picture = np.array(itk.array_view_from_image(image)[index])
    return picture, (low[0], high[0], low[1], high[1])
