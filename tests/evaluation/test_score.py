# SPDX-License-Identifier: Apache-2.0
"""Overlap and folding of a displacement field."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import itk
import numpy as np
import pytest
from scipy.spatial import distance

from cnnmetric.errors import DataError
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.score import score_before
from cnnmetric.evaluation.summary import Summary
from cnnmetric.images.overlap import overlap
from support.evaluation_subjects import shifted_pair
from support.metric_images import empty_image

SHIFT = (3.0, -2.0, 4.0)


def test_overlap_agrees_with_scipy_on_random_labels() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 5, (2, 12, 13, 14))
    found = overlap(first, second)
    for label in range(1, 5):
        masks = (first == label).ravel(), (second == label).ravel()
        assert found.dice[label] == pytest.approx(1 - distance.dice(*masks))
        assert found.jaccard[label] == pytest.approx(1 - distance.jaccard(*masks))


def test_the_true_displacement_restores_the_labels() -> None:
    pair = shifted_pair(SHIFT)
    displacement = np.broadcast_to(SHIFT, (*itk.array_view_from_image(pair.fixed).shape, 3))
    before = score_before(pair, None)
    after = score(pair, Alignment(step="linear", displacement=displacement, seconds=1.0), None)
    assert before["dice"] < 0.75
    # Not 1: the two grids are turned against each other.
    assert after["dice"] > 0.93
    assert after["folded"] == 0.0
    assert before["jaccard"] < before["dice"]
    assert set(after["dice_of_label"]) == {"1", "2", "3", "4", "5", "6"}


def test_label_maps_may_have_grids_of_their_own() -> None:
    pair = shifted_pair(SHIFT)
    other = empty_image((30, 30, 30), spacing=(1.5, 1.5, 1.5), angle=0.3, dtype=np.int16)
    nearest = itk.NearestNeighborInterpolateImageFunction.New(pair.fixed_labels)
    resampled = itk.resample_image_filter(
        pair.fixed_labels, interpolator=nearest, reference_image=other, use_reference_image=True
    )
    pair = dataclasses.replace(pair, fixed_labels=resampled)
    displacement = np.broadcast_to(SHIFT, (*itk.array_view_from_image(pair.fixed).shape, 3))
    after = score(pair, Alignment(step="linear", displacement=displacement, seconds=1.0), None)
    assert after["dice"] > 0.9


def test_labels_that_one_or_both_images_lack() -> None:
    pair = shifted_pair((0.0, 0.0, 0.0))
    labels = itk.array_view_from_image(pair.moving_labels)
    labels[labels == 2] = 0
    found = score_before(pair, (1, 2, 99))
    assert found["dice_of_label"]["2"] == 0.0
    assert found["dice_of_label"]["99"] is None
    assert found["dice"] == pytest.approx(found["dice_of_label"]["1"] / 2)
    json.dumps(found, allow_nan=False)


def test_labels_that_are_compared_do_not_depend_on_the_method() -> None:
    pair = shifted_pair((0.0, 0.0, 0.0))
    labels = itk.array_view_from_image(pair.moving_labels)
    labels[32, 35, 32] = 9  # which the fixed image lacks
    shape = (*itk.array_view_from_image(pair.fixed).shape, 3)

    def after(millimetres: float, labels: tuple[int, ...] | None) -> dict[str, Any]:
        moved = np.full(shape, millimetres)
        return score(pair, Alignment(step="linear", displacement=moved, seconds=1.0), labels)

    for found in (score_before(pair, None), after(0.0, None), after(500.0, None)):
        assert set(found["dice_of_label"]) == {"1", "2", "3", "4", "5", "6", "9"}
        assert found["dice_of_label"]["9"] == found["jaccard_of_label"]["9"] == 0.0
        assert found["dice"] == pytest.approx(np.mean(list(found["dice_of_label"].values())))
    assert after(0.0, (1, 9, 99))["dice_of_label"]["99"] is None
    # Moved out of the fixed image, it is as little aligned as inside.
    assert after(500.0, (1, 9, 99))["dice_of_label"] == {"1": 0.0, "9": 0.0, "99": None}


@pytest.mark.parametrize("slices", [1, 2])
def test_an_image_without_inner_voxels_has_no_share_of_folded_ones(slices: int) -> None:
    labels = itk.image_from_array(np.ones((slices, 20, 20), np.int16))
    image = itk.image_from_array(np.ones((slices, 20, 20), np.float32))
    pair = LabelledPair(fixed=image, moving=image, fixed_labels=labels, moving_labels=labels)
    alignment = Alignment(step="linear", displacement=np.zeros((slices, 20, 20, 3)), seconds=1.0)
    found = score(pair, alignment, None)
    assert found["folded"] is None
    assert found["dice"] == 1
    json.dumps(found, allow_nan=False)
    record = {"preset": "p", "method": "m", "registration": "r", "failure": None}
    summary = Summary([{**record, "before": found, "linear": found}], baseline="")
    assert "| m | 1 (0) | 1.000 |" in summary.markdown()


def test_no_label_to_compare_is_an_error() -> None:
    with pytest.raises(DataError, match="no label to compare"):
        score_before(shifted_pair((0.0, 0.0, 0.0)), (77,))
