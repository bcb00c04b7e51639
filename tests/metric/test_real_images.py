# SPDX-License-Identifier: Apache-2.0
"""The shipped model on a real newborn, whose T1 and T2 are aligned."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.images.files import read_image
from cnnmetric.images.masks import foreground_mask


@pytest.fixture(scope="module")
def newborn(data_folder: Path) -> tuple[Any, Any]:
    """Return T1 and T2 of the first subject of the development set."""
    folder = data_folder / "dev" / "alberts"
    with (folder / "subjects.csv").open(newline="") as lines:
        subject = next(csv.DictReader(lines))
    return read_image(folder / subject["T1"]), read_image(folder / subject["T2"])


@pytest.mark.data
def test_dissimilarity_grows_with_misalignment(newborn: tuple[Any, Any]) -> None:
    metric = cnnmetric.MetricOnImages(
        *newborn,
        model="t1t2",
        fixed_modality="T1",
        transform="translation",
        grid_spacing=1.5,
        fixed_mask=foreground_mask(newborn[0]),
    )
    values = [metric.value([shift, 0.0, 0.0]) for shift in (0.0, 2.0, 4.0, 8.0)]
    assert values == sorted(values)
    assert values[0] < 0.0 < values[-1]  # the network's decision: alike, unlike
    _, derivative = metric.value_and_derivative([4.0, 0.0, 0.0])
    assert derivative[0] > 0.0  # so that descent moves back


@pytest.mark.data
def test_itkv4_and_elastix_agree(newborn: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {"model": "t1t2", "fixed_modality": "T1", "grid_spacing": 2.0}
    expected = cnnmetric.MetricOnImages(*newborn, transform="translation", **options)
    found = cnnmetric.CNNImageToImageMetricv4(**options)
    value, derivative = found.value_and_derivative(
        *newborn, itk.TranslationTransform[itk.D, 3].New()
    )
    expected_value, expected_derivative = expected.value_and_derivative([0.0, 0.0, 0.0])
    assert value == pytest.approx(expected_value, rel=1e-4)
    np.testing.assert_allclose(derivative, expected_derivative, rtol=1e-2, atol=1e-4)
