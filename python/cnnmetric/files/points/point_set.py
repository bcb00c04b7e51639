# SPDX-License-Identifier: Apache-2.0
"""Points with their labels, and what the files of all formats have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError

AXES = "xyz"
# ITK's x and y point to the patient's left and back (LPS); in RAS, to the right and to the front.
SIGNS = {"LPS": np.array([1.0, 1.0, 1.0]), "RAS": np.array([-1.0, -1.0, 1.0])}


@dataclass(frozen=True, kw_only=True, eq=False)
class PointSet:
    """Points of a file, and whatever else the file holds.

    Attributes
    ----------
    positions
        Array of shape (n, dimension), in mm along ITK's x, y, z (LPS), whatever the file has.
    labels
        One for every point; empty texts where the file has none.
    document
        What else the file holds, for the module of its format; None for a new set.
    """

    positions: NDArray[np.float64]
    labels: tuple[str, ...]
    document: Any = None

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return int(self.positions.shape[1])

    def moved(self, positions: NDArray[np.float64]) -> PointSet:
        """Return the same points, labels and rest at other positions, in mm."""
        if positions.shape != self.positions.shape:
            msg = f"the positions have the shape {positions.shape} and not {self.positions.shape}"
            raise DataError(msg)
        return replace(self, positions=positions)


def point_set(
    positions: Sequence[Sequence[float]],
    *,
    place: str,
    labels: Iterable[str] = (),
    document: Any = None,
) -> PointSet:
    """Return points as read from a file.

    Parameters
    ----------
    positions
        One point each, of equal length.
    place
        The file, for messages.
    labels
        One a point, or none.
    document
        See `PointSet`.

    Raises
    ------
    DataError
        If there is no point.
    """
    if not positions:
        msg = f"{place} holds no point; add at least one"
        raise DataError(msg)
    array = np.array(positions, dtype=float)
    names = tuple(labels) or ("",) * len(array)
    return PointSet(positions=array, labels=names, document=document)


def numbers(values: Sequence[Any], *, place: str) -> list[float]:
    """Return coordinates as numbers.

    Parameters
    ----------
    values
        Numbers, or texts of numbers.
    place
        Where they stand, for messages, for example ``"points.csv, line 3"``.

    Raises
    ------
    DataError
        If one is no number, or not finite.
    """
    found = []
    for value in values:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            msg = f"{place}: {value!r} is no coordinate; give a finite number in mm"
            raise DataError(msg)
        found.append(number)
    return found


def written(values: NDArray[np.float64]) -> list[str]:
    """Return coordinates as texts that hold every digit."""
    return [repr(float(value)) for value in values + 0.0]  # so that no zero is written as -0.0


def three_dimensional(points: PointSet, *, suffix: str) -> NDArray[np.float64]:
    """Return the positions for a format that has three coordinates.

    Raises
    ------
    DataError
        If the points are 2D.
    """
    if points.dimension != 3:
        msg = f"a file {suffix} has points in 3D; write points in 2D to a file .csv or .txt"
        raise DataError(msg)
    return points.positions
