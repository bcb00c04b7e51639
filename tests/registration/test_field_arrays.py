# SPDX-License-Identifier: Apache-2.0
"""Interpolation and filters of a displacement field, against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import map_coordinates

from cnnmetric.errors import CNNMetricError
from cnnmetric.plugin import loading

SHAPES = [(7, 19), (1, 300), (9, 8, 31), (3, 1, 5), (21, 6, 290)]


def arrays(shape: tuple[int, ...], components: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return values, and displacements of which some end outside."""
    random = np.random.default_rng(0)
    values = random.standard_normal((*shape, components), dtype=np.float32)
    return values, 2 * random.standard_normal((*shape, len(shape)), dtype=np.float32)


def scipys(values: NDArray[Any], field: NDArray[Any], mode: str) -> NDArray[Any]:
    places = np.indices(values.shape[:-1], dtype=np.float32) + np.moveaxis(field, -1, 0)
    parts = np.moveaxis(values, -1, 0)
    return np.stack([map_coordinates(part, places, order=1, mode=mode) for part in parts], axis=-1)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.parametrize(("nearest", "mode"), [(False, "constant"), (True, "nearest")])
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_as_scipy_does(
    shape: tuple[int, ...], nearest: bool, mode: str, components: int, threads: int
) -> None:
    values, field = arrays(shape, components)
    found = loading.core.sample_displaced(values, field, nearest=nearest, number_of_threads=threads)
    np.testing.assert_allclose(found, scipys(values, field, mode), atol=2e-4)


def test_a_factor_multiplies_and_zero_is_zero_even_of_nan() -> None:
    values, field = arrays((9, 8, 31), 3)
    factor = np.random.default_rng(1).standard_normal((9, 8, 31), dtype=np.float32)
    factor[2] = 0
    plain = loading.core.sample_displaced(values, field, number_of_threads=1)
    field[2] = np.nan
    found = loading.core.sample_displaced(values, field, factor=factor, number_of_threads=1)
    np.testing.assert_allclose(found, plain * factor[..., np.newaxis], atol=1e-5)


@pytest.mark.parametrize("nearest", [False, True])
def test_displacements_that_are_no_numbers_stay_inside_of_the_array(nearest: bool) -> None:
    values, field = arrays((9, 8, 31), 3)
    field[1], field[2], field[3] = np.nan, np.inf, -np.inf
    found = loading.core.sample_displaced(values, field, nearest=nearest, number_of_threads=1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("deviation", [0.4, 0.8, 3.0])
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_smooths_as_scipy_does(
    shape: tuple[int, ...], components: int, deviation: float, threads: int
) -> None:
    values, _ = arrays(shape, components)
    parts = np.moveaxis(values, -1, 0)
    expected = np.stack([gaussian_filter(part, deviation, truncate=3.0) for part in parts], axis=-1)
    loading.core.smooth(values, deviation, number_of_threads=threads)
    np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "field", "factor"),
    [
        ((4, 4, 4, 3), (4, 4, 5, 3), None),
        ((4, 4, 4, 3), (4, 4, 4, 2), None),
        ((4, 4, 3), (4, 4, 3), None),
        ((4, 4, 4, 4), (4, 4, 4, 3), None),
        ((4, 4), (4, 4, 2), None),
        ((0, 4, 4, 3), (0, 4, 4, 3), None),
        ((4, 4, 4, 3), (4, 4, 4, 3), (4, 4, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(
    values: tuple[int, ...], field: tuple[int, ...], factor: tuple[int, ...] | None
) -> None:
    given = [np.zeros(shape, dtype=np.float32) for shape in (values, field)]
    weights = None if factor is None else np.zeros(factor, dtype=np.float32)
    with pytest.raises(CNNMetricError, match="of a field"):
        loading.core.sample_displaced(*given, factor=weights, number_of_threads=1)


def test_threads_do_not_change_a_bit() -> None:
    values, field = arrays((21, 6, 290), 3)
    one, three = (
        loading.core.sample_displaced(values, field, number_of_threads=threads)
        for threads in (1, 3)
    )
    np.testing.assert_array_equal(one, three)
    for found, threads in ((one, 1), (three, 3)):
        loading.core.smooth(found, 1.5, number_of_threads=threads)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("deviation", [0.0, -1.0, 1001.0, float("inf"), float("nan")])
def test_a_deviation_that_no_filter_has_is_an_error(deviation: float) -> None:
    values, _ = arrays((4, 5, 6), 3)
    with pytest.raises(CNNMetricError, match="The standard deviation of a field's filter is"):
        loading.core.smooth(values, deviation, number_of_threads=1)
