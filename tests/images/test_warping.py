# SPDX-License-Identifier: Apache-2.0
"""Displacements: sampled, composed, inverted, and their folding."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from support.metric_images import empty_image
from support.metric_images import points_of
from support.metric_images import subject


def grid(dimension: int = 3) -> Any:
    size, spacing = (30, 34, 32)[:dimension], (1.0, 0.8, 1.2)[:dimension]
    return empty_image(size, spacing=spacing, angle=0.5)


def bump(points: NDArray[np.float64], *, height: float, width: float = 6.0) -> NDArray[np.float64]:
    """Return a displacement that is greatest at the origin and zero at the grid's border."""
    near = np.exp(-(points**2).sum(axis=-1) / (2 * width**2))
    found: NDArray[np.float64] = (
        height * near[..., np.newaxis] * np.array([0.8, -0.6, 0.5])[: points.shape[-1]]
    )
    return found


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_transform_is_sampled_along_the_patients_axes(dimension: int) -> None:
    fixed = grid(dimension)
    affine = itk.AffineTransform[itk.D, dimension].New()
    matrix = np.eye(dimension) + 0.1 * np.arange(dimension**2).reshape(dimension, dimension)
    affine.SetMatrix(itk.matrix_from_array(matrix))
    affine.SetOffset(list(range(1, dimension + 1)))
    points = points_of(fixed)
    expected = points @ matrix.T + np.arange(1, dimension + 1) - points
    np.testing.assert_allclose(warping.displacement_of(affine, fixed), expected, atol=1e-4)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_displacement_and_its_transform_agree(dimension: int) -> None:
    fixed = grid(dimension)
    displacement = bump(points_of(fixed), height=3.0)
    transform = warping.displacement_transform(displacement, fixed)
    np.testing.assert_allclose(warping.displacement_of(transform, fixed), displacement, atol=1e-5)
    centre = points_of(fixed)[(10,) * dimension]
    moved = warping.map_points(transform, centre[np.newaxis])
    expected = centre + displacement[(10,) * dimension]
    np.testing.assert_allclose(moved[0], expected, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_composition_is_that_of_itk(dimension: int) -> None:
    fixed = grid(dimension)
    points = points_of(fixed)
    first, then = bump(points, height=3.0), bump(points - 2.0, height=-2.0)
    transforms = [warping.displacement_transform(field, fixed) for field in (then, first)]
    both = warping.composite_transform(transforms, dimension)
    expected = warping.displacement_of(both, fixed)
    np.testing.assert_allclose(warping.composed(first, then, fixed), expected, atol=1e-4)


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_inverse_leads_back(dimension: int) -> None:
    fixed = grid(dimension)
    there = bump(points_of(fixed), height=4.0)
    back = warping.inverted(there, fixed)
    for one, other in ((there, back), (back, there)):
        rest = np.linalg.norm(warping.composed(one, other, fixed), axis=-1)
        assert rest.max() < 0.15
        assert rest.mean() < 0.01
    assert np.linalg.norm(back, axis=-1).max() > 3.0


@pytest.mark.parametrize("dimension", [2, 3])
def test_what_magnifies_threefold_is_inverted(dimension: int) -> None:
    fixed = grid(dimension)
    points = points_of(fixed)
    # Three times around the origin, a tenth at 7 mm from it, nothing at the border.
    there = 2.0 * points * np.exp(-(points**2).sum(axis=-1, keepdims=True) / (2 * 4.0**2))
    determinant = warping.jacobian_determinant(there, fixed)
    assert determinant.max() > 2.0**dimension
    assert determinant.min() > 0
    back = warping.inverted(there, fixed)
    rest = np.linalg.norm(warping.composed(back, there, fixed), axis=-1)
    assert rest.max() < 0.01


def test_displacement_of_another_grid_or_not_finite_is_an_error() -> None:
    fixed = grid()
    with pytest.raises(DataError, match=r"shape \(5, 5, 5, 3\) and must have \(32, 34, 30, 3\)"):
        warping.displacement_transform(np.zeros((5, 5, 5, 3)), fixed)
    with pytest.raises(DataError, match="NaN or infinite"):
        warping.displacement_transform(np.full((32, 34, 30, 3), np.nan), fixed)


@pytest.mark.parametrize("dimension", [2, 3])
def test_folding_of_known_maps_on_a_turned_grid(dimension: int) -> None:
    fixed = grid(dimension)
    points = points_of(fixed)

    def determinant(displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        return warping.jacobian_determinant(displacement, fixed)

    mirrored = points * [-2.0, 0.0, 0.0][:dimension]
    half = np.where(points[..., :1] > 0, mirrored, 0.0)
    np.testing.assert_allclose(determinant(np.zeros_like(points)), 1.0)
    np.testing.assert_allclose(determinant(0.5 * points), 1.5**dimension)
    np.testing.assert_allclose(determinant(mirrored), -1.0)
    assert warping.folded_share(determinant(0.5 * points)) == 0.0
    assert warping.folded_share(determinant(mirrored)) == 1.0
    assert warping.folded_share(determinant(half)) == pytest.approx(0.5, abs=0.06)
    # Of two slices, all voxels are outermost.
    assert warping.folded_share(determinant(mirrored)[:2]) == 1.0


def test_labels_keep_their_numbers_and_images_are_interpolated() -> None:
    image = subject("T1", size=(30, 34, 32), spacing=(1.0, 0.8, 1.2), angle=0.5)
    shift = itk.TranslationTransform[itk.D, 3].New()
    shift.SetOffset([0.4, 0.0, 0.0])
    values = itk.array_from_image(warping.resample_image(image, image, shift))
    labels = itk.cast_image_filter(image, ttype=[type(image), itk.Image[itk.SS, 3]])
    itk.array_view_from_image(labels)[:] = 7 * (itk.array_view_from_image(image) > 0.3)
    found = itk.array_from_image(warping.resample_labels(labels, image, shift))
    assert set(np.unique(found)) == {0, 7}
    assert not set(np.unique(values)) <= set(np.unique(itk.array_view_from_image(image)))


def test_no_points_are_mapped_to_no_points() -> None:
    identity = itk.IdentityTransform[itk.D, 3].New()
    assert warping.map_points(identity, np.empty((0, 3))).shape == (0, 3)
