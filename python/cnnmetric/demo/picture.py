# SPDX-License-Identifier: Apache-2.0
"""The picture of a registration: both images and how they fit, before and after, in 3 planes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.checkerboard import checkerboard
from cnnmetric.types import Image

Picture = npt.NDArray[np.float32]

_PIXEL = 0.8  # mm in the picture
_MARGIN = 12.0  # mm around the head
_TILE = 20.0  # mm, checkerboard
_SCALE_BAR = 50  # mm
_BACKGROUND, _TEXT, _LETTER, _LINE = "#101418", "#e8ecf0", "#8fa3b5", "#ffd24a"
# Name of each plane, the patient axis it cuts (0 = x), and the letters left, right, top, bottom.
# Seen as radiologists do: the patient's right is on the left.
_PLANES = (
    ("axial", 2, ("R", "L", "A", "P")),
    ("coronal", 1, ("R", "L", "S", "I")),
    ("sagittal", 0, ("A", "P", "S", "I")),
)
# Where each plane cuts the head, as a share of its extent along x, y, z: off the midline, through
# the ventricles.
_CUT = (0.40, 0.50, 0.52)


def draw(
    file: Path,
    *,
    fixed: Image,
    moving: Image,
    warped: Image,
    names: tuple[str, str],
    title: str,
    lines: Sequence[str],
) -> None:
    """Write the picture.

    Parameters
    ----------
    file
        Where to write it; the suffix chooses the format.
    fixed, moving, warped
        ITK images of floats; each is placed by its own header.
    names
        What the fixed and the moving image show, for example ``("T1", "T2")``.
    title, lines
        Heading, and the results in words below it.
    """
    grid = _display_grid(fixed)
    fixed_volume, before, after = (_shown(image, grid) for image in (fixed, moving, warped))
    shape = np.asarray(fixed_volume.shape)[::-1]
    cut = [round(share * (n - 1)) for share, n in zip(_CUT, shape, strict=True)]
    columns = (
        f"fixed {names[0]}",
        f"moving {names[1]}, before",
        f"moving {names[1]}, registered",
        "checkerboard, before",
        "checkerboard, registered",
    )
    outlined = (True, True, True, False, False)

    figure, axes = _figure(shape, len(columns), title, lines)
    for row, (plane, axis, letters) in enumerate(_PLANES):
        slices = [_cut(volume, axis, cut[axis]) for volume in (fixed_volume, before, after)]
        boards = [
            checkerboard(slices[0], moved, tile=round(_TILE / _PIXEL)) for moved in slices[1:]
        ]
        outline = ndimage.gaussian_filter(slices[0], 1.2 / _PIXEL)
        levels = _outline_levels(fixed_volume)
        for column, panel in enumerate([*slices, *boards]):
            ax = axes[row][column]
            ax.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
            if outlined[column]:
                ax.contour(outline, levels=levels, colors=_LINE, linewidths=0.7, alpha=0.85)
            if row == 0:
                ax.set_title(columns[column], color=_TEXT, fontsize=13, pad=8)
            _write_letters(ax, letters)
        axes[row][0].set_ylabel(plane, color=_TEXT, fontsize=13)
    _draw_scale_bar(axes[-1][0], _cut(fixed_volume, 0, 0).shape)
    figure.savefig(file, facecolor=_BACKGROUND, dpi=110)


def _display_grid(fixed: Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return origin (mm) and size (pixels) of a grid along the patient's axes around the head."""
    voxels = itk.array_view_from_image(fixed)
    head = ndimage.gaussian_filter(voxels, 1.0) > 0.1 * np.quantile(voxels, 0.99)
    index = np.argwhere(head)[:: max(1, head.sum() // 100_000), ::-1]
    matrix = voxel_axes(fixed)
    points = index @ matrix.T + np.asarray(fixed.GetOrigin())
    low, high = points.min(axis=0) - _MARGIN, points.max(axis=0) + _MARGIN
    return low, np.ceil((high - low) / _PIXEL).astype(int)


def _shown(image: Image, grid: tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]) -> Picture:
    """Resample on the display grid and scale to [0, 1]; axes z, y, x. Nothing to show is black."""
    origin, size = grid
    resampled = itk.resample_image_filter(
        image,
        size=[int(n) for n in size],
        output_spacing=[_PIXEL] * 3,
        output_origin=[float(x) for x in origin],
        output_direction=itk.matrix_from_array(np.eye(3)),
    )
    voxels = itk.array_from_image(resampled)
    foreground = voxels[voxels > 0.05 * np.quantile(voxels, 0.99)]
    high = np.quantile(foreground, 0.995) if foreground.size else 0.0
    if high <= 0.0:
        return np.zeros(voxels.shape, dtype=np.float32)
    return np.asarray(np.clip(voxels / high, 0, 1), dtype=np.float32)


def _cut(volume: Picture, axis: int, index: int) -> Picture:
    plane = np.take(volume, index, axis=2 - axis)
    # Rows run down: towards posterior in the axial plane as stored, towards inferior after a flip.
    return np.asarray(plane if axis == 2 else plane[::-1])


def _outline_levels(volume: Picture) -> list[float]:
    """Return the edge of the head, and the value that best parts its inside in two (Otsu)."""
    counts, edges = np.histogram(volume[volume > 0.15], bins=128)
    centres = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sum_below = np.cumsum(counts * centres)
    mean_below = sum_below / np.maximum(below, 1)
    mean_above = (sum_below[-1] - sum_below) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return [0.15, float(centres[between.argmax()])]


def _figure(
    shape: npt.NDArray[np.int64], columns: int, title: str, lines: Sequence[str]
) -> tuple[Figure, Any]:
    width = max(shape[0], shape[1])
    heights = [shape[1], shape[2], shape[2]]
    column_inches, top = 3.3, 0.95 + 0.24 * len(lines)
    inches = [h / width * column_inches for h in heights]
    size = (columns * column_inches + 0.5, sum(inches) + top + 0.35)
    figure = Figure(figsize=size, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        3,
        columns,
        squeeze=False,
        gridspec_kw={
            "height_ratios": heights,
            "left": 0.35 / size[0],
            "right": 1 - 0.1 / size[0],
            "bottom": 0.1 / size[1],
            "top": 1 - top / size[1],
            "wspace": 0.02,
            "hspace": 0.02,
        },
    )
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_facecolor("black")
        for side in ax.spines.values():
            side.set_visible(False)
    at = 0.012
    figure.text(at, 1 - 0.15 / size[1], title, color=_TEXT, fontsize=17, weight="bold", va="top")
    figure.text(
        at,
        1 - 0.52 / size[1],
        "\n".join(lines),
        color=_TEXT,
        fontsize=12,
        va="top",
        linespacing=1.3,
        family="monospace",
    )
    return figure, axes


def _write_letters(ax: Any, letters: tuple[str, str, str, str]) -> None:
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    aligned = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, place, (horizontal, vertical) in zip(letters, places, aligned, strict=True):
        style = {"color": _LETTER, "fontsize": 10, "ha": horizontal, "va": vertical}
        ax.text(*place, letter, transform=ax.transAxes, **style)


def _draw_scale_bar(ax: Any, shape: tuple[int, ...]) -> None:
    length = _SCALE_BAR / _PIXEL
    x, y = 0.04 * shape[1], 0.94 * shape[0]
    ax.plot([x, x + length], [y, y], color=_TEXT, linewidth=2.5)
    edge = mpl.patheffects.withStroke(linewidth=2, foreground="black")
    middle, style = x + length / 2, {"color": _TEXT, "fontsize": 10, "path_effects": [edge]}
    ax.text(middle, y - 3, f"{_SCALE_BAR} mm", ha="center", va="bottom", **style)
