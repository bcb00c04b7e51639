# SPDX-License-Identifier: Apache-2.0
"""The one call takes images of every kind, and refuses what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.registration.result import RegistrationResult
from support.known_pair import LANDMARK
from support.known_pair import QUICK
from support.known_pair import as_file
from support.known_pair import as_simpleitk
from support.metric_images import anatomy
from support.metric_images import empty_image
from support.metric_images import points_of


@pytest.mark.parametrize("kind", ["file", "simpleitk", "nibabel", "bytes", "start index"])
def test_every_kind_of_image_gives_the_same(
    kind: str,
    fixed: Any,
    moving: Any,
    rigid: RegistrationResult,
    difference_model: Path,
    tmp_path: Path,
) -> None:
    given: Any
    if kind == "file":
        given = as_file(fixed, tmp_path / "fixed.nii.gz"), tmp_path / "moving.nrrd"
        as_file(moving, given[1])
    elif kind == "simpleitk":
        given = as_simpleitk(fixed), as_simpleitk(moving)
    elif kind == "nibabel":
        files = [as_file(image, tmp_path / f"{n}.nii") for n, image in enumerate((fixed, moving))]
        given = tuple(map(nibabel.load, files))
    elif kind == "bytes":
        given = tuple(
            itk.cast_image_filter(
                itk.multiply_image_filter(image, constant=250.0),
                ttype=[type(image), itk.Image[itk.UC, 3]],
            )
            for image in (fixed, moving)
        )
    else:
        padded = itk.constant_pad_image_filter(
            moving, pad_lower_bound=[3, 2, 1], pad_upper_bound=[1, 1, 1]
        )
        given = fixed, padded
        assert any(given[1].GetBufferedRegion().GetIndex())
    # The initial centre of a padded image lies elsewhere, and it takes many patches to end at the
    # same place from there.
    settings = QUICK | ({"grid_spacing": 1.0} if kind == "start index" else {})
    result = cnnmetric.register(*given, model=difference_model, **settings)
    if kind == "start index":
        rigid = cnnmetric.register(fixed, moving, model=difference_model, **settings)
    found, expected = result.apply(LANDMARK), rigid.apply(LANDMARK)
    # Bytes are coarser.
    tolerance = {"bytes": 0.1, "start index": 0.1}.get(kind, 2e-3)
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_warped_is_of_the_kind_of_the_fixed_image(
    fixed: Any, moving: Any, rigid: RegistrationResult, difference_model: Path, tmp_path: Path
) -> None:
    expected = itk.array_from_image(rigid.warped)
    assert itk.size(rigid.warped) == itk.size(fixed)
    np.testing.assert_allclose(
        np.asarray(rigid.warped.GetDirection()), np.asarray(fixed.GetDirection())
    )
    of_simpleitk = cnnmetric.register(
        as_simpleitk(fixed), moving, model=difference_model, **QUICK
    ).warped
    assert isinstance(of_simpleitk, SimpleITK.Image)
    np.testing.assert_allclose(of_simpleitk.GetOrigin(), tuple(fixed.GetOrigin()))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(of_simpleitk), expected, atol=0.02)
    volume = nibabel.load(as_file(fixed, tmp_path / "fixed.nii"))
    of_nibabel = cnnmetric.register(volume, moving, model=difference_model, **QUICK).warped
    np.testing.assert_allclose(of_nibabel.affine, volume.affine, atol=1e-4)
    np.testing.assert_allclose(np.asarray(of_nibabel.dataobj).T, expected, atol=0.02)


def test_arrays_come_with_their_voxel_size(difference_model: Path) -> None:
    def volume(shift: float) -> NDArray[np.float32]:
        image = empty_image((40, 44, 36), spacing=(1.2, 1.0, 1.1), angle=0.0)
        return anatomy(points_of(image) - [shift, 0.0, 0.0], modality="T1")

    pair = ((volume(0.0), (1.2, 1.0, 1.1)), (volume(3.0), (1.2, 1.0, 1.1)))
    result = cnnmetric.register(*pair, model=difference_model, **QUICK)
    assert isinstance(result.warped, np.ndarray)
    assert result.warped.shape == (36, 44, 40)
    middle = np.array([[23.4, 21.5, 19.25]])
    np.testing.assert_allclose(result.apply(middle) - middle, [[3.0, 0.0, 0.0]], atol=0.5)


def test_colour_and_vector_images_are_refused(
    fixed: Any, difference_model: Path, tmp_path: Path
) -> None:
    colours = itk.image_from_array(np.zeros((9, 9, 9, 3), dtype=np.uint8), is_vector=True)
    with pytest.raises(DataError, match="the moving image has 3 values a voxel"):
        cnnmetric.register(fixed, colours, model=difference_model)
    itk.imwrite(colours, str(tmp_path / "colours.nrrd"))
    with pytest.raises(DataError, match="has 3 values a voxel, as colour, complex and vector"):
        cnnmetric.register(fixed, tmp_path / "colours.nrrd", model=difference_model)
