# SPDX-License-Identifier: Apache-2.0
"""The axes of the matrix test: for each of elastix's components, the parameters that it needs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np

from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import anatomy
from support.metric_images import ball_mask
from support.metric_images import empty_image
from support.metric_images import image_of
from support.metric_images import points_of
from support.metric_images import rotation
from support.metric_images import write_difference_model
from support.pairwise import Case

Settings = dict[str, str | list[str]]

# What turns the fixed anatomy into the moving one.
ROTATION = 0.06  # radians about z, and in 3D about x
SHIFT = np.array([2.0, -1.5, 1.0])  # mm

IMAGES = ["float 2D", "float 3D", "short 3D"]

# Three control points per axis inside the image: the Jacobian is all that is asked for.
_BSPLINE: Settings = {"FinalGridSpacingInPhysicalUnits": "20"}
TRANSFORMS: dict[str, Settings] = {
    "TranslationTransform": {},
    "EulerTransform": {},
    "SimilarityTransform": {},
    "AffineTransform": {},
    "AffineLogTransform": {},
    "AffineDTITransform": {},
    "BSplineTransform": _BSPLINE,
    "BSplineTransform, cyclic": {
        "UseCyclicTransform": "true",
        "FinalGridSpacingInPhysicalUnits": "10",
        "GridSpacingSchedule": ["1", "1"],
    },
    "RecursiveBSplineTransform": _BSPLINE,
    "SplineKernelTransform": {"SplineKernelType": "VolumeSpline"},
    "WeightedCombinationTransform": {},
    # A stack along the last axis of the image; the patches of the network go across it.
    "TranslationStackTransform": {},
    "EulerStackTransform": {},
    "AffineLogStackTransform": {},
    "BSplineStackTransform": _BSPLINE,
}

INITIAL_TRANSFORMS = ["none", "Compose", "Add"]

_SAMPLES: Settings = {"NumberOfSpatialSamples": "20"}
SAMPLERS: dict[str, Settings] = {
    "no sampler": {},
    "Full": {"ImageSampler": "Full"},
    "Grid": {"ImageSampler": "Grid", "SampleGridSpacing": "4"},
    "Random": {"ImageSampler": "Random", **_SAMPLES},
    "RandomCoordinate": {"ImageSampler": "RandomCoordinate", **_SAMPLES},
    "RandomCoordinate, region": {
        "ImageSampler": "RandomCoordinate",
        "UseRandomSampleRegion": "true",
        "SampleRegionSize": "30",
        **_SAMPLES,
    },
    "MultiInputRandomCoordinate": {"ImageSampler": "MultiInputRandomCoordinate", **_SAMPLES},
    "RandomSparseMask": {"ImageSampler": "RandomSparseMask", **_SAMPLES},
    "RandomCoordinate, kept": {
        "ImageSampler": "RandomCoordinate",
        "NewSamplesEveryIteration": "false",
        **_SAMPLES,
    },
}

MASKS: dict[str, Settings] = {
    "no mask": {},
    "fixed mask": {"ErodeFixedMask": "false"},
    "fixed mask, eroded": {"ErodeFixedMask": "true"},
    "moving mask": {"ErodeMovingMask": "false"},
    "moving mask, eroded": {"ErodeMovingMask": "true"},
    "fixed and moving mask": {"ErodeMask": "false"},
    "fixed and moving mask, eroded": {"ErodeFixedMask": "true", "ErodeMovingMask": "true"},
}

PYRAMIDS = ["Smoothing", "Recursive", "Shrinking", "Generic"]

INTERPOLATORS = [
    "LinearInterpolator",
    "BSplineInterpolator",
    "BSplineInterpolatorFloat",
    "ReducedDimensionBSplineInterpolator",
    "NearestNeighborInterpolator",
]

OPTIMIZERS: dict[str, Settings] = {
    "AdaptiveStochasticGradientDescent": {
        "AutomaticParameterEstimation": "true",
        "NumberOfGradientMeasurements": "2",
        "NumberOfJacobianMeasurements": "200",
    },
    "AdaptiveStochasticGradientDescent, displacement": {
        "AutomaticParameterEstimation": "true",
        "ASGDParameterEstimationMethod": "DisplacementDistribution",
        "NumberOfJacobianMeasurements": "200",
    },
    "RegularStepGradientDescent": {"MaximumStepLength": "0.5"},
    "RSGDEachParameterApart": {"MaximumStepLength": "0.5"},
    "StandardGradientDescent": {"SP_a": "10.0"},
    "QuasiNewtonLBFGS": {"StepLength": "0.5", "MaximumNumberOfLineSearchIterations": "2"},
    "ConjugateGradient": {"StepLength": "0.5", "MaximumNumberOfLineSearchIterations": "2"},
}

AXES: dict[str, list[str]] = {
    "transform": list(TRANSFORMS),
    "optimizer": list(OPTIMIZERS),
    "sampler": list(SAMPLERS),
    "mask": list(MASKS),
    "interpolator": INTERPOLATORS,
    "fixed_pyramid": PYRAMIDS,
    "moving_pyramid": PYRAMIDS,
    "image": IMAGES,
    "initial": INITIAL_TRANSFORMS,
}


def allowed(pair: Case) -> bool:
    """Return whether elastix itself can run two values together."""
    # RandomSparseMask draws from the fixed mask and fails without one.
    if pair.get("sampler") == "RandomSparseMask" and "fixed" not in pair.get("mask", "fixed"):
        return False
    # The step that elastix estimates is endless where all points move alike, with any metric.
    return not (
        pair.get("transform") in ("TranslationTransform", "WeightedCombinationTransform")
        and pair.get("optimizer") == "AdaptiveStochasticGradientDescent, displacement"
    )


def dimension_of(image: str) -> int:
    """Return the dimension of a value of the axis "image"."""
    return int(image[-2])


@functools.cache
def images(kind: str) -> tuple[Any, Any]:
    """Return a fixed image, and a moving image that is shifted and turned against it."""
    # Of one extent: as much background in both, or the quantiles of the normalisation differ.
    dimension = dimension_of(kind)
    fixed = empty_image((36, 34, 32)[:dimension], spacing=(1.4, 1.5, 1.6)[:dimension], angle=0.2)
    moving = empty_image((34, 36, 35)[:dimension], spacing=(1.6, 1.5, 1.5)[:dimension], angle=-0.1)
    in_fixed_space = (points_of(moving) - SHIFT[:dimension]) @ rotation(ROTATION, dimension)
    itk.array_view_from_image(fixed)[:] = anatomy(points_of(fixed), modality="T1")
    itk.array_view_from_image(moving)[:] = anatomy(in_fixed_space, modality="T1")
    return (fixed, moving) if kind.startswith("float") else (_as_short(fixed), _as_short(moving))


def _as_short(image: Any) -> Any:
    return image_of(
        np.rint(1000.0 * itk.array_from_image(image)).astype(np.int16),
        spacing=list(image.GetSpacing()),
        origin=list(image.GetOrigin()),
        direction=np.asarray(image.GetDirection()),
    )


def translation(shift: Sequence[float]) -> Any:
    """Return the parameter object of a translation in mm (x, y, z)."""
    dimension = str(len(shift))
    parameter_object = itk.ParameterObject.New()
    parameter_object.AddParameterMap(
        {
            "Transform": ["TranslationTransform"],
            "NumberOfParameters": [dimension],
            "TransformParameters": [str(value) for value in shift],
            "InitialTransformParameterFileName": ["NoInitialTransform"],
            "HowToCombineTransforms": ["Compose"],
            "FixedImageDimension": [dimension],
            "MovingImageDimension": [dimension],
            "FixedInternalImagePixelType": ["float"],
            "MovingInternalImagePixelType": ["float"],
        }
    )
    return parameter_object


class CaseRunner:
    """Runs the cases of the matrix.

    Parameters
    ----------
    folder
        For the files that elastix reads: models, transforms, points.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[int, Path] = {}
        self._subtransforms: dict[int, list[str]] = {}
        self._points: dict[int, str] = {}
        for dimension in (2, 3):
            self._write_files(dimension)
        self.start = functools.cache(self._start)

    def run(self, case: Case, **changes: str | list[str]) -> Any:
        """Register as the case says and return the transform's parameter object."""
        dimension = dimension_of(case["image"])
        fixed, moving = images(case["image"])
        options: dict[str, Any] = {}
        if "fixed" in case["mask"]:
            options["fixed_mask"] = ball_mask(fixed, radius=26.0)
        if "moving" in case["mask"]:
            options["moving_mask"] = ball_mask(moving, radius=26.0)
        if case["initial"] != "none":
            options["initial_transform_parameter_object"] = translation([0.5] * dimension)
        if case["transform"] == "SplineKernelTransform":
            options["fixed_point_set_file_name"] = self._points[dimension]
        return register(fixed, moving, self._parameters(case, changes), **options)

    def _start(self, image: str, transform: str) -> list[float]:
        """Return the transform's parameters before the first iteration."""
        case = {axis: values[0] for axis, values in AXES.items()}
        case |= {"image": image, "transform": transform, "optimizer": "StandardGradientDescent"}
        case |= {"mask": "no mask", "sampler": "no sampler", "initial": "none"}
        return final_parameters(self.run(case, MaximumNumberOfIterations="0"))

    def _parameters(self, case: Case, changes: Settings) -> Any:
        dimension = dimension_of(case["image"])
        # What follows a comma tells variants of a component apart.
        component = {axis: value.split(",")[0] for axis, value in case.items()}
        settings: Settings = {
            "FixedInternalImagePixelType": case["image"].split()[0],
            "MovingInternalImagePixelType": case["image"].split()[0],
            "FixedImagePyramid": f"Fixed{case['fixed_pyramid']}ImagePyramid",
            "MovingImagePyramid": f"Moving{case['moving_pyramid']}ImagePyramid",
            "NumberOfResolutions": "2",
            "Transform": component["transform"],
            "Optimizer": component["optimizer"],
            "Interpolator": case["interpolator"],
            "MaximumNumberOfIterations": "2",
            "CNNMetricGridSpacing": ["2.0", "1.6"],
            "CNNMetricBlockSize": "21",
            "SubTransforms": self._subtransforms[dimension],
        }
        if case["sampler"] == "no sampler":
            settings["CNNMetricNumberOfBlocks"] = "3"
        if case["initial"] != "none":
            settings["HowToCombineTransforms"] = case["initial"]
        for axis, values in (
            ("transform", TRANSFORMS),
            ("optimizer", OPTIMIZERS),
            ("sampler", SAMPLERS),
            ("mask", MASKS),
        ):
            settings |= values[case[axis]]
        return parameters(self._models[dimension], **settings | changes)

    def _write_files(self, dimension: int) -> None:
        model = self._folder / f"difference_{dimension}d.onnx"
        self._models[dimension] = write_difference_model(model, dimension=dimension)
        self._subtransforms[dimension] = []
        for axis in range(dimension):
            file = str(self._folder / f"subtransform_{dimension}d_{axis}.txt")
            translation(np.eye(dimension)[axis].tolist()).WriteParameterFile(file)
            self._subtransforms[dimension].append(file)
        points = [*itertools.product((-12.0, 12.0), repeat=dimension), (1.0,) * dimension]
        lines = ["point", str(len(points)), *(" ".join(map(str, point)) for point in points)]
        points_file = self._folder / f"points_{dimension}d.txt"
        points_file.write_text("\n".join(lines) + "\n")
        self._points[dimension] = str(points_file)
