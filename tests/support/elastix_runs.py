# SPDX-License-Identifier: Apache-2.0
"""Short registrations through elastix's public Python interface, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk


def parameters(model: str | Path, **changes: str | list[str]) -> Any:
    """Return a parameter object: CNNMetric, a rotation and translation, one resolution.

    Parameters
    ----------
    model
        Value of CNNMetricModel.
    **changes
        Parameters to add or replace.
    """
    values: dict[str, str | list[str]] = {
        "FixedInternalImagePixelType": "float",
        "MovingInternalImagePixelType": "float",
        "Registration": "MultiResolutionRegistration",
        "FixedImagePyramid": "FixedSmoothingImagePyramid",
        "MovingImagePyramid": "MovingSmoothingImagePyramid",
        "NumberOfResolutions": "1",
        "Transform": "EulerTransform",
        "AutomaticScalesEstimation": "true",
        "HowToCombineTransforms": "Compose",
        "Metric": "CNNMetric",
        "CNNMetricModel": str(model),
        "CNNMetricDevice": "cpu",
        "NewSamplesEveryIteration": "true",
        "Optimizer": "AdaptiveStochasticGradientDescent",
        "MaximumNumberOfIterations": "2",
        "Interpolator": "LinearInterpolator",
        "ResampleInterpolator": "FinalBSplineInterpolator",
        "FinalBSplineInterpolationOrder": "1",
        "Resampler": "DefaultResampler",
        "WriteResultImage": "false",
        "RandomSeed": "1",
    }
    values.update(changes)
    parameter_object = itk.ParameterObject.New()
    parameter_map = {
        name: [value] if isinstance(value, str) else value for name, value in values.items()
    }
    parameter_object.AddParameterMap(parameter_map)
    return parameter_object


def register(fixed: Any, moving: Any, parameter_object: Any, **options: Any) -> Any:
    """Run elastix and return the transform's parameter object."""
    _, transform = itk.elastix_registration_method(
        fixed, moving, parameter_object=parameter_object, log_to_console=False, **options
    )
    return transform


def final_parameters(transform: Any) -> list[float]:
    """Return the parameters of the last transform."""
    last = transform.GetParameterMap(transform.GetNumberOfParameterMaps() - 1)
    return [float(value) for value in last["TransformParameters"]]


def log_of(fixed: Any, moving: Any, parameter_object: Any, folder: Path, **options: Any) -> str:
    """Run elastix and return its log, which is written into a folder."""
    register(
        fixed,
        moving,
        parameter_object,
        log_to_file=True,
        output_directory=str(folder),
        log_file_name="elastix.log",
        **options,
    )
    return (folder / "elastix.log").read_text(encoding="utf-8")


def setups(log: str) -> list[str]:
    """Return the lines that describe what CNNMetric compares, one per resolution and metric."""
    return [line for line in log.splitlines() if line.startswith("CNNMetric: model ")]


def iterations(log: str) -> list[dict[str, float]]:
    """Return the columns of every iteration, of one resolution after the other."""
    rows: list[dict[str, float]] = []
    header: list[str] = []
    for line in log.splitlines():
        cells = line.split("\t")
        if cells[0] == "1:ItNr":
            header = cells
        elif cells[0].isdigit() and len(cells) == len(header):
            rows.append(dict(zip(header, map(float, cells), strict=True)))
    return rows
