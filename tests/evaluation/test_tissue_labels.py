# SPDX-License-Identifier: Apache-2.0
"""The study that judges registrations by the tissues of images which they do not see."""

from __future__ import annotations

import csv
from pathlib import Path

import itk
import numpy as np
import pytest

from support.training_images import write_image
from tissue_labels import main


def run(table: Path, out: Path, *words: str) -> list[tuple[str, ...]]:
    """Write tissues and tables of a table of images; return the registrations."""
    assert main([str(table), "--modality", "PD", *words, "--out", str(out)]) == 0
    with (out / "registrations.csv").open() as stream:
        return [tuple(row.values()) for row in csv.DictReader(stream)]


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
    found = run(table, tmp_path / "out")

    with (tmp_path / "out" / "subjects.csv").open() as stream:
        subjects = {row["subject"]: row for row in csv.DictReader(stream)}
    assert [bool(row["PD"]) for row in subjects.values()] == [True, False, True]
    for row in subjects.values():
        labels = itk.imread(row["labels"])
        np.testing.assert_array_equal(itk.array_from_image(labels), tissues)
        np.testing.assert_allclose(labels.GetOrigin(), itk.imread(row["T1"]).GetOrigin())
    assert found == [
        (fixed, "T1", moving, "PD")
        for fixed, moving in (("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"))
    ]


def test_another_image_can_be_the_fixed_one(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 1, (6, 7, 8)).astype(np.float32)
    write_image(tmp_path / "a.nii.gz", image)
    table = tmp_path / "pairs.csv"
    rows = ("subject,T1,T2,PD", *(f"{name},a.nii.gz,a.nii.gz,a.nii.gz" for name in "ab"))
    table.write_text("\n".join((*rows, "c,a.nii.gz,,a.nii.gz\n")))
    assert run(table, tmp_path / "out", "--fixed", "T2") == [
        (fixed, "T2", moving, "PD")
        for fixed, moving in (("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"))
    ]
    header, first = (tmp_path / "out" / "subjects.csv").read_text().splitlines()[:2]
    assert header == "subject,T1,T2,PD,labels"
    assert first.count("a.nii.gz") == 3


def test_only_what_lies_within_a_mask_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.full((8, 9, 10), 90, np.float32)  # what is no brain is brighter
    mask = np.zeros(image.shape, np.int16)
    mask[2:6, 2:7, 2:8] = 7
    image[2:6, 2:7, 2:8] = np.array([10, 20, 30])[np.arange(6) // 2]
    write_image(tmp_path / "a.nii.gz", image)
    write_image(tmp_path / "mask.nii.gz", mask)
    table = tmp_path / "pairs.csv"
    table.write_text("subject,T1,PD,brain\na,a.nii.gz,a.nii.gz,mask.nii.gz\n")
    run(table, tmp_path / "out", "--within", "brain")
    found = itk.array_from_image(itk.imread(tmp_path / "out" / "a-tissues.nii.gz"))
    assert (found[mask == 0] == 0).all()
    assert (found[mask > 0].reshape(-1, 6) == [1, 1, 2, 2, 3, 3]).all()

    # Its header says where a mask lies.
    moved = itk.imread(tmp_path / "mask.nii.gz")
    moved.SetOrigin([value + 500 for value in moved.GetOrigin()])
    itk.imwrite(moved, tmp_path / "mask.nii.gz")
    words = ["--modality", "PD", "--within", "brain", "--out", str(tmp_path / "out")]
    assert main([str(table), *words]) == 1
    assert "mask.nii.gz holds no voxel of its image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--within", "brain"], "has no brain of a, which --within needs of all"),
        (["--fixed", "T2"], "has no image in the column T2; choose another --fixed"),
    ],
)
def test_a_column_that_is_empty_is_named(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("subject,T1,T2,PD,brain\na,a.nii.gz,,a.nii.gz,\n")
    out = tmp_path / "out"
    assert main([str(table), "--modality", "PD", *words, "--out", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()
