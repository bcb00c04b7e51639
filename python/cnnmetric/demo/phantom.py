# SPDX-License-Identifier: Apache-2.0
"""Two subjects made from one anatomy: a T1 image and a T2 image whose true relation is known.

Each subject is the template under a deformation of its own, scanned with its own voxel size,
orientation, contrast, texture, bias field, partial volume, blur and noise, and skull-stripped (the
shipped model is trained on brain-only images).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import itk
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cnnmetric.demo.anatomy import FLUID
from cnnmetric.demo.anatomy import GREY
from cnnmetric.demo.anatomy import WHITE
from cnnmetric.demo.anatomy import Anatomy
from cnnmetric.demo.anatomy import Points
from cnnmetric.demo.anatomy import Volume
from cnnmetric.demo.deformation import Deformation
from cnnmetric.demo.deformation import random_deformation
from cnnmetric.demo.deformation import smooth_noise
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.types import Image
from cnnmetric.types import LabelMap

# T2-weighted signal of each tissue (CSF = 1), of the order of a fast spin echo at 3 T.
_T2_SIGNAL = {GREY: 0.60, WHITE: 0.40, FLUID: 1.00}
# How strongly T1 detail within a tissue (myelin) shows, with opposite sign, in the T2 image.
_SHARED_DETAIL = 0.5
_TEXTURE, _TEXTURE_WIDTH = 0.05, 4.0  # relative, mm: detail that the two subjects do not share
_BIAS, _BIAS_WIDTH, _BIAS_PITCH = 0.12, 40.0, 10.0  # SD of the logarithm, mm, mm
_NOISE = 0.025  # standard deviation of each channel, relative to the brightest tissue
_BLUR = 0.45  # voxels within the slice
_MARGIN = 10.0  # mm of air around the brain
_BRAIN_SIZE = (146.0, 182.0, 156.0)  # mm, patient x, y, z
_SCANNER_UNITS = 1000.0
_LANDMARK_PITCH = 6.0  # mm


@dataclass(frozen=True)
class Scan:
    """How a subject is acquired.

    Attributes
    ----------
    axes
        Patient axis (0 x, 1 y, 2 z) of each image axis; the last image axis is across slices.
    spacing
        Voxel size along the image axes, mm.
    tilt
        Rotation of the whole field of view about the patient's x axis, degrees.
    """

    axes: tuple[int, int, int]
    spacing: tuple[float, float, float]
    tilt: float


@dataclass(frozen=True)
class Subject:
    """One scanned subject: ITK image of floats, ITK label map of shorts, and its deformation."""

    image: Image
    labels: LabelMap
    deformation: Deformation


@dataclass(frozen=True)
class Phantom:
    """A T1 subject (fixed), a T2 subject (moving), and points that correspond.

    Attributes
    ----------
    fixed_points, moving_points
        Shape (n, 3), patient coordinates in mm: the same anatomical places in both subjects.
    """

    fixed: Subject
    moving: Subject
    fixed_points: Points
    moving_points: Points


def make_phantom(anatomy: Anatomy, *, seed: int) -> Phantom:
    """Make the two subjects; the same seed gives the same voxels."""
    rng = np.random.default_rng(seed)
    fixed = _subject(
        anatomy,
        rng,
        scan=Scan(axes=(1, 2, 0), spacing=(1.0, 1.0, 1.2), tilt=0.0),
        deformation=random_deformation(
            rng,
            centre=np.array([3.0, -12.0, 8.0]),
            target=anatomy.centre,
            rotation=(1.5, -1.0, 1.5),
            scale=1.015,
        ),
        contrast=_t1_contrast,
    )
    moving = _subject(
        anatomy,
        rng,
        scan=Scan(axes=(0, 1, 2), spacing=(0.9, 0.9, 1.8), tilt=8.0),
        deformation=random_deformation(
            rng,
            centre=np.array([1.0, -9.0, 11.0]),
            target=anatomy.centre,
            rotation=(-2.0, 1.0, -2.0),
            scale=0.98,
        ),
        contrast=_t2_contrast,
    )
    fixed_points = _landmarks(fixed.labels)
    moving_points = moving.deformation.inverse(fixed.deformation(fixed_points))
    return Phantom(fixed, moving, fixed_points, moving_points)


def index_to_point(image: Image) -> Points:
    """Return the affine matrix, d x (d + 1), from index (x, y, z) to patient coordinates in mm."""
    matrix = voxel_axes(image)
    return np.column_stack([matrix, np.asarray(image.GetOrigin())])


def _subject(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    scan: Scan,
    deformation: Deformation,
    contrast: Any,
) -> Subject:
    labels = _empty_image(scan, deformation.centre)
    spacing = np.asarray(scan.spacing)[::-1]
    to_point = index_to_point(labels)
    label_voxels = itk.array_view_from_image(labels)

    at_centre = deformation(_voxel_centres(label_voxels.shape, to_point))
    near = ndimage.binary_dilation(anatomy.sample(anatomy.brain, at_centre) > 0, iterations=2)
    at_centre = at_centre[near]
    fractions = np.stack([anatomy.sample(tissue, at_centre) for tissue in anatomy.fractions])
    label_voxels[near] = anatomy.labels(fractions, at_centre)

    # A thick slice averages over the tissue that it cuts (partial volume).
    template = contrast(anatomy, rng)
    signal, brain = np.zeros((2, *near.shape), dtype=np.float32)
    slice_samples = round(scan.spacing[2])
    for sample in range(slice_samples):
        offset = (sample + 0.5) / slice_samples - 0.5
        points = deformation(_voxel_centres(near.shape, to_point, slice_offset=offset)[near])
        signal[near] += anatomy.sample(template, points) / slice_samples
        brain[near] += anatomy.sample(anatomy.brain, points) / slice_samples

    signal = ndimage.gaussian_filter(signal, (0.0, _BLUR, _BLUR))
    signal *= _bias_field(rng, near.shape, spacing)
    noise = _NOISE * rng.standard_normal((2, *near.shape), dtype=np.float32)
    signal = np.hypot(signal + noise[0], noise[1])  # magnitude of a complex signal: Rician
    image = itk.image_from_array(_SCANNER_UNITS * signal * (brain > 0.5))
    image.CopyInformation(labels)
    return Subject(image, labels, deformation)


def _bias_field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: npt.NDArray[np.float64]
) -> Volume:
    """Return a smooth positive factor per voxel, drawn on a coarse lattice and interpolated."""
    coarse = np.ceil(np.asarray(shape) * spacing / _BIAS_PITCH).astype(int)
    logarithm = _BIAS * smooth_noise(rng, tuple(coarse), _BIAS_WIDTH / _BIAS_PITCH)
    return np.asarray(np.exp(ndimage.zoom(logarithm, np.asarray(shape) / coarse, order=3)))


def _t1_contrast(anatomy: Anatomy, rng: np.random.Generator) -> Volume:
    return anatomy.t1 * _texture(anatomy, rng)


def _t2_contrast(anatomy: Anatomy, rng: np.random.Generator) -> Volume:
    inside = anatomy.brain > 0
    fractions = anatomy.fractions[:, inside].T
    t1 = anatomy.t1[inside]
    tissue_means = np.linalg.lstsq(fractions, t1, rcond=None)[0]
    t2 = np.zeros_like(anatomy.t1)
    signal = np.array([_T2_SIGNAL[tissue] for tissue in (GREY, WHITE, FLUID)], dtype=np.float32)
    detail = t1 - fractions @ tissue_means
    t2[inside] = np.clip(fractions @ signal - _SHARED_DETAIL * detail, 0.05, None)
    return t2 * _texture(anatomy, rng)


def _texture(anatomy: Anatomy, rng: np.random.Generator) -> Volume:
    return 1 + _TEXTURE * smooth_noise(rng, anatomy.t1.shape, _TEXTURE_WIDTH)


def _empty_image(scan: Scan, centre: Points) -> Image:
    angle = np.deg2rad(scan.tilt)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    direction = tilt @ np.eye(3)[:, list(scan.axes)]
    extent = (np.asarray(_BRAIN_SIZE) + 2 * _MARGIN)[list(scan.axes)]
    size = np.ceil(extent / scan.spacing).astype(int)
    image = itk.image_from_array(np.zeros(size[::-1], dtype=np.int16))
    image.SetSpacing(scan.spacing)
    image.SetDirection(direction)
    image.SetOrigin(centre - direction @ ((size - 1) / 2 * scan.spacing))
    return image


def _voxel_centres(
    shape: tuple[int, ...], to_point: Points, *, slice_offset: float = 0.0
) -> Points:
    """Return patient coordinates, shape (z, y, x, 3), of all voxels of an array of ``shape``."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.asarray(
        x[..., None] * to_point[:, 0]
        + y[..., None] * to_point[:, 1]
        + (z[..., None] + slice_offset) * to_point[:, 2]
        + to_point[:, 3]
    )


def _landmarks(labels: LabelMap) -> Points:
    """Return the centres of voxels inside the brain on a regular lattice."""
    voxels = itk.array_view_from_image(labels)
    step = np.maximum(1, np.round(_LANDMARK_PITCH / np.asarray(labels.GetSpacing()))).astype(int)
    lattice = voxels[:: step[2], :: step[1], :: step[0]]
    index = np.argwhere(lattice > 0)[:, ::-1] * step
    to_point = index_to_point(labels)
    return np.asarray(index @ to_point[:, :3].T + to_point[:, 3])
