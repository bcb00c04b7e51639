# SPDX-License-Identifier: Apache-2.0
"""Values of elastix's own parameters: right, odd and impossible ones."""

from __future__ import annotations

from collections.abc import Sequence

from cnnmetric.plugin.components import COMPONENTS

_ODD: tuple[list[str], ...] = (
    *([""], ["0"], ["-1"], ["x"], ["nan"], ["inf"], ["1e30"], ["1.5"], ["-2147483648"], []),
    *(["99999999999999999999"], ["true"], ["\xe9"], ["1", "x"], ["1"], ["2"], ["3", "2", "1"]),
)
_FLAGS: tuple[list[str], ...] = (["true"], ["false"], [""], ["yes"], ["1"], [], ["true", "false"])


def _names(kind: str, *more: str) -> Sequence[Sequence[str]]:
    return [*([name] for name in COMPONENTS[kind]), *([name] for name in more), [], ["x", "y"]]


# elastix opens no file that these name.
VALUES: dict[str, Sequence[Sequence[str]]] = {
    "Registration": _names("Registration", "", "multiresolutionregistration", "\xe9"),
    "FixedImagePyramid": _names("FixedImagePyramid", "MovingSmoothingImagePyramid"),
    "MovingImagePyramid": _names("MovingImagePyramid", "FixedSmoothingImagePyramid"),
    "ImageSampler": _names("ImageSampler", "", "random"),
    "Interpolator": _names("Interpolator", "Linear"),
    "Optimizer": _names("Optimizer", "Adam"),
    "Transform": _names("Transform", "Euler"),
    "ResampleInterpolator": _names("ResampleInterpolator"),
    "Resampler": _names("Resampler", "Other"),
    "Metric": (
        ["CNNMetric", "CNNMetric"],
        ["CNNMetric", "AdvancedMeanSquares"],
        ["AdvancedMeanSquares", "CNNMetric"],
        ["CNNMetric", "TransformBendingEnergyPenalty"],
        ["CNNMetric", "TransformRigidityPenalty"],
        ["CNNMetric", ""],
        ["CNNMetric"] * 9,
    ),
    "NumberOfResolutions": _ODD[:10],
    "MaximumNumberOfIterations": (["0"], ["-1"], ["x"], ["1.5"], [], ["2", "1"], ["nan"]),
    "ImagePyramidSchedule": (["0"] * 3, ["-1"] * 3, ["1"] * 2, ["2", "1", "1"], ["x"] * 3, ["1e9"]),
    "FixedImagePyramidSchedule": (["0"] * 3, ["1"] * 3, ["2"] * 3, ["1.5"] * 3, ["nan"] * 3),
    "NumberOfSpatialSamples": _ODD,
    "SampleGridSpacing": _ODD,
    "SampleRegionSize": _ODD,
    "UseRandomSampleRegion": _FLAGS,
    "NewSamplesEveryIteration": _FLAGS,
    "RequiredRatioOfValidSamples": _ODD,
    "CheckNumberOfSamples": _FLAGS,
    "ShowExactMetricValue": _FLAGS,
    "UseMultiThreadingForMetrics": _FLAGS,
    "ErodeMask": _FLAGS,
    "AutomaticScalesEstimation": _FLAGS,
    "AutomaticTransformInitialization": _FLAGS,
    "AutomaticTransformInitializationMethod": (["CenterOfGravity"], ["GeometricalCenter"], ["x"]),
    "AutomaticParameterEstimation": _FLAGS,
    "HowToCombineTransforms": (["Compose"], ["Add"], ["x"], []),
    "RandomSeed": _ODD,
    "Scales": _ODD,
    "Metric0Weight": _ODD,
    "MaximumStepLength": _ODD,
    "SP_a": _ODD,
    "SP_A": _ODD,
    "SP_alpha": _ODD,
    "SigmoidInitialTime": _ODD,
    "NumberOfGradientMeasurements": (["0"], ["-1"], ["x"], ["nan"], ["1", "x"]),
    "NumberOfJacobianMeasurements": (["0"], ["-1"], ["x"], ["nan"], ["1", "x"]),
    "FinalGridSpacingInPhysicalUnits": (["20"], ["8"], ["0"], ["-1"], ["x"], ["nan"], ["1e9"]),
    "FixedInternalImagePixelType": (["float"], ["short"], ["double"], ["x"], []),
    "MovingInternalImagePixelType": (["float"], ["short"], ["double"], ["x"], []),
    "FixedImageDimension": (["2"], ["3"], ["4"], ["x"], ["0"]),
    "BSplineInterpolationOrder": (["0"], ["1"], ["3"], ["5"], ["6"], ["-1"], ["x"]),
    "FinalBSplineInterpolationOrder": (["0"], ["3"], ["6"], ["-1"], ["x"]),
    "DefaultPixelValue": _ODD,
    "WriteResultImage": _FLAGS,
    "ResultImagePixelType": (["short"], ["float"], ["x"], ["unsigned char"]),
    "UseDirectionCosines": _FLAGS,
    "CenterOfRotationPoint": (["0"], ["nan"] * 3, ["x"] * 3, ["1e300"] * 3),
    "UnknownParameter": _ODD,
}
