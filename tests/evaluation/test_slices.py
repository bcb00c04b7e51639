# SPDX-License-Identifier: Apache-2.0
"""The study that cuts slices out of pairs of images."""

from __future__ import annotations

import csv
from pathlib import Path

import itk
import numpy as np

from cnnmetric.images.arrays import placed
from slices import main


def test_slices_of_both_images_lie_on_each_other(tmp_path: Path) -> None:
    z, _, x = np.indices((24, 14, 16))
    inside = (z > 3) & (z < 20)
    first = placed(np.where(inside, x + 10 * z, 0).astype(np.float32), spacing=(1, 2, 1))
    itk.imwrite(first, str(tmp_path / "T1.nii.gz"))
    # The same places, stored the other way round along x.
    second = placed(
        np.where(inside, x + 10 * z, 0)[:, :, ::-1].astype(np.float32),
        spacing=(1, 2, 1),
        origin=(15, 0, 0),
        direction=np.diag([-1, 1, 1]),
    )
    itk.imwrite(second, str(tmp_path / "T2.nii.gz"))
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\na,T1.nii.gz,T2.nii.gz\n")
    words = ["--subjects", "a", "--distance", "8", "--out", str(tmp_path / "out")]
    assert main([str(tmp_path / "pairs.csv"), *words]) == 0

    with (tmp_path / "out" / "pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["slice"] for row in rows] == ["a-8", "a-16"]
    for row in rows:
        fixed, moving = (itk.imread(str(tmp_path / "out" / row[name])) for name in ("T1", "T2"))
        assert tuple(fixed.GetSpacing()) == (1, 2)
        np.testing.assert_array_equal(itk.array_from_image(fixed), itk.array_from_image(moving))
        number = int(row["slice"].removeprefix("a-"))
        np.testing.assert_array_equal(itk.array_from_image(fixed)[0], np.arange(16) + 10 * number)
