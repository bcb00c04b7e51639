# SPDX-License-Identifier: Apache-2.0
"""Settings of the elastix methods, all metrics in the same pipeline.

``practical`` is what we recommend: the shipped parameter files, unchanged. ``simonovsky2016`` is
the protocol of the paper's Section 3.1, as far as it is given there; what is not, is marked below.
``simonovsky2016-short`` is the same with a tenth of its iterations.
"""

from __future__ import annotations

from collections.abc import Sequence

import itk
from scipy.optimize import brentq

from cnnmetric.registration import parameter_files
from cnnmetric.registration.stages import STAGES as SHIPPED
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject

_PAPER_STAGES = ("similarity", "bspline")
STAGES = {
    "practical": SHIPPED,
    "simonovsky2016": _PAPER_STAGES,
    "simonovsky2016-short": _PAPER_STAGES,
}

CONTROL_POINTS = 1000
# Of the B-spline, whose support reaches beyond the image.
_EXTRA_CONTROL_POINTS = 3

PAPER = {
    "NumberOfResolutions": ["2"],
    # "gradient descent with regular step and 500 iterations per scale"
    "Optimizer": ["RegularStepGradientDescent"],
    "RelaxationFactor": ["0.5"],  # elastix's default, not given in the paper
    "MinimumStepLength": ["0.001"],  # not given in the paper
    "MinimumGradientMagnitude": ["1e-12"],  # never the reason to stop
    "NewSamplesEveryIteration": ["false"],  # as in ITK, which the paper used
}
ITERATIONS = {"simonovsky2016": ["500"], "simonovsky2016-short": ["50"]}
# Length of the first step, which the paper does not give. The similarity's is in elastix's scaled
# parameters; the B-spline's is the norm over all control points, in mm.
_MAXIMUM_STEP_LENGTH = {"similarity": ["1.0"], "bspline": ["30.0"]}
_PAPER_MI = {
    "ImageSampler": ["Random"],
    "NumberOfSpatialSamples": ["200000"],
    "NumberOfHistogramBins": ["75"],
}
_PAPER_CNN = {
    # "sampled on a dense uniform grid with significant overlaps" (Section 2.1)
    "CNNMetricSampling": ["Full"],
    # The model's voxel size on the fine scale and its double on the coarse one.
    "CNNMetricGridSpacing": ["2.0", "1.0"],
}


def parameters(preset: str, metric: str, stage: str, fixed: Image) -> ParameterObject:
    """Return the parameters of one stage as an ``itk.ParameterObject``.

    Parameters
    ----------
    preset
        One of :data:`STAGES`.
    metric
        ``"cnn"`` or ``"mi"``.
    stage
        One of the preset's :data:`STAGES`.
    fixed
        The fixed image, from whose size the paper's control point grid follows.
    """
    found = parameter_files.read(metric, stage)
    if preset in ITERATIONS:
        changes = {**PAPER, **(_PAPER_CNN if metric == "cnn" else _PAPER_MI)}
        changes["MaximumNumberOfIterations"] = ITERATIONS[preset]
        changes["MaximumStepLength"] = _MAXIMUM_STEP_LENGTH[stage]
        if stage == "bspline":
            spacing = control_point_spacing(extent(fixed), CONTROL_POINTS)
            changes["FinalGridSpacingInPhysicalUnits"] = [f"{spacing:.3f}"]
        if metric == "cnn":
            found.RemoveParameter("CNNMetricNumberOfBlocks")
        for name, values in changes.items():
            found.SetParameter(0, name, values)
    return found


def extent(image: Image) -> list[float]:
    """Return the edges of an image in mm (x, y, z)."""
    return [n * edge for n, edge in zip(itk.size(image), image.GetSpacing(), strict=True)]


def control_point_spacing(edges: Sequence[float], number: int) -> float:
    """Return the spacing in mm at which a B-spline grid over an image has this many points."""

    def excess(spacing: float) -> float:
        points = 1.0
        for edge in edges:
            points *= edge / spacing + _EXTRA_CONTROL_POINTS
        return points - number

    return float(brentq(excess, 1e-3, 1e6))
