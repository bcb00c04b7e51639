# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric transform``: files in, files out."""

from __future__ import annotations

import json
from pathlib import Path

import itk
import numpy as np
import pytest

from cnnmetric.commands.main import main
from cnnmetric.files.points.formats import read_points
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.registration.spatial_transform import SpatialTransform
from support.known_pair import as_file
from support.known_result import POINT
from support.known_result import known_result
from support.known_result import truth


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("transform")
    result = known_result()
    result.save(found / "out")
    as_file(result.target, found / "fixed.nii.gz")
    as_file(result.source, found / "moving.nii.gz")
    labels = itk.image_from_array((itk.array_view_from_image(result.source) > 0.3).astype(np.uint8))
    labels.CopyInformation(result.source)
    as_file(labels, found / "labels.nii.gz")
    rows = "".join(f"{x},{y},{z}\n" for x, y, z in POINT.tolist())
    (found / "points.csv").write_text(f"x,y,z\n{rows}")
    return found


def test_images_labels_and_points_both_ways(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def transform(name: str, out: str, *more: str) -> Path:
        words = ["transform", f"{folder}/out", str(folder / name), "-o", str(tmp_path / out)]
        assert main([*words, *more]) == 0
        printed = capsys.readouterr()
        assert printed.out == f"{tmp_path / out}\n"
        assert not printed.err
        return tmp_path / out

    warped = itk.imread(str(transform("moving.nii.gz", "warped.nii.gz")))
    saved = itk.imread(str(folder / "out" / "warped.nii.gz"))
    np.testing.assert_allclose(itk.array_from_image(warped), itk.array_from_image(saved), atol=1e-5)
    labels = itk.imread(str(transform("labels.nii.gz", "labels.nii.gz", "--labels")))
    assert np.unique(itk.array_from_image(labels)).tolist() == [0, 1]
    back = itk.imread(str(transform("fixed.nii.gz", "back.nii.gz", "--inverse")))
    assert itk.size(back) == itk.size(itk.imread(str(folder / "moving.nii.gz")))

    points = transform("points.csv", "moved.fcsv")
    np.testing.assert_allclose(read_points(points).positions, truth(POINT), atol=1e-6)
    again = transform(str(points), "again.mrk.json", "--inverse")
    np.testing.assert_allclose(read_points(again).positions, POINT, atol=1e-3)


def test_json_says_what_was_done_and_points_outside_are_told_of(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "far.csv").write_text("x,y,z\n0,0,0\n900,0,0\n")
    words = ["transform", f"{folder}/out", f"{tmp_path}/far.csv", "-o", f"{tmp_path}/out.txt"]
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "kind": "points",
        "file": f"{tmp_path}/out.txt",
        "points": 2,
        "outside": 1,
    }
    assert "1 of 2 points lie outside of the fixed image, where only the linear" in printed.err


def test_points_outside_of_the_fixed_image_are_counted_both_ways(
    folder: Path,
) -> None:
    """The deformation is known on the grid of the fixed image, for the inverse, too."""
    fixed = itk.imread(str(folder / "fixed.nii.gz"), itk.F)
    step, apart = itk.TranslationTransform[itk.D, 3].New(), np.array([500.0, 0.0, 0.0])
    step.SetOffset(apart.tolist())
    voxels = itk.array_from_image(fixed)
    field = warping.displacement_transform(np.zeros((*voxels.shape, 3)), fixed)
    moved = image_like(voxels, fixed)
    moved.SetOrigin(np.add(fixed.GetOrigin(), apart).tolist())
    result = SpatialTransform(transforms=(step, field), target=fixed, source=moved)
    points = np.array([[0.0, 0.0, 0.0], [400.0, 0.0, 0.0]])
    assert result.number_outside(points) == 1
    assert result.inverse().number_outside(np.add(points, apart)) == 1
    assert result.inverse().number_outside(points) == 2


@pytest.mark.filterwarnings("default")
def test_an_image_of_another_space_is_told_of(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = itk.imread(str(folder / "labels.nii.gz"))
    image.SetOrigin([900.0, 0.0, 0.0])
    itk.imwrite(image, str(tmp_path / "far.nii.gz"))
    words = ["transform", f"{folder}/out", f"{tmp_path}/far.nii.gz", "--labels"]
    assert main([*words, "-o", f"{tmp_path}/out.nii.gz"]) == 0
    assert "warning: nothing of the image to transform lies where the" in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line_and_status_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    out, points, there = f"{folder}/out", f"{folder}/points.csv", f"{tmp_path}/there.csv"
    for words, message in (
        ([out, points, "-o", there], "there.csv exists; name another file, or say --overwrite"),
        ([f"{folder}/no", points, "-o", "x.csv"], "there is no folder"),
        ([str(folder), points, "-o", "x.csv"], "has no transform.h5 and no log.json"),
        ([out, points, "-o", "x.nii.gz"], "points cannot be written to x.nii.gz"),
        ([out, f"{folder}/no.csv", "-o", "x.csv"], "no.csv cannot be read as points"),
    ):
        assert main(["transform", *words]) == 1
        line = capsys.readouterr().err
        assert line.startswith("cnnmetric transform: ")
        assert message in line
        assert line.count("\n") == 1
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert main(["transform", out, points, "-o", there, "--overwrite"]) == 0
    assert "x,y,z" in (tmp_path / "there.csv").read_text()
