# SPDX-License-Identifier: Apache-2.0
"""One parameter of a transform is moved away from the identity, as in the paper's Figure 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings
from cnnmetric.types import Image

_SPLINE_ORDER = 3


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A curve through the parameters of a transform.

    Attributes
    ----------
    name, unit
        Of what is changed, for axes.
    largest
        End of the curve, in that unit.
    transform
        ``"similarity"`` or ``"bspline"``.
    fixed_parameters
        ITK's, of the transform.
    identity
        Its parameters at 0.
    index
        The parameter that is changed.
    value_at
        That parameter as a function of the amount, in the unit.
    slope_at
        Its derivative with respect to the amount.
    """

    name: str
    unit: str
    largest: float
    transform: str
    fixed_parameters: list[float]
    identity: NDArray[np.float64]
    index: int
    value_at: Callable[[float], float]
    slope_at: Callable[[float], float]

    def parameters_at(self, amount: float) -> list[float]:
        """Return the transform's parameters at an amount."""
        found = self.identity.copy()
        found[self.index] = self.value_at(amount)
        return [float(value) for value in found]


def perturbations(fixed: Image, settings: PlausibilitySettings) -> list[Perturbation]:
    """Return rotation about z, translation along x, scale, and one control point along x."""
    centre = centre_of(fixed)
    # Versor, translation, scale: parameters of elastix's and of ITK's similarity transform.
    similarity: dict[str, Any] = {
        "transform": "similarity",
        "fixed_parameters": centre,
        "identity": np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
    }
    grid, number = _control_points(fixed, centre, settings.control_point_spacing)
    middle = [n // 2 for n in number]
    to_radians = math.pi / 180
    return [
        Perturbation(
            name="rotation about z",
            unit="degrees",
            largest=settings.rotation,
            index=2,
            value_at=lambda degrees: math.sin(degrees * to_radians / 2),
            slope_at=lambda degrees: math.cos(degrees * to_radians / 2) * to_radians / 2,
            **similarity,
        ),
        Perturbation(
            name="translation along x",
            unit="mm",
            largest=settings.translation,
            index=3,
            value_at=lambda mm: mm,
            slope_at=lambda _: 1.0,
            **similarity,
        ),
        Perturbation(
            name="scale",
            unit="percent",
            largest=settings.scale,
            index=6,
            value_at=lambda percent: 1 + percent / 100,
            slope_at=lambda _: 0.01,
            **similarity,
        ),
        Perturbation(
            name="control point along x",
            unit="mm",
            largest=settings.control_point,
            transform="bspline",
            fixed_parameters=grid,
            identity=np.zeros(3 * math.prod(number)),
            index=middle[0] + number[0] * (middle[1] + number[1] * middle[2]),
            value_at=lambda mm: mm,
            slope_at=lambda _: 1.0,
        ),
    ]


def centre_of(image: Image) -> list[float]:
    """Return the middle of an image in mm, ITK x, y, z."""
    middle = (np.asarray(itk.size(image)) - 1) / 2 * np.asarray(image.GetSpacing())
    found = np.asarray(image.GetOrigin()) + np.asarray(image.GetDirection()) @ middle
    return [float(value) for value in found]


def _control_points(
    fixed: Image, centre: list[float], spacing: float
) -> tuple[list[float], list[int]]:
    """Return ITK's fixed parameters of a B-spline grid over the image, and its number of points."""
    direction = np.asarray(fixed.GetDirection())
    edges = np.asarray(itk.size(fixed)) * np.asarray(fixed.GetSpacing())
    number = [math.ceil(edge / spacing) + _SPLINE_ORDER for edge in edges]
    # Odd, so that one of them lies in the middle of the image.
    number = [n + 1 - n % 2 for n in number]
    origin = np.asarray(centre) - direction @ (spacing * (np.asarray(number) - 1) / 2)
    return [*map(float, number), *origin, *[spacing] * 3, *direction.ravel()], number
