# SPDX-License-Identifier: Apache-2.0
"""Images are written in formats that keep where they lie, and in no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.images.writing import write_image


def oblique(dimension: int, dtype: type[np.generic]) -> Any:
    values = np.random.default_rng(1).integers(-9, 999, (4, 5, 6)[:dimension])
    image = itk.image_from_array(values.astype(dtype))
    turn = np.eye(dimension)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    image.SetDirection(itk.matrix_from_array(turn))
    image.SetSpacing([1.0, 1.5, 2.0][:dimension])
    image.SetOrigin([-3.0, 4.0, 5.5][:dimension])
    return image


@pytest.mark.parametrize(
    "suffix",
    [
        *(".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".nhdr"),
        *(".hdr", ".img", ".hdr.gz", ".img.gz", ".mnc", ".h5", ".hdf5"),
    ],
)
def test_what_is_written_lies_where_it_did(suffix: str, tmp_path: Path) -> None:
    for dimension, dtype in ((3, np.float32), (3, np.int16), (2, np.float32)):
        image = oblique(dimension, dtype)
        file = tmp_path / f"a{suffix}"
        write_image(image, file, overwrite=True)
        found = itk.imread(str(file))
        np.testing.assert_array_equal(itk.array_from_image(found), itk.array_from_image(image))
        for get in (itk.origin, itk.spacing):
            np.testing.assert_allclose(get(found), get(image), atol=1e-5)
        np.testing.assert_allclose(
            itk.array_from_matrix(found.GetDirection()),
            itk.array_from_matrix(image.GetDirection()),
            atol=1e-5,
        )


@pytest.mark.parametrize(
    "name", ["a.vtk", "a.gipl", "a.mrc", "a.tif", "a.dcm", "a.png", "a.mgz", "a.NII.GZ", "a"]
)
def test_other_formats_are_refused(name: str, tmp_path: Path) -> None:
    message = rf"no image can be written to .*{name}: .* name a file that ends in \.nii\.gz, "
    for dimension in (2, 3):
        with pytest.raises(SettingsError, match=message):
            write_image(oblique(dimension, np.int16), tmp_path / name)
    assert not list(tmp_path.iterdir())
