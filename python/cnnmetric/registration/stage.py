# SPDX-License-Identifier: Apache-2.0
"""One stage of a registration that is done."""

from __future__ import annotations

from dataclasses import dataclass

from cnnmetric.plugin.iteration import Iteration
from cnnmetric.types import Transform


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One finished stage of a registration.

    Attributes
    ----------
    name
        ``"rigid"``, ``"similarity"``, ``"affine"``, ``"bspline"``, ``"bspline_fine"`` or
        ``"field"``.
    seconds
        Wall-clock time.
    trace
        Its iterations, with the metric's value in each.
    transform
        ITK transform from the fixed to the moving image after this stage, those before it included.
    """

    name: str
    seconds: float
    trace: tuple[Iteration, ...]
    transform: Transform
