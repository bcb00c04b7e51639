# SPDX-License-Identifier: Apache-2.0
"""Dice and Jaccard coefficients of label maps."""

from __future__ import annotations

import math
from typing import Any

import itk
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.images.overlap import overlap


def image_of(voxels: Any, *, spacing: float = 1.0, origin: float = 0.0) -> Any:
    image = itk.image_from_array(np.asarray(voxels, dtype=np.int16))
    image.SetSpacing([spacing] * 3)
    image.SetOrigin([origin, 0.0, 0.0])
    return image


def test_known_overlap() -> None:
    result = overlap(np.array([1, 1, 1, 2, 0, 0]), np.array([1, 1, 2, 2, 2, 0]))
    assert result.dice == pytest.approx({1: 2 * 2 / 5, 2: 2 * 1 / 4})
    assert result.jaccard == pytest.approx({1: 2 / 3, 2: 1 / 3})
    assert result.mean_dice == pytest.approx((0.8 + 0.5) / 2)
    assert result.mean_jaccard == pytest.approx(0.5)


def test_label_in_neither_map_is_left_out_of_the_mean() -> None:
    result = overlap(np.array([1, 1]), np.array([1, 1]), labels=[1, 7])
    assert math.isnan(result.dice[7])
    assert math.isnan(result.jaccard[7])
    assert result.mean_dice == 1.0


def test_label_in_one_map_only_has_no_overlap() -> None:
    result = overlap(np.array([1, 1, 3]), np.array([1, 1, 0]))
    assert result.dice == {1: 1.0, 3: 0.0}
    assert result.mean_dice == 0.5


def test_labels_keep_the_order_asked_for() -> None:
    assert list(overlap(np.array([1, 2]), np.array([1, 2]), labels=[2, 1]).dice) == [2, 1]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int16, (2, 3, 4, 5), elements=st.integers(0, 3)))
def test_agrees_with_the_definition(maps: Any) -> None:
    first, second = maps
    if not maps.any():
        return
    result = overlap(first, second)
    for label, dice in result.dice.items():
        a, b = first == label, second == label
        assert dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert result.jaccard[label] == pytest.approx((a & b).sum() / (a | b).sum())


def test_takes_itk_images() -> None:
    voxels = np.zeros((3, 4, 5), dtype=np.int16)
    voxels[1] = 4
    assert overlap(image_of(voxels), image_of(voxels)).dice == {4: 1.0}


def test_refuses_arrays_of_different_shape() -> None:
    with pytest.raises(DataError, match=r"different shapes, \(2,\) and \(3,\)"):
        overlap(np.ones(2, dtype=int), np.ones(3, dtype=int))


@pytest.mark.parametrize(("what", "change"), [("spacing", 1.1), ("origin", 5.0)])
def test_refuses_images_on_different_grids(what: str, change: float) -> None:
    voxels = np.ones((3, 3, 3))
    with pytest.raises(DataError, match=f"differ in {what}"):
        overlap(image_of(voxels), image_of(voxels, **{what: change}))


def test_refuses_images_of_different_size() -> None:
    with pytest.raises(DataError, match="differ in size"):
        overlap(image_of(np.ones((3, 3, 3))), image_of(np.ones((3, 3, 4))))


def test_refuses_maps_without_labels() -> None:
    with pytest.raises(DataError, match="no label to compare: the two maps hold the values 0"):
        overlap(np.zeros(4, dtype=int), np.zeros(4, dtype=int))


def test_refuses_labels_that_are_nowhere() -> None:
    with pytest.raises(DataError, match="no label to compare"):
        overlap(np.ones(4, dtype=int), np.ones(4, dtype=int), labels=[9])


def test_refuses_interpolated_labels() -> None:
    with pytest.raises(DataError, match="the other label map holds values that are not whole"):
        overlap(np.ones(2), np.array([1.0, 0.5]))


def test_refuses_what_is_no_label_map() -> None:
    right = np.ones((2, 2), dtype=int)
    for wrong in (3, None, "labels.nii", np.array(["a"]), [[1, 1], [1, 1]]):
        with pytest.raises(DataError, match=r"the other label map (is a|holds)"):
            overlap(right, wrong)
    for labels in (2, "12", [1.5], [None], np.array(2)):
        with pytest.raises(SettingsError, match="labels is "):
            overlap(right, right, labels=labels)  # type: ignore[arg-type]


def test_refuses_empty_maps() -> None:
    with pytest.raises(DataError, match="has no voxels"):
        overlap(np.zeros(0, dtype=int), np.zeros(0, dtype=int))


def test_crops_of_different_places_are_refused() -> None:
    labels = itk.image_from_array(np.ones((4, 4, 10), dtype=np.uint8))
    crops = []
    for first in (0, 5):
        region = itk.ImageRegion[3]([first, 0, 0], [5, 4, 4])
        crops.append(itk.extract_image_filter(labels, extraction_region=region))
    assert overlap(crops[0], crops[0]).dice == {1: 1.0}
    with pytest.raises(DataError, match="the label maps differ in origin"):
        overlap(*crops)
