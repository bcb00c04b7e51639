# SPDX-License-Identifier: Apache-2.0
"""The size of the evaluation grid: what is chosen by default, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.metric_images import subject
from support.scripts import run_script

PATCH = 17  # of the small model


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(30, 32, 31), spacing=(1.0,) * 3, angle=0.0)


def with_spacing(image: Any, spacing: float) -> Any:
    changed = itk.image_duplicator(image)
    changed.SetSpacing([spacing] * image.GetImageDimension())
    return changed


def metric_of(fixed: Any, moving: Any, model: Path, **options: Any) -> cnnmetric.MetricOnImages:
    return cnnmetric.MetricOnImages(fixed, moving, model=model, device="cpu", **options)


@pytest.mark.parametrize("spacing", [25.0, 1000.0])
def test_image_that_is_not_in_mm(spacing: float, fixed: Any, small_model: Path) -> None:
    coarse = with_spacing(fixed, spacing)
    message = (
        rf"more than 10 times coarser.*has 30 x 32 x 31 voxels of {spacing:g} x {spacing:g} x "
        rf"{spacing:g} mm, but the grid spacing is 1 mm.*Is the spacing of the image in mm\?"
    )
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(coarse, coarse, small_model)


def test_coarse_image_with_a_grid_of_its_own(fixed: Any, small_model: Path) -> None:
    coarse = with_spacing(fixed, 25.0)
    metric = metric_of(coarse, coarse, small_model, grid_spacing=25.0)
    reference = metric_of(fixed, fixed, small_model)
    assert metric.value([0.0] * 3) == pytest.approx(reference.value([0.0] * 3), rel=1e-6)


def test_image_in_metres(fixed: Any, small_model: Path) -> None:
    tiny = with_spacing(fixed, 0.001)
    message = (
        r"are 0\.029 x 0\.031 x 0\.03 mm between the centres of its outermost voxels, but a patch "
        r"of 17 voxels at a grid spacing of 1 mm needs 16 mm.*Is the spacing of the image in mm\? "
        r"If it is, lower CNNMetricGridSpacing.*largest that fits is 0\.0018125 mm"
    )
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(tiny, tiny, small_model)


def test_largest_spacing_that_the_message_names_fits(fixed: Any, small_model: Path) -> None:
    with pytest.raises(cnnmetric.MetricError, match=r"largest that fits is 1\.8125 mm"):
        metric_of(fixed, fixed, small_model, grid_spacing=1.9)
    metric = metric_of(fixed, fixed, small_model, grid_spacing=1.8125)
    assert "patches 1 x 1 x 1" in metric.describe()


@pytest.mark.parametrize("spacing", [0.05, 1e-9, 1e-300])
def test_grid_that_no_memory_holds(spacing: float, fixed: Any, small_model: Path) -> None:
    message = rf"more than 134 million.*the grid spacing is {spacing:g} mm.*raise CNNMetricGrid"
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(fixed, fixed, small_model, grid_spacing=spacing)


@pytest.mark.parametrize("spacing", [-1.0, np.nan, np.inf])
def test_spacing_that_is_none(spacing: float, fixed: Any, small_model: Path) -> None:
    with pytest.raises(cnnmetric.SettingsError, match="must be a finite number of at least 0 mm"):
        metric_of(fixed, fixed, small_model, grid_spacing=spacing)


@pytest.mark.parametrize("slices", [1, 2])
def test_a_few_slices(slices: int, fixed: Any, small_model: Path) -> None:
    flat = subject("T1", size=(30, 32, slices), spacing=(1.0,) * 3, angle=0.0)
    message = rf"has 30 x 32 x {slices} voxels.*patch of 17 voxels.*model for 2D images"
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(flat, fixed, small_model)
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu")
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric.value(flat, fixed, itk.TranslationTransform[itk.D, 3].New())


def test_thick_slices_that_end_before_a_patch(fixed: Any, small_model: Path) -> None:
    # Of 18 mm with their outer halves, which hold no voxel to interpolate between.
    thick = subject("T1", size=(30, 32, 3), spacing=(1.0, 1.0, 6.0), angle=0.0)
    with pytest.raises(cnnmetric.MetricError, match=r"are 29 x 31 x 12 mm between .* needs 16 mm"):
        metric_of(thick, fixed, small_model)


def test_moving_image_of_one_slice(fixed: Any, small_model: Path) -> None:
    flat = subject("T1", size=(34, 34, 1), spacing=(1.0, 1.0, 60.0), angle=0.0)
    message = r"moving image has 34 x 34 x 1 voxels, but elastix's linear interpolation needs"
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(fixed, flat, small_model, interpolation_order=1)
    smooth = metric_of(fixed, flat, small_model, interpolation_order=3)
    assert np.isfinite(smooth.value_and_derivative([0.0] * 3)[1]).all()
    # What ITK's own interpolation of the metric for ITKv4 reads ends with the image.
    own = cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu")
    transform = itk.TranslationTransform[itk.D, 3].New()
    assert np.isfinite(own.value_and_derivative(fixed, flat, transform)[1]).all()


def test_coarse_virtual_domain_of_itkv4(fixed: Any, small_model: Path) -> None:
    domain = subject("T1", size=(8, 8, 8), spacing=(4.0,) * 3, angle=0.0)
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu")
    transform = itk.TranslationTransform[itk.D, 3].New()
    with pytest.warns(UserWarning, match=r"grid spacing of 4 mm.*so the grid spacing is 1\.4 mm"):
        value = metric.value(fixed, fixed, transform, virtual_domain=domain)
    assert np.isfinite(value)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("number_of_blocks", 2**20, "NumberOfBlocks is 1048576 but .* at most 10000"),
    ],
)
def test_number_without_end(
    option: str, value: int, message: str, fixed: Any, small_model: Path
) -> None:
    with pytest.raises(cnnmetric.MetricError, match=message):
        metric_of(fixed, fixed, small_model, **{option: value})


def test_block_that_no_network_holds(fixed: Any, small_model: Path) -> None:
    # 17 + 4 k voxels; the whole grid of 0.1 mm is one block.
    with pytest.raises(cnnmetric.MetricError, match="block has 26 million voxels, more than 16"):
        metric_of(fixed, fixed, small_model, grid_spacing=0.1, block_size=PATCH + 4 * 100)


def test_block_larger_than_the_grid_is_the_grid(fixed: Any, small_model: Path) -> None:
    values = [
        metric_of(fixed, fixed, small_model, block_size=size).value([0.5, 0.0, 0.0])
        for size in (29, PATCH + 4 * 10**6)
    ]
    assert values[0] == values[1]


MEMORY = """
import resource, sys
import numpy as np
import cnnmetric

array = np.random.default_rng(0).random((24, 24, 24), dtype=np.float32)
given = [(array, (1.0,) * 3)] * 2
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**28, resource.RLIM_INFINITY))
settings = {"model": sys.argv[1], "device": "cpu", "number_of_threads": 1, "grid_spacing": 0.05}
try:
    cnnmetric.MetricOnImages(*given, **settings).value([0.0, 0.0, 0.0])
except cnnmetric.CNNMetricError as error:
    print(error)
"""


def test_too_little_memory_is_told_in_words(small_model: Path) -> None:
    run = run_script(MEMORY, small_model)
    assert run.returncode == 0, run.stderr
    assert "There is not enough memory. Compare less at a time" in run.stdout
