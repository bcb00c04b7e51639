# SPDX-License-Identifier: Apache-2.0
"""NIfTI files whose header places the image twice."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat
from numpy.typing import NDArray

from cnnmetric.images.files import read_image

TILTED = from_matvec(euler2mat(0.3, -0.2, 0.1) @ np.diag([-1.0, 1.1, 1.2]), [5.0, -7.0, 9.0])


def write(
    file: Path, qform: NDArray[np.float64], sform: NDArray[np.float64], codes: tuple[int, int]
) -> Path:
    image = nibabel.Nifti1Image(np.zeros((10, 11, 12), dtype=np.float32), np.eye(4))
    image.set_qform(qform, codes[0])
    image.set_sform(sform, codes[1])
    nibabel.save(image, file)
    return file


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(("codes", "taken"), [((1, 2), "qform"), ((1, 1), "sform")])
def test_two_places_are_told(name: str, codes: tuple[int, int], taken: str, tmp_path: Path) -> None:
    moved = TILTED.copy()
    moved[:3, 3] += [3.0, 0.0, 4.0]
    file = write(tmp_path / name, TILTED, moved, codes)
    with pytest.warns(UserWarning, match=rf"up to 5\.0 mm apart; taken is the {taken}"):
        image = read_image(file)
    place = TILTED if taken == "qform" else moved
    np.testing.assert_allclose(image.GetOrigin(), place[:3, 3] * [-1, -1, 1], atol=1e-4)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (1, 2)])
def test_one_place_is_none_of_them(codes: tuple[int, int], tmp_path: Path) -> None:
    other = np.eye(4) if 0 in codes else TILTED
    qform, sform = (other, TILTED) if codes[0] == 0 else (TILTED, other)
    file = write(tmp_path / "a.nii.gz", qform, sform, codes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(file)
