# SPDX-License-Identifier: Apache-2.0
"""The anatomy behind the demo: the ICBM152 2009a template that the nilearn package carries.

T1, grey matter and white matter at 1 mm, brain only, average of 152 adults (Fonov et al. 2011).
The files are read from nilearn's installation: nothing is downloaded, nilearn is not imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cnnmetric.errors import DataError
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.plugin.installation import install_extra
from cnnmetric.types import Image

Volume = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

LABELS = {
    1: "cortical grey matter",
    2: "white matter",
    3: "outer CSF",
    4: "deep grey matter",
    5: "ventricles",
}
GREY, WHITE, FLUID = 0, 1, 2

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
# An average of many brains is softer than each of them. Unsharp masking of the T1 (share, width in
# mm) and a power of the tissue fractions give back some of the contrast of a single brain.
_SHARPENING, _SHARPENING_WIDTH, _FRACTION_POWER = 0.7, 1.5, 1.6
# Ellipsoids (centre, half axes; patient coordinates x left, y posterior, z up, in mm) within which
# grey matter counts as deep grey matter, and CSF as ventricles.
_DEEP_GREY = ((0.0, 4.0, 5.0), (34.0, 32.0, 20.0))
_VENTRICLES = ((0.0, 14.0, 12.0), (32.0, 46.0, 24.0))


@dataclass(frozen=True)
class Anatomy:
    """Template volumes on one grid of 1 mm; arrays have NumPy axes (z, y, x).

    Attributes
    ----------
    t1
        T1 intensity, about 1 in white matter and 0 outside the brain.
    fractions
        Shape (3, z, y, x): share of grey matter, white matter and CSF; their sum is 1 in the brain
        and 0 outside.
    brain
        1 in the brain, 0 outside.
    point_to_index
        Affine 3 x 4 matrix from patient coordinates (ITK x, y, z, mm) to array index (z, y, x).
    centre
        Centre of the brain, patient coordinates, mm.
    """

    t1: Volume
    fractions: Volume
    brain: Volume
    point_to_index: Points
    centre: Points

    def sample(self, volume: Volume, points: Points) -> Volume:
        """Interpolate ``volume`` linearly at ``points``, shape (..., 3); 0 outside the template."""
        index = points @ self.point_to_index[:, :3].T + self.point_to_index[:, 3]
        return np.asarray(ndimage.map_coordinates(volume, np.moveaxis(index, -1, 0), order=1))

    def labels(self, fractions: Volume, points: Points) -> npt.NDArray[np.int16]:
        """Return the label of each point from the three tissue ``fractions`` found there."""
        largest = fractions.argmax(axis=0)
        label = (largest + 1).astype(np.int16)
        label[(largest == GREY) & _inside(_DEEP_GREY, points)] = 4
        label[(largest == FLUID) & _inside(_VENTRICLES, points)] = 5
        label[fractions.sum(axis=0) < 0.5] = 0
        return np.asarray(label)


def load_anatomy() -> Anatomy:
    """Read the template from the installed nilearn package.

    Raises
    ------
    DataError
        If nilearn is not installed or does not hold the template.
    """
    image = _read("t1")
    t1 = itk.array_from_image(image).astype(np.float32)
    grey, white = (
        itk.array_from_image(_read(name)).astype(np.float32) / 255 for name in ("gm", "wm")
    )
    brain = (t1 > 0).astype(np.float32)

    fractions = np.stack([grey, white, np.clip(1 - grey - white, 0, 1)]) ** _FRACTION_POWER
    fractions = (fractions * brain / np.maximum(fractions.sum(axis=0), 1e-6)).astype(np.float32)
    t1 /= np.median(t1[white > 0.95])
    detail = t1 - ndimage.gaussian_filter(t1, _SHARPENING_WIDTH)
    inside = ndimage.binary_erosion(brain, iterations=3).astype(np.float32)
    t1 = np.clip(t1 + _SHARPENING * detail * inside, 0, None).astype(np.float32)

    point_to_index = _point_to_index(image)
    corners = np.array([[axis.min(), axis.max()] for axis in np.nonzero(brain)], dtype=float)
    centre = np.linalg.solve(point_to_index[:, :3], corners.mean(axis=1) - point_to_index[:, 3])
    return Anatomy(t1, fractions, brain, point_to_index, centre)


def _read(name: str) -> Any:
    package = importlib.util.find_spec("nilearn")
    if package is None or package.origin is None:
        msg = f"the demo's anatomy comes from the package nilearn. {install_extra('demo')}"
        raise DataError(msg)
    file = Path(package.origin).parent / "datasets" / "data" / _FILE.format(name)
    if not file.is_file():
        msg = f"the installed nilearn lacks {file.name}; install another: pip install -U nilearn"
        raise DataError(msg)
    return itk.imread(str(file), itk.F)


def _point_to_index(image: Image) -> Points:
    matrix = np.linalg.inv(voxel_axes(image))[::-1]
    return np.column_stack([matrix, -matrix @ np.asarray(image.GetOrigin())])


def _inside(
    ellipsoid: tuple[tuple[float, ...], tuple[float, ...]], points: Points
) -> npt.NDArray[np.bool_]:
    centre, half_axes = ellipsoid
    scaled = (points - np.asarray(centre)) / np.asarray(half_axes)
    return np.asarray((scaled**2).sum(axis=-1) < 1)
