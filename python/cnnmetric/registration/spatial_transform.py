# SPDX-License-Identifier: Apache-2.0
"""A transform between two images, and what it can be applied to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.images.arrays import number_outside
from cnnmetric.images.conversion import as_itk
from cnnmetric.registration import elastix_transforms
from cnnmetric.types import Image
from cnnmetric.types import Points
from cnnmetric.types import Transform
from cnnmetric.types import VectorImage

# Of the images that ITK's packages have.
_LABEL_TYPES = tuple(map(np.dtype, (np.int16, np.uint8, np.uint16, np.int32, np.uint32)))


@dataclass(frozen=True, kw_only=True)
class Jacobian:
    """The determinant of a transform's derivative: how much it magnifies, place by place.

    Attributes
    ----------
    determinant
        ITK image of ``det J_T`` on the grid of the target image; below 0 where it folds.
    folded
        Share of the voxels, without the outermost, at which ``det J_T <= 0``.
    """

    determinant: Image
    folded: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SpatialTransform:
    """A transform T from the points of a target image to those of a source image.

    ITK's convention: an image of the source is resampled on the grid of the target by looking up
    T(x) for every voxel x; points go the other way, from target to source. All positions are in mm
    along the patient's axes (ITK x, y, z).

    Attributes
    ----------
    transforms
        ITK transforms, of which the last is applied first.
    target, source
        ITK images; only their grids matter.
    """

    transforms: tuple[Transform, ...]
    target: Image
    source: Image

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return int(self.target.GetImageDimension())

    @cached_property
    def transform(self) -> Transform:
        """All transforms as one: an ``itk.CompositeTransform`` of doubles."""
        return warping.composite_transform(self.transforms, self.dimension)

    @cached_property
    def displacement(self) -> VectorImage:
        """``T(x) - x`` in mm at every voxel of the target image, as ITK image of vectors.

        For ``itk.warp_image_filter``, and as a NIfTI file for ANTs, 3D Slicer and ITK-SNAP.
        """
        found = warping.displacement_of(self.transform, self.target)
        return warping.vector_image(found, self.target)

    def jacobian(self) -> Jacobian:
        """Return the determinant of the derivative, and the share of folding."""
        return self._jacobian

    @cached_property
    def _jacobian(self) -> Jacobian:
        displacement = itk.array_view_from_image(self.displacement)
        determinant = warping.jacobian_determinant(displacement, self.target)
        image = image_like(determinant.astype(np.float32), self.target)
        return Jacobian(determinant=image, folded=warping.folded_share(determinant))

    def apply(self, given: Any, *, labels: bool = False) -> Any:
        """Apply the transform to an image, a label map or points.

        Parameters
        ----------
        given
            An image in the space of the source, of any kind that :func:`cnnmetric.register` takes,
            or points in the space of the target: an array or list of shape (n, dimension), in
            mm, or what :func:`cnnmetric.read_points` returns.
        labels
            The image is a label map: nearest neighbour, and whole numbers as they are.

        Returns
        -------
        image, numpy.ndarray or PointSet
            Of an image: the same kind of image on the grid of the target, interpolated linearly, 0
            where the source has nothing. Of points: T(x) of each, in the space of the source.

        Raises
        ------
        DataError
            If the image cannot be used, a label is no whole number, or the points are of another
            shape.
        """
        if isinstance(given, PointSet):
            return given.moved(self.apply(given.positions))
        if isinstance(given, (np.ndarray, list)):
            return warping.map_points(self.transform, self._points(np.asarray(given)))
        if labels:
            return self._apply_to_labels(given)
        image = as_itk(given, role="image to transform")
        self._check_dimension(image.image)
        found = warping.resample_image(image.image, self.target, self.transform)
        _warn_if_lost(image.image, found)
        return image.restore(found)

    def inverse(self) -> SpatialTransform:
        """Return the transform from the source to the target.

        The linear part is inverted exactly, the deformation by iteration on the target's grid
        (:func:`cnnmetric.images.warping.inverted`), where it does not fold. It is interpolated
        between voxels, which a strong deformation shows by a tenth of a voxel. Outside of the
        target's grid only the linear part acts.
        """
        linear = [t for t in self.transforms if elastix_transforms.is_linear(t)]
        forward = elastix_transforms.affine_of(
            warping.composite_transform(linear, self.dimension), self.dimension
        )
        back = itk.AffineTransform[itk.D, self.dimension].New()
        forward.GetInverse(back)
        transforms = [back]
        if len(linear) < len(self.transforms):
            # T = forward after (x + u), so that T inverse = (x + v) after back.
            together = warping.composite_transform([back, *self.transforms], self.dimension)
            deformation = warping.displacement_of(together, self.target)
            inverse = warping.inverted(deformation, self.target)
            transforms.insert(0, warping.displacement_transform(inverse, self.target))
        return _Inverse(transforms=tuple(transforms), target=self.source, source=self.target)

    def number_outside(self, points: Points) -> int:
        """Return how many points lie where only the linear part of the transform acts.

        They are outside of the image that the deformation is known on.

        Parameters
        ----------
        points
            Of shape (n, dimension), in mm, in the space of the target.
        """
        return number_outside(points, self.target)

    def _apply_to_labels(self, given: Any) -> Any:
        role = "label map to transform"
        labels = as_itk(given, role=role, dtype=np.float64)
        self._check_dimension(labels.image)
        values = itk.array_view_from_image(labels.image)
        if not np.array_equal(values, np.round(values)):
            msg = f"the {role} holds values that are not whole numbers; leave out labels=True"
            raise DataError(msg)
        resampled = warping.resample_labels(labels.image, self.target, self.transform)
        _warn_if_lost(labels.image, resampled)
        return labels.restore(_as_whole_numbers(resampled, labels.dtype))

    def _check_dimension(self, image: Image) -> None:
        if image.GetImageDimension() != self.dimension:
            msg = (
                f"the image to transform is {image.GetImageDimension()}D and the transform "
                f"{self.dimension}D"
            )
            raise DataError(msg)

    def _points(self, given: Points) -> Points:
        if given.ndim != 2 or given.shape[1] != self.dimension or given.dtype.kind not in "iuf":
            msg = (
                f"an array of shape {given.shape} was given; points have the shape "
                f"(n, {self.dimension}), and an image is given as (array, voxel size)"
            )
            raise DataError(msg)
        if not np.isfinite(given).all():
            msg = "the points have NaN or infinite coordinates; leave these out"
            raise DataError(msg)
        return given.astype(float)


class _Inverse(SpatialTransform):
    """The inverse of a transform, whose deformation is known on the grid of its source.

    The linear part, which is applied first, brings points there.
    """

    def number_outside(self, points: Points) -> int:
        return number_outside(warping.map_points(self.transforms[-1], points), self.source)


def _warn_if_lost(given: Image, found: Image) -> None:
    """Warn if an image that shows something shows nothing on the grid of the target."""
    if np.any(itk.array_view_from_image(given)) and not np.any(itk.array_view_from_image(found)):
        warnings.warn(
            "nothing of the image to transform lies where the transform looks, so that the result "
            "is 0 everywhere; check that it is in the space of the transform's source: of the "
            "moving image, or with the inverse of the fixed image",
            stacklevel=3,
        )


def _as_whole_numbers(image: Image, dtype: np.dtype[Any]) -> Image:
    """Return an image of the given integer type, or of the first one that holds all its values."""
    array = itk.array_view_from_image(image)
    for kind in (dtype, *_LABEL_TYPES):
        if np.dtype(kind) in _LABEL_TYPES:
            limits = np.iinfo(kind)
            if limits.min <= array.min() and array.max() <= limits.max:
                return image_like(array.astype(kind), image)
    return image
