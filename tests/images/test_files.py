# SPDX-License-Identifier: Apache-2.0
"""Files are read as what they hold, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from cnnmetric.images.overlap import overlap

ARRAY = np.random.default_rng(1).integers(1, 2000, (12, 11, 10)).astype(np.int16)


def write(file: Path, array: NDArray[Any]) -> Path:
    itk.imwrite(itk.image_from_array(array), str(file))
    return file


def halves(low: float, high: float, dtype: Any) -> NDArray[Any]:
    return np.where(np.arange(1000).reshape(10, 10, 10) < 500, low, high).astype(dtype)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "kept"),
    [
        (0, 32767, np.uint16, np.int16),
        (-3, 5, np.float32, np.int16),
        (1, 40000, np.uint16, np.float64),
        (1, 65537, np.int32, np.float64),
        (0, 2**32 - 1, np.uint32, np.float64),
    ],
)
def test_labels_keep_their_numbers(
    low: int, high: int, dtype: Any, kept: Any, tmp_path: Path
) -> None:
    array = halves(low, high, dtype)
    image = read_labels(write(tmp_path / "labels.mha", array))
    found = itk.array_from_image(image)
    assert found.dtype == kept
    np.testing.assert_array_equal(found, array)
    resampled = warping.resample_labels(image, image)
    assert overlap(resampled, image).dice == {label: 1.0 for label in (low, high) if label}


@pytest.mark.parametrize(
    ("low", "high", "dtype", "message"),
    [
        (1.2, 1.6, np.float32, r"not whole numbers, such as 1\.2; was it resampled"),
        (2, np.nan, np.float32, "NaN or infinite"),
        (2, np.inf, np.float64, "NaN or infinite"),
        (1, 1e17, np.float64, r"labels 1 to 100000000000000000.*number its labels anew"),
    ],
)
def test_labels_that_are_none(
    low: float, high: float, dtype: Any, message: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "labels.mha", halves(low, high, dtype))
    with pytest.raises(DataError, match=rf"labels\.mha .*{message}"):
        read_labels(file)


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("pixel", [itk.RGBPixel[itk.UC], itk.complex[itk.F]])
def test_several_values_a_voxel(pixel: Any, name: str, tmp_path: Path) -> None:
    image = itk.Image[pixel, 3].New()
    image.SetRegions([5, 5, 5])
    image.Allocate(True)
    itk.imwrite(image, str(tmp_path / name))
    for read in (read_image, read_labels):
        with pytest.raises(DataError, match=r"[23] values a voxel, as colour, complex"):
            read(tmp_path / name)


@pytest.mark.parametrize("share", [0.5, 0.999])
@pytest.mark.parametrize(
    "name",
    ["a.nii", "a.nii.gz", "a.hdr", "a.hdr.gz", "a.mha", "a.nrrd", "a.vtk", "a.gipl", "a.gipl.gz"],
)
def test_a_file_that_ends_too_early(name: str, share: float, tmp_path: Path) -> None:
    file = write(tmp_path / name, ARRAY)
    np.testing.assert_array_equal(itk.array_from_image(read_image(file)), ARRAY)
    largest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: int(share * len(content))])
    for read in (read_image, read_labels):
        with pytest.raises(DataError, match=rf"{tmp_path}/a\..*(ends|got only|too early)"):
            read(file)


def test_a_compressed_file_whose_content_ends_too_early(tmp_path: Path) -> None:
    file = write(tmp_path / "a.nii.gz", ARRAY)
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:2000]))
    with pytest.raises(DataError, match=r"a\.nii\.gz ends after 2000 bytes of 2992"):
        read_image(file)


def test_numbers_that_a_file_scales(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ARRAY.T, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    image.to_filename(tmp_path / "a.nii.gz")
    found = itk.array_from_image(read_image(tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(found, ARRAY * 0.5 + 3)


@pytest.mark.parametrize(
    ("one", "other"), [("nii.gz", "nii"), ("hdr.gz", "hdr"), ("hdr", "hdr.gz")]
)
def test_a_file_beside_another_of_its_name(one: str, other: str, tmp_path: Path) -> None:
    write(tmp_path / f"a.{other}", np.zeros_like(ARRAY))
    file = write(tmp_path / f"a.{one}", ARRAY)
    np.testing.assert_array_equal(itk.array_from_image(read_image(file)), ARRAY)
