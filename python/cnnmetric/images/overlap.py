# SPDX-License-Identifier: Apache-2.0
"""Overlap of two label maps: Dice and Jaccard coefficients per label and their mean.

With ``A`` and ``B`` the voxels of one label in the two maps,
``Dice = 2 |A and B| / (|A| + |B|)`` and ``Jaccard = |A and B| / |A or B|``.
These are the measures of Simonovsky et al. 2016, Section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnmetric.errors import DataError
from cnnmetric.metric import arguments

_LABELS_SHOWN = 8


@dataclass(frozen=True)
class Overlap:
    """Overlap of two label maps, label by label.

    A label that is in neither map has no overlap: its coefficients are NaN and it is left out of
    the means. A label that is in one map only has overlap 0.

    Attributes
    ----------
    dice, jaccard
        Coefficient of each label, in the order in which the labels were asked for.
    """

    dice: dict[int, float]
    jaccard: dict[int, float]

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the labels that are in at least one map."""
        return float(np.nanmean(list(self.dice.values())))

    @property
    def mean_jaccard(self) -> float:
        """Mean Jaccard over the labels that are in at least one map."""
        return float(np.nanmean(list(self.jaccard.values())))


def overlap(reference: Any, other: Any, *, labels: Iterable[int] | None = None) -> Overlap:
    """Compare two label maps on the same grid.

    Parameters
    ----------
    reference, other
        ITK images, or NumPy arrays, of whole numbers. Two ITK images must share size, spacing,
        origin and direction; arrays must share their shape.
    labels
        Labels to compare; by default all that occur in either map except 0, the background.

    Returns
    -------
    Overlap
        Dice and Jaccard per label.

    Raises
    ------
    DataError
        If the grids differ, a map holds other than whole numbers, or there is no label to compare.
    SettingsError
        If the labels are no whole numbers.
    """
    for image, name in ((reference, "reference"), (other, "other")):
        _check_kind(image, name)
    if labels is not None:
        labels = arguments.lengths("labels", labels)
    _check_same_grid(reference, other)
    first = _whole_numbers(reference, "reference")
    second = _whole_numbers(other, "other")
    wanted = _labels_to_compare(first, second, labels)

    # One pass over the voxels whatever the number of labels: position 0 collects all other values.
    ordered = np.unique(wanted)
    in_first, in_second = _positions(first, ordered), _positions(second, ordered)
    size_first = np.bincount(in_first, minlength=ordered.size + 1)[1:]
    size_second = np.bincount(in_second, minlength=ordered.size + 1)[1:]
    common = np.bincount(in_first[in_first == in_second], minlength=ordered.size + 1)[1:]

    total = (size_first + size_second).astype(float)
    total[total == 0] = np.nan
    dice = dict(zip(ordered.tolist(), (2 * common / total).tolist(), strict=True))
    jaccard = dict(zip(ordered.tolist(), (common / (total - common)).tolist(), strict=True))
    return Overlap({i: dice[i] for i in wanted}, {i: jaccard[i] for i in wanted})


def values_of(labels: Any, name: str) -> frozenset[int]:
    """Return the labels of a map, the background included.

    Parameters
    ----------
    labels
        ITK image, or NumPy array, of whole numbers.
    name
        Of the map, for the message.

    Raises
    ------
    DataError
        If the map holds other than whole numbers.
    """
    _check_kind(labels, name)
    return frozenset(np.unique(_whole_numbers(labels, name)).tolist())


def _check_kind(image: Any, name: str) -> None:
    is_array = _is_array(image)
    if not is_array and not hasattr(image, "GetLargestPossibleRegion"):
        msg = f"the {name} label map is a {type(image).__name__}; give an ITK image or an array"
        raise DataError(msg)
    if is_array and image.dtype.kind not in "biuf":
        msg = f"the {name} label map holds {image.dtype}; whole numbers are needed"
        raise DataError(msg)


def _check_same_grid(reference: Any, other: Any) -> None:
    if _is_array(reference) or _is_array(other):
        shapes = [np.shape(_voxels(image)) for image in (reference, other)]
        if shapes[0] != shapes[1]:
            msg = (
                f"the label maps have different shapes, {shapes[0]} and {shapes[1]} (NumPy order); "
                "resample one on the grid of the other with nearest-neighbour interpolation"
            )
            raise DataError(msg)
        return
    for name, tolerance in (
        ("size", 0.0),
        ("spacing", 1e-4),
        ("origin", 1e-3),
        ("direction", 1e-4),
    ):
        values = [_geometry(image, name) for image in (reference, other)]
        if values[0].shape != values[1].shape or np.abs(values[0] - values[1]).max() > tolerance:
            msg = (
                f"the label maps differ in {name}, {values[0].tolist()} and {values[1].tolist()}; "
                "resample one on the grid of the other with nearest-neighbour interpolation"
            )
            raise DataError(msg)


def _geometry(image: Any, name: str) -> npt.NDArray[np.float64]:
    region = image.GetBufferedRegion()
    if name == "size":
        return np.asarray(tuple(region.GetSize()), dtype=float)
    if name == "direction":
        import itk

        return np.asarray(itk.array_from_matrix(image.GetDirection()), dtype=float)
    if name == "spacing":
        return np.asarray(tuple(image.GetSpacing()))
    # Of the first voxel that there is: the index of cropped images starts elsewhere.
    return np.asarray(tuple(image.TransformIndexToPhysicalPoint(region.GetIndex())))


def _is_array(image: Any) -> bool:
    return isinstance(image, np.ndarray)


def _voxels(image: Any) -> npt.NDArray[Any]:
    if _is_array(image):
        return np.asarray(image)
    import itk

    return np.asarray(itk.array_view_from_image(image))


def _whole_numbers(image: Any, name: str) -> npt.NDArray[np.int64]:
    voxels = _voxels(image)
    if voxels.size == 0:
        msg = f"the {name} label map has no voxels"
        raise DataError(msg)
    whole = voxels.astype(np.int64) if np.isfinite(voxels).all() else None
    if whole is None or not np.array_equal(whole, voxels):
        msg = (
            f"the {name} label map holds values that are not whole numbers; "
            "was it resampled with other than nearest-neighbour interpolation?"
        )
        raise DataError(msg)
    return whole


def _labels_to_compare(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], labels: Iterable[int] | None
) -> list[int]:
    present = np.union1d(np.unique(first), np.unique(second))
    wanted = [int(i) for i in present if i != 0] if labels is None else list(dict.fromkeys(labels))
    if not set(wanted) & set(present.tolist()):
        shown = ", ".join(map(str, present[:_LABELS_SHOWN])) + (
            ", ..." if present.size > _LABELS_SHOWN else ""
        )
        msg = (
            "there is no label to compare: the two maps hold the values "
            f"{shown} (0 is background by default)"
        )
        raise DataError(msg)
    return wanted


def _positions(
    voxels: npt.NDArray[np.int64], ordered: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return 1 + the place of each voxel's value in ``ordered``, 0 where it is not there."""
    flat = voxels.ravel()
    place = np.searchsorted(ordered, flat)
    place[place == ordered.size] = 0
    return np.where(ordered[place] == flat, place + 1, 0)
