# SPDX-License-Identifier: Apache-2.0
"""Whole registrations in ITKv4's framework with the metric."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.itkv4_objects import bspline
from support.itkv4_objects import displacement_field
from support.itkv4_objects import itk_parameters
from support.metric_images import anatomy
from support.metric_images import moved_subject
from support.metric_images import points_of
from support.metric_images import rotation
from support.metric_images import subject

ROTATION = 0.06  # radians about z and x
TRANSLATION = np.array([1.5, -1.0, 0.8])  # mm
FloatImage = itk.Image[itk.F, 3]


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(40, 44, 38), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Return the same anatomy, turned and shifted, on another grid."""
    return moved_subject(angle=ROTATION, shift=TRANSLATION)


def registration_of(
    fixed: Any, moving: Any, metric: cnnmetric.CNNImageToImageMetricv4, transform: Any
) -> Any:
    registration = itk.ImageRegistrationMethodv4[FloatImage, FloatImage].New()
    registration.SetFixedImage(fixed)
    registration.SetMovingImage(moving)
    registration.SetMetric(metric)
    registration.SetInitialTransform(transform)
    registration.InPlaceOn()
    registration.SetNumberOfLevels(1)
    registration.SetShrinkFactorsPerLevel([1])
    registration.SetSmoothingSigmasPerLevel([0])
    return registration


def scales_of(metric: cnnmetric.CNNImageToImageMetricv4) -> Any:
    base = itk.ImageToImageMetricv4[FloatImage, FloatImage]
    scales = itk.RegistrationParameterScalesFromPhysicalShift[base].New()
    scales.SetMetric(metric)
    return scales


def registration_error(fixed: Any, transform: Any) -> float:
    """Return the mean distance, in mm, between found and true position inside the anatomy."""
    points = points_of(fixed)[anatomy(points_of(fixed), modality="T1") > 0.1]
    points = points[:: max(1, len(points) // 400)]
    found = np.array([list(transform.TransformPoint(point.tolist())) for point in points])
    true = points @ rotation(ROTATION).T + TRANSLATION
    return float(np.linalg.norm(found - true, axis=-1).mean())


@pytest.mark.parametrize("kind", ["euler-regular-step", "affine-lbfgs"])
def test_registration_finds_a_known_transform(
    kind: str, fixed: Any, moving: Any, difference_model: Path
) -> None:
    if kind == "euler-regular-step":
        transform = itk.Euler3DTransform[itk.D].New()
        optimizer = itk.RegularStepGradientDescentOptimizerv4.New()
        optimizer.SetLearningRate(1.0)
        optimizer.SetMinimumStepLength(1e-3)
        optimizer.SetGradientMagnitudeTolerance(1e-9)
        optimizer.SetNumberOfIterations(80)
    else:
        transform = itk.AffineTransform[itk.D, 3].New()
        optimizer = itk.LBFGSOptimizerv4.New()
        optimizer.SetMaximumNumberOfFunctionEvaluations(120)
        optimizer.SetGradientConvergenceTolerance(1e-8)
    assert registration_error(fixed, transform) > 1.8  # there is something to find
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    optimizer.SetScalesEstimator(scales_of(metric))
    registration = registration_of(fixed, moving, metric, transform)
    registration.SetOptimizer(optimizer)
    registration.Update()
    assert registration_error(fixed, transform) < 0.7


def test_bspline_registration_lowers_the_metric(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    transform = bspline(fixed)
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    before = metric.value(fixed, moving, transform)
    registration = registration_of(fixed, moving, metric, transform)
    optimizer = itk.LBFGSOptimizerv4.New()
    optimizer.SetMaximumNumberOfFunctionEvaluations(25)
    optimizer.SetGradientConvergenceTolerance(1e-7)
    registration.SetOptimizer(optimizer)
    registration.Update()
    assert metric.value(fixed, moving, transform) < 0.4 * before
    assert registration_error(fixed, transform) < 0.8


def test_displacement_field_registration_lowers_the_metric(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    field = displacement_field(fixed)
    smoothed = itk.GaussianSmoothingOnUpdateDisplacementFieldTransform[itk.D, 3].New()
    smoothed.SetDisplacementField(field.GetDisplacementField())
    smoothed.SetGaussianSmoothingVarianceForTheUpdateField(6.0)
    smoothed.SetGaussianSmoothingVarianceForTheTotalField(0.5)
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    before = metric.value(fixed, moving, smoothed)
    registration = registration_of(fixed, moving, metric, smoothed)
    optimizer = itk.GradientDescentOptimizerv4.New()
    optimizer.SetScalesEstimator(scales_of(metric))
    optimizer.SetMaximumStepSizeInPhysicalUnits(0.5)
    optimizer.SetLearningRate(1.0)
    optimizer.SetNumberOfIterations(25)
    registration.SetOptimizer(optimizer)
    registration.Update()
    assert metric.value(fixed, moving, smoothed) < 0.5 * before


def test_sampling_of_the_registration_becomes_blocks(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model, block_size=21)
    transform = itk.TranslationTransform[itk.D, 3].New()
    registration = registration_of(fixed, moving, metric, transform)
    registration.SetMetricSamplingStrategy(
        itk.ImageRegistrationMethodv4Enums.MetricSamplingStrategy_RANDOM
    )
    registration.SetMetricSamplingPercentage(0.1)
    optimizer = itk.RegularStepGradientDescentOptimizerv4.New()
    optimizer.SetNumberOfIterations(2)
    optimizer.SetLearningRate(0.1)
    registration.SetOptimizer(optimizer)
    registration.Update()
    # 7 x 7 x 8 patches; 10 % of them are 40, which are 5 blocks of 2 x 2 x 2.
    assert "sampling 5 blocks of 21 voxels (8 patches each)" in metric.describe()
    # ITK leaves the sampling on, but a value is that of all patches.
    other = cnnmetric.CNNImageToImageMetricv4(model=difference_model, block_size=21)
    assert metric.value(fixed, moving, transform) == other.value(fixed, moving, transform)
    assert "sampling Full" in metric.describe()


def test_levels_have_coarser_grids(fixed: Any, moving: Any, difference_model: Path) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    registration = registration_of(fixed, moving, metric, itk.TranslationTransform[itk.D, 3].New())
    registration.SetNumberOfLevels(2)
    registration.SetShrinkFactorsPerLevel([2, 1])
    registration.SetSmoothingSigmasPerLevel([1, 0])
    seen = []
    optimizer = itk.RegularStepGradientDescentOptimizerv4.New()
    optimizer.SetNumberOfIterations(1)
    optimizer.AddObserver(itk.IterationEvent(), lambda: seen.append(metric.describe()))
    registration.SetOptimizer(optimizer)
    registration.Update()
    assert "grid spacing 2 mm" in seen[0]
    assert "grid spacing 1 mm" in seen[-1]


def test_objects_are_freed(fixed: Any, moving: Any, difference_model: Path) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    implementation = metric._implementation
    registration = registration_of(fixed, moving, metric, itk.TranslationTransform[itk.D, 3].New())
    assert implementation.reference_count == 3  # ours, its wrapping, the registration
    del registration, metric
    gc.collect()
    assert implementation.reference_count == 1


def test_failure_inside_a_registration_names_its_reason(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    far = itk.TranslationTransform[itk.D, 3].New()
    far.SetParameters(itk_parameters(np.array([500.0, 0.0, 0.0])))
    registration = registration_of(fixed, moving, metric, far)
    registration.SetOptimizer(itk.RegularStepGradientDescentOptimizerv4.New())
    with pytest.raises(cnnmetric.MetricError, match="Too few patches are left to compare"):
        registration.Update()
