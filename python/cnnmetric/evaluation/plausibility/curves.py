# SPDX-License-Identifier: Apache-2.0
"""Value and analytic derivative of the learned metric and of mutual information along a curve."""

from __future__ import annotations

import csv
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.evaluation.plausibility.perturbations import Perturbation
from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings
from cnnmetric.metric.on_images import MetricOnImages
from cnnmetric.types import Image

_MI_SAMPLES = 20_000

# From parameters to value and derivative, which is what an optimizer gets to see.
Evaluate = Callable[[list[float]], tuple[float, NDArray[np.float64]]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric along a perturbation.

    Attributes
    ----------
    metric
        Name.
    perturbation
        What was changed.
    amounts
        In the perturbation's unit.
    values
        Of the metric, which is minimised.
    derivatives
        Analytic, per unit of the perturbation.
    """

    metric: str
    perturbation: Perturbation
    amounts: NDArray[np.float64]
    values: NDArray[np.float64]
    derivatives: NDArray[np.float64]

    @property
    def minimum(self) -> float:
        """The amount with the lowest value; 0 is right."""
        return float(self.amounts[self.values.argmin()])

    @property
    def right_signs(self) -> float:
        """The share of places, 0 left out, where descent leads back to 0."""
        away = self.amounts != 0
        return float((np.sign(self.derivatives) == np.sign(self.amounts))[away].mean())


def curve(name: str, evaluate: Evaluate, perturbation: Perturbation, points: int) -> Curve:
    """Follow one metric along one perturbation."""
    amounts = np.linspace(-perturbation.largest, perturbation.largest, points)
    found = [evaluate(perturbation.parameters_at(amount)) for amount in amounts]
    return Curve(
        metric=name,
        perturbation=perturbation,
        amounts=amounts,
        values=np.array([value for value, _ in found]),
        derivatives=np.array(
            [
                derivative[perturbation.index] * perturbation.slope_at(amount)
                for amount, (_, derivative) in zip(amounts, found, strict=True)
            ]
        ),
    )


def write(curves: Sequence[Curve], file: Path) -> None:
    """Write curves as CSV, one row per place."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["metric", "perturbation", "unit", "amount", "value", "derivative"])
        for curve in curves:
            start = [curve.metric, curve.perturbation.name, curve.perturbation.unit]
            for row in zip(curve.amounts, curve.values, curve.derivatives, strict=True):
                writer.writerow([*start, *row])


def learned_metric(
    fixed: Image, moving: Image, perturbation: Perturbation, settings: PlausibilitySettings
) -> Evaluate:
    """Return the learned metric over all patches."""
    return MetricOnImages(
        fixed,
        moving,
        model=settings.model,
        fixed_modality=settings.fixed_modality,
        transform=perturbation.transform,
        transform_fixed_parameters=perturbation.fixed_parameters,
        grid_spacing=settings.grid_spacing,
        number_of_threads=settings.threads,
    ).value_and_derivative


def mutual_information(
    fixed: Image, moving: Image, perturbation: Perturbation, settings: PlausibilitySettings
) -> Evaluate:
    """Return ITK's Mattes mutual information over a lattice of voxels; negative, less is better.

    Not over all voxels: for a B-spline, ITK visits every control point at each of them.
    """
    if perturbation.transform == "similarity":
        transform = itk.Similarity3DTransform[itk.D].New()
    else:
        transform = itk.BSplineTransform[itk.D, 3, 3].New()
    transform.SetFixedParameters(_itk_array(perturbation.fixed_parameters))
    image_type = type(fixed)
    metric = itk.MattesMutualInformationImageToImageMetricv4[image_type, image_type].New()
    metric.SetFixedImage(fixed)
    metric.SetMovingImage(moving)
    metric.SetNumberOfHistogramBins(settings.bins)
    metric.SetMovingTransform(transform)
    metric.SetFixedSampledPointSet(_lattice(fixed))
    metric.SetUseSampledPointSet(True)

    def evaluate(parameters: list[float]) -> tuple[float, NDArray[np.float64]]:
        transform.SetParameters(_itk_array(parameters))
        metric.Initialize()
        derivative = itk.Array[itk.D](len(parameters))
        metric.GetDerivative(derivative)
        # ITKv4's derivatives point downhill.
        return metric.GetValue(), -np.array([derivative[i] for i in range(len(parameters))])

    return evaluate


def _lattice(image: Image) -> Any:
    """Return the positions of every n-th voxel along all axes, as ITK wants them."""
    size = np.asarray(itk.size(image))
    step = max(1, round((float(size.prod()) / _MI_SAMPLES) ** (1 / 3)))
    index = np.stack(np.meshgrid(*[np.arange(0, n, step) for n in size], indexing="ij"), axis=-1)
    along_axes = index.reshape(-1, 3) * np.asarray(image.GetSpacing())
    places = along_axes @ np.asarray(image.GetDirection()).T + np.asarray(image.GetOrigin())
    points = itk.PointSet[itk.F, 3].New()
    points.SetPoints(itk.vector_container_from_array(places.astype(np.float32).ravel()))
    return points


def _itk_array(values: list[float]) -> Any:
    found = itk.OptimizerParameters[itk.D](len(values))
    for index, value in enumerate(values):
        found[index] = value
    return found
