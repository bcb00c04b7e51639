# SPDX-License-Identifier: Apache-2.0
"""Measures of one alignment: overlap of the labels, and folding."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import itk
import numpy as np

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.images import warping
from cnnmetric.images.overlap import Overlap
from cnnmetric.images.overlap import overlap
from cnnmetric.images.overlap import values_of
from cnnmetric.types import Displacement
from cnnmetric.types import Image
from cnnmetric.types import LabelMap

_THINNEST = 3  # voxels that an image needs along an axis to have some inside


@dataclass(frozen=True, kw_only=True)
class LabelledPair:
    """Two images with a label map of each; ITK images, 3D, of floats and of whole numbers."""

    fixed: Image
    moving: Image
    fixed_labels: LabelMap
    moving_labels: LabelMap

    @cached_property
    def values(self) -> frozenset[int]:
        """All labels of the two maps, the background included, wherever the maps lie.

        That a method has moved one out of the fixed image makes no difference.
        """
        return values_of(self.fixed_labels, "fixed") | values_of(self.moving_labels, "moving")


def score_before(pair: LabelledPair, labels: Iterable[int] | None) -> dict[str, Any]:
    """Return overlap as the headers place the images."""
    shape = (*itk.array_view_from_image(pair.fixed).shape, 3)
    return _overlap(pair, np.zeros(shape), labels)


def score(pair: LabelledPair, alignment: Alignment, labels: Iterable[int] | None) -> dict[str, Any]:
    """Return overlap, folding and time of an alignment, ready to be written as JSON.

    Parameters
    ----------
    pair
        What was registered.
    alignment
        The result.
    labels
        Labels to compare; None for all that occur in either map, except 0.

    Raises
    ------
    DataError
        If the displacement or the label maps cannot be used.
    """
    return {
        **_overlap(pair, alignment.displacement, labels),
        "folded": _folded(alignment.displacement, pair.fixed),
        "seconds": round(alignment.seconds, 2),
    }


def _folded(displacement: Displacement, grid: Image) -> float | None:
    """Return the share of folded voxels; None where all of them are at the border."""
    if min(displacement.shape[:-1]) < _THINNEST:
        return None
    return warping.folded_share(warping.jacobian_determinant(displacement, grid))


def _overlap(
    pair: LabelledPair, displacement: Displacement, labels: Iterable[int] | None
) -> dict[str, Any]:
    transform = warping.displacement_transform(displacement, pair.fixed)
    warped = warping.resample_labels(pair.moving_labels, pair.fixed_labels, transform)
    wanted = sorted(pair.values - {0}) if labels is None else labels
    found = overlap(pair.fixed_labels, warped, labels=wanted)
    found = Overlap(dice=_counted(found.dice, pair), jaccard=_counted(found.jaccard, pair))
    return {
        "dice": found.mean_dice,
        "jaccard": found.mean_jaccard,
        "dice_of_label": _plain(found.dice),
        "jaccard_of_label": _plain(found.jaccard),
    }


def _counted(values: dict[int, float], pair: LabelledPair) -> dict[int, float]:
    """Return 0 for labels that only the moving image has and that were moved out of the fixed one.

    Otherwise a method would gain by moving them out.
    """
    return {
        label: 0.0 if math.isnan(value) and label in pair.values else value
        for label, value in values.items()
    }


def _plain(values: dict[int, float]) -> dict[str, float | None]:
    # JSON has no NaN, which marks labels that are in neither map.
    return {str(label): None if math.isnan(value) else value for label, value in values.items()}
