# SPDX-License-Identifier: Apache-2.0
"""Whether the metric knows where each B-spline control point belongs: Figure 3, for all of them.

    python studies/control_points.py T1.nii.gz T2.nii.gz --models t1t2 t1t2-fine

takes two aligned images of one subject, which the network sees at 1 mm. One control point after the
other, of those on a lattice inside the anatomy (``--within``: of a mask), moves the second image
along x, y and z; the metric is computed over all patches that this changes. Prints, for each model,
in how many cases the minimum lies within 1 mm of the truth, as a Markdown table: of the control
point's coefficient, and of the displacement that this is for the voxel under it, 0.3 of it.

The last row is mutual information of the same voxels. The last column tells in how many cases a
model's minimum lies within 1 mm of its: where both agree and neither is right, it is the pair that
is not aligned there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from tqdm import tqdm

from cnnmetric import DissimilarityNetwork
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.conversion import as_mask
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from cnnmetric.images.warping import resample_image
from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.misalignment import normalised_mutual_information
from cnnmetric.types import Image
from cnnmetric.types import Volume
from shared import table_head
from shared import table_row

TOLERANCE = 1.0  # mm
# Share of the control point's neighbourhood that has to be anatomy.
INSIDE = 0.5
MUTUAL_INFORMATION = "mutual information"

# Of two arrays of one size, less is better.
Metric = Callable[[Volume, Volume], float]


@dataclass(frozen=True, kw_only=True)
class ControlPointSettings(Settings):
    """The pair, and what moves."""

    first: Path = setting(positional=True, help_text="image of the models' first modality")
    second: Path = setting(positional=True, help_text="aligned image of their second modality")
    models: tuple[str, ...] = setting(("t1t2", "t1t2-fine"), help_text="names or .onnx files")
    within: Path | None = setting(None, help_text="mask or labels in whose voxels points may lie")
    lattice: float = setting(20.0, help_text="distance of the control points", unit="mm", above=0)
    spacing: float = setting(16.0, help_text="of the B-spline", unit="mm", above=0)
    largest: float = setting(8.0, help_text="displacement tried", unit="mm", above=0)
    step: float = setting(1.0, help_text="between displacements", unit="mm", above=0)
    threads: int = setting(1, help_text="of a network", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(ControlPointSettings, __doc__ or "")
    return run_command(
        "control_points", lambda: print(report(settings_from(parser.parse_args(arguments))))
    )


def report(settings: ControlPointSettings) -> str:
    """Move all control points by all models and return the table."""
    first, second = (read_image(path) for path in (settings.first, settings.second))
    grid = _millimetre_grid(first)
    fixed, moving = itk.array_from_image(resample_image(first, grid)), itk.array_from_image(second)
    points = list(_lattice(fixed, _mask(settings, grid), settings))
    if not points:
        where = f" in {settings.within}" if settings.within else ""
        msg = f"{settings.first} has no lattice point amid anatomy{where}; lower --lattice"
        raise DataError(msg)
    networks = {
        name: DissimilarityNetwork(name, number_of_threads=settings.threads)
        for name in settings.models
    }
    network, *others = networks.values()
    if any(other.quantiles != network.quantiles for other in others):
        msg = "--models: these see intensities in different ways; run the study once for each"
        raise SettingsError(msg)
    pair = _Pair(network.normalise(fixed), network.normalise(moving), _to_index(grid, second))
    margin = max(network.receptive_field for network in networks.values()) // 2
    metrics = {name: _mean_dissimilarity(network) for name, network in networks.items()}
    metrics[MUTUAL_INFORMATION] = lambda one, other: -normalised_mutual_information(one, other)
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for point in tqdm(points, unit="point", disable=None):
        for axis in range(fixed.ndim):
            curves = _curves(pair, metrics, point, axis, margin, settings)
            for name, curve in curves.items():
                found[name].append(_shifts(settings)[int(np.argmin(curve))])
    return _table({name: np.array(places) for name, places in found.items()})


def _table(found: dict[str, NDArray[np.float64]]) -> str:
    """Return where the metrics have their minima (mm) as a Markdown table."""
    peak = float(_cubic(np.zeros(1))[0]) ** 3
    heads = ["cases", "coefficient within 1 mm", "voxel within 1 mm", "mean [mm]", "as MI"]
    lines = [table_head(["model", *heads])]
    for name, places in found.items():
        distances = (places, peak * places, places - found[MUTUAL_INFORMATION])
        shares = [f"{np.mean(np.abs(distance) <= TOLERANCE):.0%}" for distance in distances]
        mean = f"{peak * np.abs(places).mean():.2f}"
        cells = [str(len(places)), *shares[:2], mean, shares[2]]
        if name == MUTUAL_INFORMATION:
            cells[-1] = ""
        lines.append(table_row([Path(name).stem, *cells]))
    return "\n".join(lines)


def _mean_dissimilarity(network: DissimilarityNetwork) -> Metric:
    def metric(first: Volume, second: Volume) -> float:
        return float(network(first, second, normalised=True).mean())

    return metric


@dataclass(frozen=True)
class _Pair:
    """Two images as the metrics see them."""

    fixed: Volume
    moving: Volume
    # From voxels of the fixed volume to those of the moving one, (z, y, x): matrix and offset.
    to_index: tuple[NDArray[np.float64], NDArray[np.float64]]


def _to_index(grid: Image, image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the map from voxels of the grid to those of the image, both (z, y, x).

    The moving image is interpolated once and in every case alike: one that is resampled first would
    be sharper where nothing moves.
    """
    other = voxel_axes(image)
    matrix = np.asarray(np.linalg.solve(other, voxel_axes(grid)), dtype=np.float64)
    between = np.array(grid.GetOrigin()) - np.array(image.GetOrigin())
    offset = np.asarray(np.linalg.solve(other, between), dtype=np.float64)
    return matrix[::-1, ::-1], offset[::-1]


def _millimetre_grid(image: Image) -> Image:
    extent = np.array(itk.size(image)) * np.array(image.GetSpacing())
    grid = type(image).New()
    grid.SetRegions([int(length) for length in extent])
    grid.SetSpacing([1.0] * len(extent))
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    grid.Allocate()
    return grid


def _mask(settings: ControlPointSettings, grid: Image) -> NDArray[np.bool_] | None:
    if settings.within is None:
        return None
    mask = as_mask(read_labels(settings.within), grid, role=f"mask {settings.within}")
    inside: NDArray[np.bool_] = itk.array_from_image(mask) != 0
    return inside


def _lattice(
    volume: Volume, mask: NDArray[np.bool_] | None, settings: ControlPointSettings
) -> Iterator[tuple[int, ...]]:
    """Yield voxels of the lattice, in the mask, around which most is anatomy."""
    anatomy = volume > FOREGROUND * np.quantile(volume, 0.999)
    if mask is not None:
        anatomy &= mask
    distance = round(settings.lattice)
    reach = round(settings.spacing)
    axes = [range(length % distance // 2, length, distance) for length in volume.shape]
    for point in np.array(np.meshgrid(*axes, indexing="ij")).reshape(volume.ndim, -1).T:
        around = tuple(slice(max(x - reach, 0), x + reach + 1) for x in point)
        if anatomy[around].mean() >= INSIDE:
            yield tuple(int(x) for x in point)


def _shifts(settings: ControlPointSettings) -> NDArray[np.float64]:
    number = round(settings.largest / settings.step)
    return np.linspace(-number, number, 2 * number + 1) * settings.step


def _curves(
    pair: _Pair,
    metrics: Mapping[str, Metric],
    point: tuple[int, ...],
    axis: int,
    margin: int,
    settings: ControlPointSettings,
) -> dict[str, list[float]]:
    """Return the metrics for every displacement (mm) of one control point along an axis.

    They are computed over what the control point moves and a margin, in voxels, beyond.
    """
    reach = round(2 * settings.spacing) + margin
    starts = [max(x - reach, 0) for x in point]
    ends = [min(x + reach + 1, n) for x, n in zip(point, pair.fixed.shape, strict=True)]
    fixed = pair.fixed[tuple(map(slice, starts, ends))]
    voxels = np.stack(
        np.meshgrid(*[np.arange(a, b) for a, b in zip(starts, ends, strict=True)], indexing="ij")
    ).astype(np.float64)
    weight = np.ones(fixed.shape)
    for places, centre in zip(voxels, point, strict=True):
        weight *= _cubic(np.abs(places - centre) / settings.spacing)
    matrix, offset = pair.to_index
    curves: dict[str, list[float]] = {name: [] for name in metrics}
    for shift in _shifts(settings):
        moved = voxels.copy()
        moved[axis] += shift * weight
        places = np.tensordot(matrix, moved, 1) + offset[:, None, None, None]
        warped = map_coordinates(pair.moving, places, order=1, mode="nearest")
        for name, metric in metrics.items():
            curves[name].append(metric(fixed, warped))
    return curves


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic B-spline at distances in control points."""
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.asarray(np.where(distance < 1, near, np.clip(2 - distance, 0, None) ** 3 / 6))


if __name__ == "__main__":
    sys.exit(main())
