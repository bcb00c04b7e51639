# SPDX-License-Identifier: Apache-2.0
"""deedsBCV: an affine transform by least trimmed squares, then a discrete search over a tree.

Heinrich, Jenkinson, Brady, Schnabel, IEEE Transactions on Medical Imaging (2013); Heinrich, Maier,
Handels, VISCERAL challenge 2015. Its programs know voxels and no millimetres, so that both images
are resampled on one grid of cubes, and what they find is carried back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import RegistrationError
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.types import Displacement
from cnnmetric.types import Image
from cnnmetric.types import Transform

VARIABLE = "CNNMETRIC_DEEDSBCV"
_PROGRAMS = ("linearBCV", "deedsBCV")
# Weight, and per level distance of control points, search radius and step, in voxels.
_SETTINGS = ("-a", "0.8", "-l", "5", "-G", "8x7x6x5x4", "-L", "6x5x4x3x2", "-Q", "5x4x3x2x1")
_GRID = 4  # voxels between the control points of the last level
# It is made for CT: what is at -1024 counts as empty.
_EMPTY, _RANGE = -1024.0, 1000.0
_ISOTROPIC = 1.01


class DeedsBCV(Method):
    """deedsBCV, from the centres of the images laid on each other."""

    name = "deedsbcv"

    @classmethod
    def missing(cls) -> str:
        """Return how to name the programs, empty if they are there."""
        missing = [program for program in _PROGRAMS if _found(program) is None]
        if not missing:
            return ""
        return (
            f"{cls.name} needs the programs {' and '.join(missing)} of deedsBCV; build them from "
            f"their source, and set {VARIABLE} to their folder or put them on PATH."
        )

    def register(self, task: Task) -> Iterator[Alignment]:
        """Run both programs."""
        grid = _cubes(task.fixed)
        centred = _centres_on_each_other(task.fixed, task.moving)
        fixed = _shown(warping.resample_image(task.fixed, grid))
        moving = _shown(warping.resample_image(task.moving, grid, centred))
        itk.imwrite(fixed, str(task.folder / "fixed.nii.gz"))
        itk.imwrite(moving, str(task.folder / "moving.nii.gz"))
        matrix = task.folder / "affine_matrix.txt"
        seconds = _run(task, "linearBCV", "-O", "affine", makes=matrix)
        affine = np.loadtxt(matrix)[:, :3]
        yield _alignment(task, "linear", grid, centred, _linear(affine, grid), seconds)
        flow = task.folder / "found_displacements.dat"
        seconds = _run(task, "deedsBCV", "-O", "found", *_SETTINGS, "-A", matrix.name, makes=flow)
        voxels = _linear(affine, grid) + _deformation(flow, grid)
        yield _alignment(task, "deformable", grid, centred, voxels, seconds)


def _alignment(
    task: Task,
    step: str,
    grid: Image,
    centred: Transform,
    voxels: NDArray[np.floating[Any]],
    seconds: float,
) -> Alignment:
    """Return an alignment; voxels are displacements on the grid, along x, y, z."""
    direction = itk.array_from_matrix(grid.GetDirection())
    displacement: Displacement = (voxels * np.asarray(grid.GetSpacing())) @ direction.T
    on_grid = warping.displacement_transform(displacement, grid)
    together = warping.composite_transform([centred, on_grid], 3)
    return Alignment(
        step=step,
        displacement=warping.displacement_of(together, task.fixed),
        seconds=seconds,
    )


def _found(program: str) -> str | None:
    folder = os.environ.get(VARIABLE)
    return shutil.which(program, path=folder) if folder else shutil.which(program)


def _run(task: Task, program: str, *arguments: str, makes: Path) -> float:
    """Run a program in the task's folder and return its seconds.

    Raises
    ------
    RegistrationError
        If it fails, which its exit status does not always tell.
    """
    command = [_found(program) or program, "-F", "fixed.nii.gz", "-M", "moving.nii.gz", *arguments]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=task.folder,
        env={**os.environ, "OMP_NUM_THREADS": str(task.threads)},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode or not makes.is_file():
        last = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        msg = f"{program} ended with status {done.returncode}: {last or 'no message'}"
        raise RegistrationError(msg)
    return time.perf_counter() - started


def _cubes(fixed: Image) -> Image:
    """Return the fixed image's grid, with cubes for voxels."""
    spacing = np.asarray(fixed.GetSpacing())
    size = np.asarray(itk.size(fixed))
    if spacing.max() > _ISOTROPIC * spacing.min():
        edge = float(np.exp(np.log(spacing).mean()))
        size = np.ceil((size - 1) * spacing / edge).astype(int) + 1
        spacing = np.full(3, edge)
    grid = itk.Image[itk.F, 3].New()
    grid.SetRegions([int(n) for n in size])
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin(fixed.GetOrigin())
    grid.SetDirection(fixed.GetDirection())
    return grid


def _centres_on_each_other(fixed: Image, moving: Image) -> Transform:
    def centre(image: Image) -> NDArray[np.float64]:
        half = (np.asarray(itk.size(image)) - 1) / 2 * np.asarray(image.GetSpacing())
        found: NDArray[np.float64] = (
            np.asarray(image.GetOrigin()) + itk.array_from_matrix(image.GetDirection()) @ half
        )
        return found

    transform = itk.TranslationTransform[itk.D, 3].New()
    transform.SetOffset((centre(moving) - centre(fixed)).tolist())
    return transform


def _shown(image: Image) -> Image:
    """Return an image with intensities like those of CT, its background as air."""
    values = itk.array_from_image(image)
    lower, upper = np.quantile(values, [0.01, 0.999])
    scaled = np.clip((values - lower) / max(upper - lower, 1e-30), 0, 1.5)
    return image_like((_EMPTY + _RANGE * scaled).astype(np.float32), image)


def _linear(affine: NDArray[np.float64], grid: Image) -> NDArray[np.float64]:
    """Return what an affine transform of voxels x, y, z moves those of the grid by, along x, y, z.

    The last row of the file is the translation.
    """
    indices = np.indices(tuple(itk.size(grid))[::-1]).astype(float)[::-1]
    places = np.moveaxis(indices, 0, -1)
    moved: NDArray[np.float64] = places @ affine[:3] + affine[3] - places
    return moved


def _deformation(file: Path, grid: Image) -> NDArray[np.floating[Any]]:
    """Return what comes after the affine transform, in voxels along x, y, z.

    The file has the control points' displacements along y, x and z, with x as the fastest axis.
    """
    size = [int(n) for n in itk.size(grid)]
    points = [n // _GRID for n in size]
    values = np.fromfile(file, dtype="<f4")
    if values.size != 3 * np.prod(points):
        msg = f"deedsBCV wrote {values.size} numbers, and {3 * np.prod(points)} were expected"
        raise RegistrationError(msg)
    along_y, along_x, along_z = values.reshape(3, *points[::-1])
    places = np.indices(size[::-1]).astype(float)
    for axis, (n, count) in enumerate(zip(size[::-1], points[::-1], strict=True)):
        places[axis] *= count / n
    return warping.at_places(places, np.stack([along_x, along_y, along_z], axis=-1))
