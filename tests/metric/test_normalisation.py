# SPDX-License-Identifier: Apache-2.0
"""Intensities to [0, 1]."""

from __future__ import annotations

import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.metric.normalisation import normalise
from cnnmetric.metric.normalisation import quantile_range


def test_quantiles_become_zero_and_one_and_the_rest_is_clipped() -> None:
    image = np.arange(101, dtype=np.float32)
    low, high = quantile_range(image, lower=0.1, upper=0.9, name="image")
    assert (low, high) == pytest.approx((10, 90))
    result = normalise(image, low=low, high=high)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[[0, 10, 50, 90, 100]], [0, 0, 0.5, 1, 1], atol=1e-6)


def test_quantiles_are_interpolated_between_order_statistics() -> None:
    image = np.array([[0.0, 1.0], [10.0, 20.0]], dtype=np.float32)
    low, high = quantile_range(image, lower=0.5, upper=1.0, name="image")
    assert (low, high) == pytest.approx((5.5, 20))


def test_nan_marks_no_data_and_is_kept() -> None:
    result = normalise(np.array([np.nan, 5], dtype=np.float32), low=0, high=10)
    assert np.isnan(result[0])
    assert result[1] == pytest.approx(0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_voxels_that_are_not_finite(value: float) -> None:
    image = np.array([0, 1, value], dtype=np.float32)
    with pytest.raises(DataError, match=r"head\.nii has NaN or infinite voxels"):
        quantile_range(image, lower=0, upper=1, name="head.nii")


def test_refuses_a_constant_image() -> None:
    with pytest.raises(DataError, match=r"head\.nii is constant"):
        quantile_range(np.full(9, 3.0, np.float32), lower=0.01, upper=0.999, name="head.nii")
