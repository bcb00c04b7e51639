# SPDX-License-Identifier: Apache-2.0
"""What every method, whatever its software, has to hand in: a displacement field.

So that all are judged by one measure, labels are warped and folding is counted by one piece of code
(:mod:`cnnmetric.images.warping`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnmetric.types import Displacement

# Before registration, after the last transform without local deformation, and at the end.
STEPS = ("before", "linear", "deformable")


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where a method sends the points of the fixed image.

    Attributes
    ----------
    step
        ``"linear"`` or ``"deformable"``.
    displacement
        ``T(x) - x`` in mm along the patient axes (ITK x, y, z) for every voxel x of the fixed
        image, which point T(x) of the moving image belongs there; float, shape (z, y, x, 3).
    seconds
        Wall-clock time of this step.
    """

    step: str
    displacement: Displacement
    seconds: float
