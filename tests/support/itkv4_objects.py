# SPDX-License-Identifier: Apache-2.0
"""ITK objects that the tests of the ITKv4 metric share."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray


def itk_parameters(values: NDArray[np.float64]) -> Any:
    """Return numbers as ITK's optimizer parameters."""
    parameters = itk.OptimizerParameters[itk.D](len(values))
    for index, value in enumerate(values):
        parameters.SetElement(index, float(value))
    return parameters


def affine() -> Any:
    """Return an affine transform whose centre is not the origin."""
    transform = itk.AffineTransform[itk.D, 3].New()
    transform.SetCenter([1.0, 2.0, 3.0])
    return transform


def bspline(image: Any) -> Any:
    """Return a B-spline transform over the domain of an image."""
    transform = itk.BSplineTransform[itk.D, 3, 3].New()
    extent = (np.asarray(itk.size(image)) - 1) * np.asarray(image.GetSpacing())
    transform.SetTransformDomainOrigin(image.GetOrigin())
    transform.SetTransformDomainPhysicalDimensions([float(value) for value in extent])
    transform.SetTransformDomainDirection(image.GetDirection())
    transform.SetTransformDomainMeshSize([3, 3, 3])
    return transform


def displacement_field(image: Any) -> Any:
    """Return a displacement field transform of zeros on the grid of an image."""
    field = itk.Image[itk.Vector[itk.D, 3], 3].New()
    field.SetRegions(itk.size(image))
    field.Allocate(True)
    field.SetOrigin(image.GetOrigin())
    field.SetSpacing(image.GetSpacing())
    field.SetDirection(image.GetDirection())
    transform = itk.DisplacementFieldTransform[itk.D, 3].New()
    transform.SetDisplacementField(field)
    return transform
