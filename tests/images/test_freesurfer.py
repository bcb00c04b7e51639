# SPDX-License-Identifier: Apache-2.0
"""Images of FreeSurfer are read where their headers place them."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest

from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels

ARRAY = np.random.default_rng(1).integers(0, 100, (5, 6, 7)).astype(np.float32)
# FreeSurfer's usual axes: to the left, down, to the front.
AFFINE = np.array([[-1.0, 0, 0, 10], [0, 0, 2, -20], [0, -1.5, 0, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["x.mgz", "x.mgh"])
def test_the_same_as_nifti(tmp_path: Path, name: str) -> None:
    nibabel.save(nibabel.MGHImage(ARRAY, AFFINE), tmp_path / name)
    nibabel.save(nibabel.Nifti1Image(ARRAY, AFFINE), tmp_path / "x.nii.gz")
    found, wanted = read_image(tmp_path / name), read_image(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(found, wanted)
    for get in (itk.origin, itk.spacing):
        np.testing.assert_allclose(get(found), get(wanted), atol=1e-5)
    np.testing.assert_allclose(
        itk.array_from_matrix(found.GetDirection()), itk.array_from_matrix(wanted.GetDirection())
    )
    np.testing.assert_array_equal(read_labels(tmp_path / name), ARRAY.T)


def test_a_damaged_file(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(ARRAY, AFFINE), tmp_path / "x.mgz")
    (tmp_path / "cut.mgz").write_bytes((tmp_path / "x.mgz").read_bytes()[:300])
    (tmp_path / "text.mgz").write_text("nothing")
    for name in ("cut.mgz", "text.mgz"):
        with pytest.raises(DataError, match=f"{name} cannot be read as an image"):
            read_image(tmp_path / name)


def test_damage_that_nibabel_does_not_name(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(ARRAY, AFFINE), tmp_path / "x.mgh")
    plain = (tmp_path / "x.mgh").read_bytes()
    packed = bytearray(gzip.compress(plain))
    stream, checksum = packed.copy(), packed.copy()
    stream[20:40] = b"\xff" * 20
    checksum[-8] ^= 1
    damaged = {
        "stream": bytes(stream),
        "checksum": bytes(checksum),
        "type": gzip.compress(plain[:20] + b"\0\0\0\x63" + plain[24:]),
        "size": gzip.compress(plain[:4] + bytes(4) + plain[8:]),
        "version": gzip.compress(b"\0\0\0\x07" + plain[4:]),
        "short": gzip.compress(plain[:40]),
    }
    for name, content in damaged.items():
        (tmp_path / f"{name}.mgz").write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.mgz cannot be read as an image: \w"):
            read_image(tmp_path / f"{name}.mgz")


def test_without_nibabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mgz").touch()
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(CompatibilityError, match="-m pip install nibabel"):
        read_image(tmp_path / "x.mgz")
