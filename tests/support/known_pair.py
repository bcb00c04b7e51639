# SPDX-License-Identifier: Apache-2.0
"""A pair of images whose true relation is known, and its registrations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import itk
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from cnnmetric.files.points.formats import write_points
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.registration.result import RegistrationResult
from support.metric_images import anatomy
from support.metric_images import points_of
from support.metric_images import rotation

ANGLE, SHIFT = 0.08, np.array([2.0, -1.5, 1.0])  # radians, mm
LANDMARK = np.array([[6.0, -4.0, 5.0], [-3.0, 8.0, -2.0]])  # mm, in the fixed image
QUICK: dict[str, Any] = {"deformation": "rigid", "threads": 1}


def truth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points of the fixed image lie in the moving image."""
    found: NDArray[np.float64] = points @ rotation(ANGLE).T + SHIFT
    return found


def mean_error(result: RegistrationResult, fixed: Any) -> float:
    """Return the mean distance, in mm, between found and true position inside the anatomy."""
    points = points_of(fixed)
    found = points + itk.array_from_image(result.displacement)
    inside = anatomy(points, modality="T1") > 0.1
    return float(np.linalg.norm(found - truth(points), axis=-1)[inside].mean())


def as_simpleitk(image: Any) -> Any:
    made = SimpleITK.GetImageFromArray(itk.array_from_image(image))
    made.SetSpacing(tuple(image.GetSpacing()))
    made.SetOrigin(tuple(image.GetOrigin()))
    made.SetDirection(np.asarray(image.GetDirection()).ravel().tolist())
    return made


def as_file(image: Any, file: Path) -> str:
    itk.imwrite(image, str(file))
    return str(file)


TRANSFORMIX = """
import sys
import itk

folder, last, points, image = sys.argv[1:]
transform = itk.ParameterObject.New()
if points:
    moving = itk.imread(f"{folder}/warped.nii.gz", itk.F)
else:
    moving = itk.imread(image, itk.F)
filter_ = itk.TransformixFilter.New(moving)
filter_.SetTransformParameterFileName(f"{folder}/{last}")
filter_.SetLogToConsole(False)
if points:
    filter_.SetFixedPointSetFileName(points)
    filter_.SetOutputDirectory(folder)
filter_.Update()
itk.imwrite(filter_.GetOutput(), f"{folder}/by-transformix.nii.gz")
assert "cnnmetric" not in sys.modules
"""


def run_transformix(folder: Path, *, points: str = "", image: str = "") -> None:
    """Run stock transformix on the last of the saved files, from another folder."""
    last = sorted(folder.glob("TransformParameters.*.txt"))[-1].name
    command = [sys.executable, "-c", TRANSFORMIX, str(folder), last, points, image]
    subprocess.run(command, check=True, cwd="/", capture_output=True, text=True)


def transformix_points(folder: Path) -> NDArray[np.float64]:
    file = folder / "points.txt"
    write_points(PointSet(positions=LANDMARK, labels=("",) * len(LANDMARK)), file)
    run_transformix(folder, points=str(file))
    lines = (folder / "outputpoints.txt").read_text().splitlines()
    outputs = [line.partition("OutputPoint = [")[2].partition("]")[0] for line in lines]
    return np.array([list(map(float, output.split())) for output in outputs])
