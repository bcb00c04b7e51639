# SPDX-License-Identifier: Apache-2.0
"""Folders of DICOM files are read as images, or refused."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.images.conversion import as_itk
from cnnmetric.images.files import read_image
from support.training_images import write_series

ARRAY = np.random.default_rng(1).integers(0, 2000, (6, 8, 7)).astype(np.int16)
SPACING, ORIGIN = (1.0, 1.5, 2.0), (10.0, -20.0, 5.0)


def write(folder: Path, *, uid: str = "1.2.3", description: str = "") -> Path:
    return write_series(
        folder, ARRAY, spacing=SPACING, origin=ORIGIN, uid=uid, description=description
    )


def test_a_series_is_an_image(tmp_path: Path) -> None:
    image = as_itk(str(write(tmp_path / "scan")), role="fixed image").image
    np.testing.assert_array_equal(itk.array_from_image(image), ARRAY)
    assert tuple(image.GetSpacing()) == SPACING
    assert tuple(image.GetOrigin()) == ORIGIN


def test_of_several_series_one_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, uid="1.2.3", description="T1 axial")
    write(tmp_path, uid="1.2.4", description="T2 axial")
    (tmp_path / "1.2.4.005.dcm").unlink()
    with pytest.raises(DataError) as raised:
        read_image(tmp_path)
    message = str(raised.value)
    assert "holds 2 DICOM series, of which one is meant" in message
    assert "(MR T1 axial, 6 files)" in message
    assert "(MR T2 axial, 5 files)" in message
    assert itk.size(read_image(f"{tmp_path}#1.2.4"))[2] == 5
    with pytest.raises(DataError, match=r"of which 2 begin with 1\.2"):
        read_image(f"{tmp_path}#1.2")
    assert capfd.readouterr() == ("", "")


def test_a_missing_slice_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (write(tmp_path) / "1.2.3.003.dcm").unlink()
    with pytest.raises(DataError, match=r"not evenly spaced, by up to 1\.50 mm: is a file missing"):
        read_image(tmp_path)
    assert capfd.readouterr() == ("", "")  # ITK's own warning would be the second one


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    folder = write_series(tmp_path, ARRAY, spacing=SPACING, shift=0.7)
    with pytest.raises(DataError, match=r"axes of the image .* are not at right angles .* gantry"):
        read_image(folder)


def test_a_folder_without_dicom_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="holds no DICOM series; name an image file"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="there is no image file"):
        read_image(tmp_path / "none#1.2")
    assert capfd.readouterr() == ("", "")
