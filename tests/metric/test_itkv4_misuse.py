# SPDX-License-Identifier: Apache-2.0
"""What ITK does not check of a metric is refused, and does not end the process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import itk
import pytest

import cnnmetric
from support.metric_images import subject
from support.scripts import run_script

SCRIPT = """
import json, sys
import itk, numpy as np, cnnmetric
rng = np.random.default_rng(0)
D = itk.D
def image(n):
    return itk.image_from_array(rng.random((n,) * 3).astype(np.float32))
def field(n):
    vectors = itk.Image[itk.Vector[D, 3], 3].New()
    vectors.SetRegions([n] * 3)
    vectors.Allocate(True)
    transform = itk.DisplacementFieldTransform[D, 3].New()
    transform.SetDisplacementField(vectors)
    return transform
def mask():
    found = itk.ImageMaskSpatialObject[3].New()
    found.SetImage(itk.image_from_array(np.ones((20, 20, 20), np.uint8)))
    found.Update()
    return found
def evaluate(change):
    fixed, moving, other = image(20), image(21), image(18)
    I = type(fixed)
    metric = cnnmetric.CNNImageToImageMetricv4(model=sys.argv[1], device="cpu", number_of_threads=1)
    if not change.startswith("new: "):
        metric.SetFixedImage(fixed)
        metric.SetMovingImage(moving)
        metric.SetMovingTransform(itk.TranslationTransform[D, 3].New())
        metric.SetVirtualDomainFromImage(fixed)
        metric.Initialize()
        metric.GetValue()
    exec(change.removeprefix("new: "))
    said = []
    for evaluation in (metric.GetValue, lambda: metric.GetDerivative(itk.Array[D]())):
        try:
            evaluation()
            said.append("evaluated")
        except RuntimeError as error:
            said.append(" ".join(str(error).split()))
    return said
print(json.dumps([evaluate(change) for change in json.loads(sys.argv[2])]))
"""

CHANGES = {
    "metric.SetMovingImage(None)": "no moving image",
    "metric.SetFixedImage(None)": "no fixed image",
    "metric.SetUseSampledPointSet(True)": "no set of sampled points, which",
    "metric.SetMovingTransform(None)": "no moving transform",
    "metric.SetFixedTransform(None)": "no fixed transform",
    "metric.SetMovingInterpolator(None)": "no moving interpolator",
    "metric.SetFixedInterpolator(None)": "no fixed interpolator",
    "metric.SetMovingImage(other)": "moving image or interpolator was set or changed after",
    "metric.SetFixedImage(other)": "fixed image or interpolator was set or changed after",
    "moving.SetRegions([9] * 3); moving.Allocate()": "moving image or interpolator was set",
    "metric.SetMovingInterpolator(itk.LinearInterpolateImageFunction[I, D].New())": (
        "moving image or interpolator was set or changed"
    ),
    "metric.SetFixedImageMask(mask())": "fixed mask was set or changed",
    "metric.SetVirtualDomainFromImage(other)": "virtual domain was set or changed",
    "metric.SetFixedTransform(itk.TranslationTransform[D, 3].New())": (
        "fixed transform was set or changed"
    ),
    # A CompositeTransform does not tell of a change inside of it.
    "inner, outer = itk.TranslationTransform[D, 3].New(), itk.CompositeTransform[D, 3].New(); "
    "outer.AddTransform(inner); metric.SetFixedTransform(outer); metric.Initialize(); "
    "metric.GetValue(); inner.Translate([1.0] * 3)": "fixed transform was set or changed",
    "metric.SetMovingTransform(itk.CompositeTransform[D, 3].New())": (
        "is a CompositeTransform without transforms"
    ),
    "metric.SetMovingTransform(itk.DisplacementFieldTransform[D, 3].New())": (
        "DisplacementFieldTransform without a field"
    ),
    "new: metric.SetMovingInterpolator(None)": "The metric has no fixed image. Set it",
    "new: metric.SetMovingTransform(None)": "The metric has no fixed image. Set it",
    "new: metric.SetMovingImage(None)": "The metric has no fixed image. Set it",
    # What an evaluation can do without another Initialize().
    "metric.SetMovingTransform(itk.AffineTransform[D, 3].New())": "evaluated",
    "composite = itk.CompositeTransform[D, 3].New(); "
    "composite.AddTransform(itk.AffineTransform[D, 3].New()); "
    "composite.SetAllTransformsToOptimizeOff(); metric.SetMovingTransform(composite)": "evaluated",
    "composite = itk.CompositeTransform[D, 3].New(); "
    "composite.AddTransform(itk.AffineTransform[D, 3].New()); "
    "composite.SetAllTransformsToOptimizeOff(); metric.maps(fixed, moving, composite)": "evaluated",
    "metric.SetMovingTransform(field(4))": "Displacement field size/index: [4, 4, 4]",
    "metric.SetMovingTransform(field(20))": "evaluated",
    "metric.SetMovingImageMask(mask())": "evaluated",
    "metric.SetMovingImage(other); metric.Initialize()": "evaluated",
}


@pytest.fixture(scope="module")
def said(small_model: Path) -> dict[str, list[str]]:
    """Return what value and derivative say after each change."""
    run = run_script(SCRIPT, small_model, json.dumps(list(CHANGES)))
    assert run.returncode == 0, run.stderr
    return dict(zip(CHANGES, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("change", CHANGES)
def test_change_after_initialize(change: str, said: dict[str, list[str]]) -> None:
    value, derivative = said[change]
    assert CHANGES[change] in value
    assert CHANGES[change] in derivative


REGISTRATION = """
import sys
import itk, numpy as np, cnnmetric
for pixel, dtype, dimension in ((itk.F, np.float32, 2), (itk.D, np.float64, 3)):
    image = itk.Image[pixel, dimension]
    registration = itk.ImageRegistrationMethodv4[image, image].New()
    registration.SetMetric(cnnmetric.CNNImageToImageMetricv4(model=sys.argv[1], device="cpu"))
    registration.SetFixedImage(itk.image_from_array(np.zeros((20,) * dimension, dtype)))
    registration.SetMovingImage(itk.image_from_array(np.zeros((20,) * dimension, dtype)))
    try:
        registration.Update()
    except cnnmetric.SettingsError as error:
        print(error)
"""


def test_registration_of_other_images(small_model: Path) -> None:
    run = run_script(REGISTRATION, small_model)
    assert run.returncode == 0, run.stderr
    flat, double = run.stdout.splitlines()
    assert "images of type itkImageF2, its metric for itkImageF3" in flat
    assert "images of type itkImageD3, its metric for itkImageF3" in double


@pytest.mark.parametrize("transform", [None, "affine.tfm", itk.AffineTransform[itk.D, 2]])
def test_transform_that_is_none(transform: Any, difference_model: Path) -> None:
    image = subject("T1", size=(24, 24, 24), spacing=(1.0,) * 3, angle=0.0)
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model, device="cpu")
    with pytest.raises(
        cnnmetric.SettingsError, match=r"transform is .* must be an itkTransformD33"
    ):
        metric.value(image, image, transform)
    identity = itk.TranslationTransform[itk.D, 3].New()
    with pytest.raises(cnnmetric.SettingsError, match=r"virtual_domain is 3 .* be an itkImageF3"):
        metric.value(image, image, identity, virtual_domain=3)


def test_domain_and_points_that_are_not_there(difference_model: Path) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model, device="cpu")
    with pytest.raises(cnnmetric.SettingsError, match=r"virtual_domain is None .* an itkImageF3"):
        metric.SetVirtualDomainFromImage(None)
    image = subject("T1", size=(24, 24, 24), spacing=(1.0,) * 3, angle=0.0)
    metric.SetFixedImage(image)
    metric.SetMovingImage(image)
    metric.SetMovingTransform(itk.TranslationTransform[itk.D, 3].New())
    metric.Initialize()
    metric.SetUseSampledPointSet(True)
    for evaluate in (metric.GetValue, metric.describe, metric.Initialize):
        with pytest.raises((cnnmetric.MetricError, RuntimeError), match="no set of sampled points"):
            evaluate()
