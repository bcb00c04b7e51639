# SPDX-License-Identifier: Apache-2.0
"""Random smooth deformations that are known exactly and can be inverted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cnnmetric.demo.anatomy import Points

_PITCH = 2.0  # mm between the nodes of the displacement lattice
_HALF_WIDTH = 120.0  # mm from the centre to the sides of the lattice
# (width of the Gaussian, standard deviation of each component), both in mm: the shape of the head,
# and the shape and place of single structures.
_SCALES = ((25.0, 1.8), (11.0, 1.0))
_INVERSION_STEPS = 60
_LARGEST_SLOPE = 0.85


@dataclass(frozen=True)
class Deformation:
    """The map ``phi(x) = c' + s R (x - c + u(x))`` from a subject to the template, in mm.

    In 2D or 3D, d below. ``u`` is linear along every axis between the nodes of a lattice. Its
    slopes stay so small that ``phi`` is one-to-one, so that fixed-point iteration finds the way
    back.

    Attributes
    ----------
    displacement
        ``u`` at the nodes, shape (d, n, n, n) or (d, n, n): component, then node, both x, y, z.
    matrix
        ``s R``, shape (d, d).
    centre
        ``c``, the subject's centre.
    target
        ``c'``, the template's centre.
    """

    displacement: npt.NDArray[np.float32]
    matrix: Points
    centre: Points
    target: Points

    def __call__(self, points: Points) -> Points:
        """Map subject points to template points; shape (..., d)."""
        return (points - self.centre + self._displacement_at(points)) @ self.matrix.T + self.target

    def inverse(self, points: Points) -> Points:
        """Map template points to subject points; shape (..., d)."""
        undone = (points - self.target) @ np.linalg.inv(self.matrix).T + self.centre
        found = undone
        for _ in range(_INVERSION_STEPS):
            found = undone - self._displacement_at(found)
        return found

    def _displacement_at(self, points: Points) -> Points:
        node = np.moveaxis((points - self.centre + _HALF_WIDTH) / _PITCH, -1, 0)
        components = [
            ndimage.map_coordinates(u, node, order=1, mode="nearest") for u in self.displacement
        ]
        return np.stack(components, axis=-1).astype(float)


def random_deformation(
    rng: np.random.Generator,
    *,
    centre: Points,
    target: Points,
    rotation: tuple[float, ...],
    scale: float,
) -> Deformation:
    """Draw a deformation.

    Parameters
    ----------
    rng
        Source of the random displacement.
    centre, target
        Centre of the subject and of the template, patient coordinates, mm; 2D or 3D.
    rotation
        Angles about the patient's x, y and z axis, degrees; in 2D, the one in the plane.
    scale
        Size of the template relative to the subject.
    """
    nodes = round(2 * _HALF_WIDTH / _PITCH) + 1
    dimension = len(centre)
    displacement = np.zeros((dimension, *[nodes] * dimension), dtype=np.float32)
    for width, deviation in _SCALES:
        for component in displacement:
            component += deviation * smooth_noise(rng, component.shape, width / _PITCH)
    displacement *= min(1.0, _LARGEST_SLOPE / _steepest_slope(displacement))
    return Deformation(displacement, scale * _rotation_matrix(rotation), centre, target)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], width: float
) -> npt.NDArray[np.float32]:
    """Return noise of mean 0 and variance 1, filtered with a Gaussian of ``width`` voxels."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, width, mode="wrap", truncate=3.0)
    return np.asarray((noise - noise.mean()) / noise.std(), dtype=np.float32)


def _steepest_slope(displacement: npt.NDArray[np.float32]) -> float:
    """Return a bound of the norm of ``u``'s gradient; below 1, ``x + u(x)`` is one-to-one."""
    axes = range(1, displacement.ndim)
    slopes = [np.diff(displacement, axis=axis) / _PITCH for axis in axes]
    largest = [np.sqrt((slope**2).sum(axis=0)) for slope in slopes]
    common = tuple(slice(min(shape)) for shape in zip(*(a.shape for a in largest), strict=True))
    squares = sum(a[common] ** 2 for a in largest)
    return float(np.sqrt(np.max(squares)))


def _rotation_matrix(angles: tuple[float, ...]) -> Points:
    if len(angles) == 1:
        return _rotation_matrix((0.0, 0.0, *angles))[:2, :2]
    x, y, z = np.deg2rad(angles)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)
