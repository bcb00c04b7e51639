# SPDX-License-Identifier: Apache-2.0
"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk

from support.metric_images import subject

# A rigid registration of one level that takes part of a second.
QUICK_FILE = """
(Registration "MultiResolutionRegistration")
(NumberOfResolutions 1)
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(Transform "EulerTransform")
(AutomaticScalesEstimation "true")
(AutomaticTransformInitialization "true")
(Metric "CNNMetric")
(CNNMetricNumberOfBlocks 1)
(CNNMetricGridSpacing 2.0)
(Optimizer "RegularStepGradientDescent")
(MaximumStepLength 0.5)
(MaximumNumberOfIterations 4)
(MinimumStepLength 0.000001)
(MinimumGradientMagnitude 0.000000000001)
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
"""


def write_quick_file(folder: Path) -> Path:
    """Write a parameter file of elastix for a quick registration."""
    file = folder / "quick.txt"
    file.write_text(QUICK_FILE, encoding="utf-8")
    return file


def small_subject(angle: float = 0.1) -> Any:
    """Return an image of 3D, of 20 voxels an axis."""
    return subject("T1", size=(20, 20, 20), spacing=(2.0, 2.0, 2.0), angle=angle)


def write_pair(folder: Path) -> list[str]:
    """Write a fixed and a moving image, and return the two files."""
    files = [folder / "fixed.nii.gz", folder / "moving.nrrd"]
    for file, angle in zip(files, (0.1, 0.15), strict=True):
        itk.imwrite(small_subject(angle), str(file))
    return list(map(str, files))
