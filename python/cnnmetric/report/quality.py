# SPDX-License-Identifier: Apache-2.0
"""How good a registration is, from the images alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.ndimage import uniform_filter

from cnnmetric.registration.stage import Stage
from cnnmetric.report.comparison import Comparison
from cnnmetric.report.neighbourhood import FEWEST
from cnnmetric.report.neighbourhood import STEPS
from cnnmetric.report.neighbourhood import Displaced
from cnnmetric.report.neighbourhood import Neighbourhood
from cnnmetric.types import Image
from cnnmetric.types import Transform
from cnnmetric.types import Volume

_WINDOW = 5  # voxels of the grid, for local correlation
_SHOWN = 0.05  # of the normalised intensities


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """Figures of a registration that need no labels, and what they mean.

    The metric is the mean dissimilarity of the patches in which the fixed image shows something, on
    a grid of cubes that may be coarser than that of the registration; lower is better. Values of
    different models, or of different images, cannot be compared.

    Attributes
    ----------
    grid_spacing
        Edge of the cubes in mm.
    before, value
        The metric where the registration started, and at its result.
    stages
        Name of each stage, and the metric after it.
    displaced
        The metric with the moving image displaced from the result by 2 and 4 voxels of the grid.
    agreement
        Share of the patches, deeper inside than one patch, that the network finds more alike at the
        result than displaced by 4 voxels, on average over all directions. Aligned images have more
        than 0.8; 0.5 is chance.
    linear_agreement
        The same after the last linear stage, where others deform further; None where none does. It
        tells more: a deformation makes much fit that does not belong together.
    overlap
        Dice overlap of what the fixed and the warped image show.
    folded
        Share of voxels at which the transform folds.
    coarseness
        Larger voxel size of the two images, over that of the model.
    modalities
        Of the model, the fixed image's first.
    swapped
        The metric with the fixed image taken for the model's other modality; None for a model that
        does not tell them apart.
    flipped
        The metric with the warped image mirrored left to right.
    correlation
        Median local correlation of the intensities: near 1 where both images show the same
        modality.
    dissimilarity
        ITK image, one voxel a patch: where the metric finds the images unlike.
    counted
        Which of its patches count; array z, y, x.
    warnings
        What is wrong, or looks so, in plain words; empty if nothing does.
    """

    grid_spacing: float
    before: float
    value: float
    stages: tuple[tuple[str, float], ...]
    displaced: tuple[Displaced, ...]
    agreement: float
    linear_agreement: float | None
    overlap: float
    folded: float
    coarseness: float
    modalities: tuple[str, str]
    swapped: float | None
    flipped: float
    correlation: float
    dissimilarity: Image = field(repr=False)
    counted: NDArray[np.bool_] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def rise(self) -> float:
        """How much the metric rises, on average, with displacements by 4 voxels."""
        largest = max(abs(point.millimetres) for point in self.displaced)
        far = [p.value for p in self.displaced if abs(p.millimetres) > 0.99 * largest]
        return sum(far) / len(far) - self.value

    def record(self) -> dict[str, Any]:
        """Return the figures as values for JSON."""
        numbers = ("grid_spacing", "before", "value", "rise", "agreement", "overlap", "folded")
        found = {name: round(getattr(self, name), 6) for name in (*numbers, "coarseness")}
        linear = self.linear_agreement
        return {
            **found,
            "linear_agreement": None if linear is None else round(linear, 6),
            "swapped": None if self.swapped is None else round(self.swapped, 6),
            "flipped": round(self.flipped, 6),
            "correlation": round(self.correlation, 6),
            "stages": [[name, round(value, 6)] for name, value in self.stages],
            "displaced": [
                ["xyz"[point.axis], round(point.millimetres, 4), round(point.value, 6)]
                for point in self.displaced
            ],
            "warnings": list(self.warnings),
        }


def measure(
    fixed: Image,
    moving: Image,
    *,
    transform: Transform,
    before: Transform | None,
    stages: Sequence[Stage],
    folded: float,
    comparison: Comparison,
) -> Quality:
    """Measure a registration, without warnings.

    Takes about 30 evaluations of the network on a coarse grid.

    Parameters
    ----------
    fixed, moving
        ITK images of float.
    transform, before
        From fixed to moving points: the result, and where the registration started.
    stages
        What was done.
    folded
        Share of voxels at which the transform folds.
    comparison
        How the images were compared.
    """
    around = Neighbourhood(fixed, moving, comparison)
    warped = around.warped(transform)
    counted = around.counted(transform)
    here = around.map(warped)
    value = _mean(here, counted)

    displaced, far = [], []
    for axis, step, shift in around.displacements():
        there = around.map(warped, shift=shift)
        moved = step * around.grid.spacing
        displaced.append(Displaced(axis=axis, millimetres=moved, value=_mean(there, counted)))
        if abs(step) == max(STEPS):
            far.append(there)
    linear = [stage.transform for stage in stages if stage.transform.IsLinear()]
    deforms = bool(linear) and not transform.IsLinear()

    swapped = None
    if around.modalities[0] != around.modalities[1]:
        other = around.map(warped, swapped=True)
        if not np.allclose(other, here, atol=1e-5):
            swapped = _mean(other, counted)
    voxel = max(max(image.GetSpacing()) for image in (fixed, moving))
    ends = [(stage.name, _value_after(around, stage)) for stage in stages[:-1]]
    ends += [(stages[-1].name, value)] if stages else []
    return Quality(
        grid_spacing=around.grid.spacing,
        before=_mean(around.map(around.warped(before)), counted),
        value=value,
        stages=tuple(ends),
        displaced=tuple(displaced),
        agreement=_agreement(here, far, counted),
        linear_agreement=_agreement_after(around, linear[-1]) if deforms else None,
        overlap=around.overlap(warped),
        folded=folded,
        coarseness=float(voxel / around.network.spacing),
        modalities=around.modalities,
        swapped=swapped,
        flipped=_mean(around.map(_mirrored(warped, around)), counted),
        correlation=_local_correlation(around.fixed, warped),
        dissimilarity=around.map_image(here),
        counted=counted,
    )


def _mean(dissimilarity: NDArray[np.float32], counted: NDArray[np.bool_]) -> float:
    return float(dissimilarity[counted].mean(dtype=np.float64))


def _agreement(
    here: NDArray[np.float32], far: Sequence[NDArray[np.float32]], counted: NDArray[np.bool_]
) -> float:
    """Return the share of inner patches that are more alike here than displaced."""
    better = here < np.mean(far, axis=0)
    return float(better[_inner(counted)].mean())


def _agreement_after(around: Neighbourhood, transform: Transform) -> float:
    warped = around.warped(transform)
    far = [
        around.map(warped, shift=shift)
        for _, step, shift in around.displacements()
        if abs(step) == max(STEPS)
    ]
    return _agreement(around.map(warped), far, around.counted(transform))


def _value_after(around: Neighbourhood, stage: Stage) -> float:
    counted = around.counted(stage.transform)
    return _mean(around.map(around.warped(stage.transform)), counted)


def _inner(counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the patches that lie deeper inside, where the outer contour does not decide.

    Two images of one outer shape agree along their contours whatever they show.
    """
    for depth in (2, 1):
        inner: NDArray[np.bool_] = binary_erosion(counted, iterations=depth)
        if inner.sum() >= FEWEST:
            return inner
    return counted


def _mirrored(warped: Volume, around: Neighbourhood) -> Volume:
    """Return the warped image mirrored left to right, its middle on that of the fixed image."""
    direction = np.abs(itk.array_from_matrix(around.grid.image().GetDirection()))
    axis = warped.ndim - 1 - int(direction[0].argmax())
    mirrored = np.flip(warped, axis)
    move = round(_middle(around.fixed, axis) - _middle(mirrored, axis))
    return np.roll(mirrored, move, axis)


def _middle(volume: Volume, axis: int) -> float:
    others = tuple(other for other in range(volume.ndim) if other != axis)
    weights = (volume > _SHOWN).sum(axis=others)
    if not weights.any():
        return 0.5 * float(volume.shape[axis] - 1)
    return float(np.average(np.arange(weights.size), weights=weights))


def _local_correlation(fixed: Volume, warped: Volume) -> float:
    """Return the median correlation of the intensities in small windows inside of both images."""
    both = binary_erosion((fixed > _SHOWN) & (warped > _SHOWN), iterations=3)
    if not both.any():
        return 0.0
    means = [uniform_filter(volume, _WINDOW) for volume in (fixed, warped)]
    covariance = uniform_filter(fixed * warped, _WINDOW) - means[0] * means[1]
    variances = [
        np.maximum(uniform_filter(volume**2, _WINDOW) - mean**2, 0)
        for volume, mean in zip((fixed, warped), means, strict=True)
    ]
    scale = np.sqrt(variances[0] * variances[1])
    varied = both & (scale > 1e-6)
    if not varied.any():
        return 0.0
    return float(np.median(covariance[varied] / scale[varied]))
