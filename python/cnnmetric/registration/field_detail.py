# SPDX-License-Identifier: Apache-2.0
"""Whether the detail of a displacement field is of the anatomy or of the noise.

Between two images of one subject, most of what a field has in detail is noise of the metric, and a
stiffer last level comes closer to the truth. Between different subjects the detail is what their
anatomy differs by. The metric tells the two apart: it hardly changes where a field of the first
kind is smoothed, and much where one of the second kind is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnmetric.errors import MetricError
from cnnmetric.plugin import loading
from cnnmetric.registration.field_force import Force
from cnnmetric.registration.pair_on_grids import Volumes
from cnnmetric.types import Field

# `FieldLevel.field_smoothing`, in voxels: where the detail is needed, and where it is not.
FOR_DETAIL, FOR_ONE_SUBJECT = 1.0, 2.0
# Of images of one subject the share is 0.009 to 0.018, of different subjects 0.06 to 0.12
# (studies/notes/displacement-field.md).
LARGEST_SHARE = 0.035
_DETAIL = 2.5  # voxels: the standard deviation of the Gaussian that takes the detail out


@dataclass(frozen=True, kw_only=True)
class SmoothingChoice:
    """A `FieldLevel.field_smoothing`, in voxels, and why it was chosen."""

    smoothing: float
    reason: str


def choose_smoothing(
    volumes: Volumes, field: Field, force: Force, *, threads: int
) -> SmoothingChoice:
    """Choose how stiff the next level is, from the field of a level.

    Parameters
    ----------
    volumes, field, force
        Images, displacement in voxels and force of the level that has ended.
    threads
        Number of threads beside the network's own; 0 for all processors.
    """
    if not field.any():
        return SmoothingChoice(smoothing=FOR_DETAIL, reason=f"{FOR_DETAIL:g} voxel (no field yet)")
    try:
        share = share_of_detail(volumes, field, force, threads=threads)
    except MetricError:  # the field has left a mask, which the next level will say if it stays so
        if volumes.inside_fixed is None and volumes.inside_moving is None:
            raise
        return SmoothingChoice(
            smoothing=FOR_DETAIL, reason=f"{FOR_DETAIL:g} voxel (no patch is inside of the masks)"
        )
    lost = f"without its detail the fit loses {share:.3f} of its range"
    if share <= LARGEST_SHARE:
        return SmoothingChoice(
            smoothing=FOR_ONE_SUBJECT,
            reason=f"{FOR_ONE_SUBJECT:g} voxels ({lost}, as between images of one subject)",
        )
    return SmoothingChoice(
        smoothing=FOR_DETAIL,
        reason=f"{FOR_DETAIL:g} voxel ({lost}, as between different subjects)",
    )


def share_of_detail(volumes: Volumes, field: Field, force: Force, *, threads: int) -> float:
    """Return how much worse images fit without a field's detail, in shares of the metric's range.

    The range is from the metric's value by the field to its value where the moving image is
    displaced by a patch more, along every axis. Parameters are those of :func:`choose_smoothing`.
    """
    inside = volumes.inside(field, threads=threads)

    def value(places: Field) -> float:
        return force.value(volumes.warped(places, threads=threads), inside)

    smooth = field.copy()
    loading.core.smooth(smooth, _DETAIL, number_of_threads=threads)
    present = value(field)
    lost = value(smooth) - present
    whole = value(field + np.float32(force.patch)) - present
    return lost / whole if whole > 0.0 else np.inf
