# SPDX-License-Identifier: Apache-2.0
"""The study that judges registrations by the tissues of images which they do not see."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import itk
import numpy as np

from support.training_images import write_image

STUDY = Path(__file__).resolve().parents[2] / "studies" / "tissue_labels.py"


def test_three_tissues_and_the_other_image_of_each_subject(tmp_path: Path) -> None:
    tissues = np.zeros((12, 14, 16), np.int16)
    tissues[2:10, 2:12, 2:14] = 1
    tissues[3:9, 3:11, 3:13] = 2
    tissues[4:8, 4:10, 4:12] = 3
    noise = np.random.default_rng(0).normal(0, 4, tissues.shape)
    image = np.where(tissues > 0, np.array([0, 100, 400, 700])[tissues] + noise, 0)
    for name in ("a", "b", "c"):
        write_image(tmp_path / f"{name}.nii.gz", image.astype(np.float32))
    table = tmp_path / "pairs.csv"
    table.write_text("subject,T1,PD\na,a.nii.gz,b.nii.gz\nb,b.nii.gz,\nc,c.nii.gz,c.nii.gz\n")
    command = [sys.executable, STUDY, table, "--modality", "PD", "--out", tmp_path / "out"]
    subprocess.run(list(map(str, command)), check=True)

    with (tmp_path / "out" / "subjects.csv").open() as stream:
        subjects = {row["subject"]: row for row in csv.DictReader(stream)}
    assert [bool(row["PD"]) for row in subjects.values()] == [True, False, True]
    for row in subjects.values():
        labels = itk.imread(row["labels"])
        np.testing.assert_array_equal(itk.array_from_image(labels), tissues)
        np.testing.assert_allclose(labels.GetOrigin(), itk.imread(row["T1"]).GetOrigin())
    with (tmp_path / "out" / "registrations.csv").open() as stream:
        found = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert found == [
        (fixed, "T1", moving, "PD")
        for fixed, moving in (("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"))
    ]
