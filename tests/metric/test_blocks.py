# SPDX-License-Identifier: Apache-2.0
"""Tiles, random blocks, weights and threads: which patches count, and how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import cnnmetric
from support.metric_images import ball_mask
from support.metric_images import empty_image
from support.metric_images import subject
from support.metric_images import write_small_model
from support.scripts import run_script

NO_SHIFT = [0.0, 0.0, 0.0]
SHIFT = [1.3, -0.7, 0.4]


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(48, 45, 41), spacing=(1.0, 1.0, 1.0), angle=0.0)


@pytest.fixture(scope="module")
def moving() -> Any:
    return subject("T2", size=(60, 60, 60), spacing=(1.0, 1.0, 1.0), angle=0.0)


def normalised(image: Any) -> NDArray[np.float32]:
    """Apply docs/reference/model-format.md, "Intensity normalisation"."""
    array = itk.array_from_image(image)
    lower, upper = np.quantile(array, [0.01, 0.999])
    values: NDArray[np.float32] = np.clip((array - lower) / (upper - lower), 0.0, 1.0)
    return values


def dissimilarity_of(
    metric: cnnmetric.MetricOnImages, parameters: list[float]
) -> NDArray[np.float32]:
    """Return the dissimilarity map as an array (z, y, x)."""
    array: NDArray[np.float32] = itk.array_from_image(metric.maps(parameters).dissimilarity)
    return array


def test_map_equals_the_fully_convolutional_network(tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "clips.onnx", quantiles=(0.01, 0.999))
    # On a common grid without a transform, the map is the network run once over both images.
    # 41 x 45 x 49 voxels are 17 + 4 k along every axis, so that nothing is left over.
    size = (49, 45, 41)
    fixed = subject("T1", size=size, spacing=(1.0,) * 3, angle=0.2)
    moving = subject("T2", size=size, spacing=(1.0,) * 3, angle=0.2)
    metric = cnnmetric.MetricOnImages(fixed, moving, model=model, block_size=25)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    patches = np.stack([normalised(fixed), normalised(moving)])[np.newaxis].astype(np.float32)
    weights = np.ones((1, 1, 7, 8, 9), dtype=np.float32)
    none = np.zeros(2, dtype=np.bool_)
    (expected,) = session.run(
        ["dissimilarity"], {"patches": patches, "weights": weights, "gradients_wanted": none}
    )
    found = dissimilarity_of(metric, NO_SHIFT)
    np.testing.assert_allclose(found, expected[0, 0], atol=2e-5)
    assert metric.value(NO_SHIFT) == pytest.approx(float(expected.mean()), abs=1e-5)


def test_map_origin_is_the_centre_of_the_first_patch(small_model: Path) -> None:
    fixed = subject("T1", size=(50, 45, 41), spacing=(1.0,) * 3, angle=0.0)
    metric = cnnmetric.MetricOnImages(fixed, fixed, model=small_model)
    # One voxel is left over along x, half of it on either side; 8 voxels to the centre of a patch.
    expected = np.asarray(fixed.GetOrigin()) + np.array([8.5, 8.0, 8.0])
    maps = metric.maps(NO_SHIFT)
    np.testing.assert_allclose(maps.dissimilarity.GetOrigin(), expected, atol=1e-9)
    assert list(maps.dissimilarity.GetSpacing()) == [4.0] * 3
    np.testing.assert_allclose(maps.derivative.GetOrigin(), expected - 8.0, atol=1e-9)
    assert list(maps.derivative.GetSpacing()) == [1.0] * 3


def test_derivative_map_is_how_the_value_changes_with_an_intensity(small_model: Path) -> None:
    # Without a transform and on a common grid that the patches fill (17 + 4 k voxels), I'm is the
    # moving image itself.
    size = (49, 45, 41)
    fixed = subject("T1", size=size, spacing=(1.0,) * 3, angle=0.0)
    moving = subject("T2", size=size, spacing=(1.0,) * 3, angle=0.0)

    def value_of(array: NDArray[np.float32]) -> float:
        image = itk.image_from_array(array)
        image.CopyInformation(moving)
        return cnnmetric.MetricOnImages(fixed, image, model=small_model).value(NO_SHIFT)

    array = itk.array_from_image(moving)
    metric = cnnmetric.MetricOnImages(fixed, moving, model=small_model, block_size=21)
    maps = metric.maps(NO_SHIFT)
    derivative = itk.array_from_image(maps.derivative)
    first = moving.TransformPhysicalPointToIndex(maps.derivative.GetOrigin())
    change = np.zeros_like(array)
    inside = tuple(
        slice(begin, begin + length)
        for begin, length in zip(reversed(list(first)), derivative.shape, strict=True)
    )
    change[inside] = derivative / np.abs(derivative).max()
    # The extremes decide the normalisation; they stay as they are.
    change[(array <= np.quantile(array, 0.02)) | (array >= np.quantile(array, 0.98))] = 0.0
    step = 0.01
    numerical = (value_of(array + step * change) - value_of(array - step * change)) / (2 * step)
    analytic = float((derivative * change[inside]).sum())
    assert numerical == pytest.approx(analytic, rel=1e-2)


def test_tiles_of_any_size_give_the_same(fixed: Any, moving: Any, small_model: Path) -> None:
    results = [
        cnnmetric.MetricOnImages(fixed, moving, model=small_model, block_size=edge)
        for edge in (17, 29, 97)
    ]
    (value, derivative), *others = [metric.value_and_derivative(SHIFT) for metric in results]
    for other_value, other_derivative in others:
        assert other_value == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(other_derivative, derivative, rtol=1e-4, atol=1e-7)


def test_threads_do_not_change_the_result(fixed: Any, moving: Any, small_model: Path) -> None:
    def evaluate(threads: int) -> tuple[float, NDArray[np.float64]]:
        metric = cnnmetric.MetricOnImages(
            fixed, moving, model=small_model, block_size=21, number_of_threads=threads
        )
        return metric.value_and_derivative(SHIFT)

    value, derivative = evaluate(1)
    for threads in (2, 5):
        other_value, other_derivative = evaluate(threads)
        assert other_value == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(other_derivative, derivative, rtol=1e-5, atol=1e-9)
    again = evaluate(2)
    first = evaluate(2)
    assert again[0] == first[0]
    np.testing.assert_array_equal(again[1], first[1])


def test_blocks_are_those_of_the_seed(fixed: Any, moving: Any, small_model: Path) -> None:
    def metric(seed: int) -> cnnmetric.MetricOnImages:
        return cnnmetric.MetricOnImages(
            fixed, moving, model=small_model, sampling="Blocks", number_of_blocks=2, seed=seed
        )

    one, same, other = metric(1), metric(1), metric(2)
    first = one.value(SHIFT)
    assert one.value(SHIFT) == first  # the same blocks until new ones are asked for
    assert same.value(SHIFT) == first
    assert other.value(SHIFT) != first
    one.draw_new_blocks()
    same.draw_new_blocks()
    assert one.value(SHIFT) != first
    assert one.value(SHIFT) == same.value(SHIFT)


def test_blocks_estimate_the_full_value(fixed: Any, moving: Any, small_model: Path) -> None:
    full = cnnmetric.MetricOnImages(fixed, moving, model=small_model)
    dissimilarity = dissimilarity_of(full, SHIFT)
    blocks = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        sampling="Blocks",
        number_of_blocks=64,
        block_size=21,
    )
    values = []
    for _ in range(12):
        blocks.draw_new_blocks()
        values.append(blocks.value(SHIFT))
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - full.value(SHIFT)) < 3.0 * standard_error
    # Blocks that never stick out would cover a border patch once for every two times inside; the
    # test is sharp enough to see that.
    covered = [
        np.where((i == 0) | (i == i.size - 1), 1, 2) for i in map(np.arange, dissimilarity.shape)
    ]
    coverage = np.einsum("z,y,x->zyx", *covered)
    biased = np.average(dissimilarity, weights=coverage)
    assert abs(biased - full.value(SHIFT)) > 6.0 * standard_error


def test_masks_select_patch_centres(fixed: Any, moving: Any, small_model: Path) -> None:
    without = cnnmetric.MetricOnImages(fixed, moving, model=small_model)
    mask = ball_mask(fixed, radius=9.0)
    metric = cnnmetric.MetricOnImages(fixed, moving, model=small_model, fixed_mask=mask)
    plain, masked = dissimilarity_of(without, NO_SHIFT), dissimilarity_of(metric, NO_SHIFT)
    counted = ~np.isnan(masked)
    assert 0 < counted.sum() < masked.size / 2
    np.testing.assert_allclose(masked[counted], plain[counted], atol=1e-6)
    origin = np.asarray(metric.maps(NO_SHIFT).dissimilarity.GetOrigin())
    z, y, x = np.nonzero(counted)
    distances = np.linalg.norm(origin + 4.0 * np.stack([x, y, z], axis=-1), axis=-1)
    assert distances.max() <= 9.0 + np.sqrt(3.0)  # mask voxels are 1 mm wide
    assert metric.value(NO_SHIFT) == pytest.approx(float(plain[counted].mean()), abs=1e-5)


def test_patches_beyond_the_moving_image_do_not_count(fixed: Any, small_model: Path) -> None:
    moving = subject("T2", size=(48, 45, 41), spacing=(1.0,) * 3, angle=0.0)
    metric = cnnmetric.MetricOnImages(fixed, moving, model=small_model, required_ratio=0.1)
    counted = ~np.isnan(dissimilarity_of(metric, [20.0, 0.0, 0.0]))
    # Patch i has its centre at 1.5 + 8 + 4 i mm of 48 along x; 20 mm further, i = 5 is outside.
    first_outside = 5
    assert counted[:, :, :first_outside].all()
    assert not counted[:, :, first_outside:].any()


def test_only_the_moving_gradient_moves(small_model: Path) -> None:
    # Nothing to gain where the moving image is flat, whatever the fixed image does.
    fixed = subject("T1", size=(48, 45, 41), spacing=(1.0,) * 3, angle=0.0)
    moving = empty_image((60, 60, 60), spacing=(1.0,) * 3, angle=0.0)
    itk.array_view_from_image(moving)[:, :, 55:] = 1.0  # not constant, but far from the fixed image
    metric = cnnmetric.MetricOnImages(fixed, moving, model=small_model)
    _, derivative = metric.value_and_derivative(NO_SHIFT)
    np.testing.assert_array_equal(derivative, 0.0)


FEWER_THREADS = """
import os, sys
os.environ["ITK_GLOBAL_DEFAULT_THREADER"] = "Pool"
import itk, numpy as np, cnnmetric
rng = np.random.default_rng(0)
image = itk.image_from_array(rng.random((60,) * 3).astype(np.float32))
metric = cnnmetric.MetricOnImages(
    image, image, model=sys.argv[1], block_size=17, number_of_threads=1000, interpolation_order=3
)
value, _ = metric.value_and_derivative([0.0] * 3)
print(np.isfinite(value), metric.describe().partition(" threads")[0].split()[-1])
"""


def test_no_more_threads_than_the_threader_grants(small_model: Path) -> None:
    # elastix's interpolator has scratch memory for those alone.
    run = run_script(FEWER_THREADS, small_model)
    finite, threads = run.stdout.split() or (run.stderr, "0")
    assert finite == "True"
    assert 0 < int(threads) <= 128  # ITK's own limit
