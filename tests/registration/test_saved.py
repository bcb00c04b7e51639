# SPDX-License-Identifier: Apache-2.0
"""A result that was saved is taken up again, and applied to files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.initial import initial_transforms
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.registration.spatial_transform import SpatialTransform
from cnnmetric.registration.transform_file import transform_file
from support.known_pair import LANDMARK
from support.known_pair import as_file


@pytest.fixture(scope="module")
def saved(deformed: RegistrationResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "out"
    deformed.save(folder)
    return folder


def test_a_saved_result_is_the_same_transform(
    deformed: RegistrationResult, fixed: Any, moving: Any, saved: Path
) -> None:
    loaded = cnnmetric.load_transform(saved)
    for found, expected, there in (
        (loaded, deformed, moving),
        (loaded.inverse(), deformed.inverse(), fixed),
    ):
        np.testing.assert_allclose(found.apply(LANDMARK), expected.apply(LANDMARK), atol=1e-6)
        image, wanted = found.apply(there), expected.apply(there)
        np.testing.assert_allclose(itk.array_from_image(image), itk.array_from_image(wanted))
        assert tuple(image.GetOrigin()) == tuple(wanted.GetOrigin())
        assert tuple(image.GetSpacing()) == tuple(wanted.GetSpacing())
        assert np.array_equal(image.GetDirection(), wanted.GetDirection())
    assert loaded.jacobian().folded == deformed.jacobian().folded


def test_a_registration_starts_from_a_saved_result(
    deformed: RegistrationResult, fixed: Any, moving: Any, saved: Path
) -> None:
    transforms = initial_transforms(str(saved), fixed, moving)
    assert [transform.GetNameOfClass() for transform in transforms] == [
        transform.GetNameOfClass() for transform in deformed.transforms
    ]


def test_a_registration_starts_from_its_files_for_transformix(
    deformed: RegistrationResult, fixed: Any, moving: Any, saved: Path
) -> None:
    last = max(saved.glob("TransformParameters.*.txt"))  # names the others, and a field
    found = SpatialTransform(
        transforms=initial_transforms(str(last), fixed, moving), target=fixed, source=moving
    )
    np.testing.assert_allclose(found.apply(LANDMARK), deformed.apply(LANDMARK), atol=0.01)


def test_older_and_newer_transformix_find_the_file_before(saved: Path, tmp_path: Path) -> None:
    before, last = (saved / f"TransformParameters.{number}.txt" for number in (1, 2))
    lines = last.read_text(encoding="utf-8").splitlines()
    assert f'(InitialTransformParametersFileName "{before.resolve()}")' in lines
    assert f'(InitialTransformParameterFileName "{before.name}")' in lines
    # A copy reads its own files, and not those of the folder that it is a copy of.
    copy = shutil.copytree(saved, tmp_path / "copy")
    first = copy / "TransformParameters.0.txt"
    first.write_text("no parameters")
    with pytest.raises(DataError, match=re.escape(f"{first} cannot be read")):
        elastix_transforms.read_chain(copy / last.name)


def change_log(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        log = json.loads((folder / "log.json").read_text())
        change(log)
        (folder / "log.json").write_text(json.dumps(log))

    return changed


def cut(folder: Path) -> None:
    content = (folder / "transform.h5").read_bytes()
    (folder / "transform.h5").write_bytes(content[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "there is no folder"),
        (lambda folder: (folder / "transform.h5").unlink(), r"has no transform\.h5, so that"),
        (lambda folder: (folder / "log.json").unlink(), r"has no log\.json, so that"),
        (cut, r"transform\.h5 is damaged, or not the one that was saved with log\.json"),
        (lambda folder: (folder / "log.json").write_text("{"), r"log\.json cannot be read"),
        (lambda folder: (folder / "log.json").write_text("[]"), "is not the log of a registration"),
        (change_log(lambda log: log.pop("sha256")), "damaged, or not the one"),
        (change_log(lambda log: log.pop("images")), r"does not hold the grids .*'images'"),
        (change_log(lambda log: log["images"].pop("moving")), r"not hold the grids .*'moving'"),
        (
            change_log(lambda log: log["images"]["fixed"].update(spacing_mm=[1.0, 0.0, 1.0])),
            "a size, voxel size, origin or direction is impossible",
        ),
        (
            change_log(lambda log: log["images"]["fixed"].update(direction=[[1.0]])),
            "a size, voxel size, origin or direction is impossible",
        ),
        (
            change_log(
                lambda log: log["images"]["moving"].update(
                    size=[2, 2], spacing_mm=[1, 1], origin_mm=[0, 0], direction=[[1, 0], [0, 1]]
                )
            ),
            "are of different dimensions",
        ),
    ],
)
def test_a_folder_that_is_damaged(
    damage: Callable[[Path], object], message: str, saved: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("transform.h5", "log.json"):
        shutil.copy(saved / name, folder)
    cnnmetric.load_transform(folder)
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        cnnmetric.load_transform(folder)
    assert str(folder) in str(caught.value)


def test_a_save_that_was_interrupted_is_no_result(
    rigid: RegistrationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigid.save(tmp_path)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(itk, "transformwrite", stop)
    with pytest.raises(KeyboardInterrupt):
        rigid.save(tmp_path, overwrite=True)
    with pytest.raises(DataError, match=r"no log\.json"):
        cnnmetric.load_transform(tmp_path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mhd", "a.nrrd"])
def test_an_image_file_is_transformed(
    name: str, deformed: RegistrationResult, fixed: Any, moving: Any, tmp_path: Path
) -> None:
    given = as_file(moving, tmp_path / "moving.nii.gz")
    done = transform_file(deformed, given, tmp_path / "new" / name)
    assert (done.kind, done.file) == ("image", tmp_path / "new" / name)
    image = itk.imread(str(done.file))
    np.testing.assert_allclose(
        itk.array_from_image(image), itk.array_from_image(deformed.warped), atol=1e-5
    )
    assert itk.size(image) == itk.size(fixed)
    with pytest.raises(SettingsError, match="exists; name another file, or say --overwrite"):
        transform_file(deformed, given, done.file)
    transform_file(deformed, given, done.file, overwrite=True)
    if name == "a.mhd":
        done.file.unlink()
        with pytest.raises(SettingsError, match=r"holds a\.zraw; name another file"):
            transform_file(deformed, given, done.file)
    assert not [path for path in (tmp_path / "new").iterdir() if path.name.startswith(".")]


def test_a_label_file_keeps_numbers_and_type(
    rigid: RegistrationResult, moving: Any, tmp_path: Path
) -> None:
    inside = itk.array_view_from_image(moving) > 0.3
    labels = itk.image_from_array(np.where(inside, 1_007, 0).astype(np.int16))
    labels.CopyInformation(moving)
    given = as_file(labels, tmp_path / "labels.nii.gz")
    done = transform_file(rigid, given, tmp_path / "out.nii.gz", labels=True)
    found = itk.array_from_image(itk.imread(str(done.file)))
    assert done.kind == "labels"
    assert found.dtype == np.int16
    assert set(np.unique(found)) == {0, 1_007}


def test_a_file_of_points_goes_forward_and_back(
    deformed: RegistrationResult, fixed: Any, tmp_path: Path
) -> None:
    far = [900.0, 0.0, 0.0]
    points = np.vstack([LANDMARK, far])
    rows = "".join(f"{a},{b},{c},n{a}\n" for a, b, c in points.tolist())
    (tmp_path / "a.csv").write_text(f"x,y,z,label\n{rows}")
    done = transform_file(deformed, tmp_path / "a.csv", tmp_path / "b.mrk.json")
    assert (done.kind, done.points, done.outside) == ("points", 3, 1)
    there = cnnmetric.read_points(done.file)
    np.testing.assert_allclose(there.positions, deformed.apply(points), atol=1e-12)
    assert there.labels[0] == f"n{LANDMARK[0, 0]}"
    transform_file(deformed.inverse(), done.file, tmp_path / "c.fcsv")
    back = cnnmetric.read_points(tmp_path / "c.fcsv").positions
    np.testing.assert_allclose(back, points, atol=0.05)
    # Indices count the voxels of the image that the points belong to.
    (tmp_path / "index.txt").write_text("index\n1\n20 22 18\n")
    done = transform_file(deformed, tmp_path / "index.txt", tmp_path / "point.txt")
    voxel = np.array([tuple(fixed.TransformIndexToPhysicalPoint([20, 22, 18]))])
    np.testing.assert_allclose(
        cnnmetric.read_points(done.file).positions, deformed.apply(voxel), atol=1e-9
    )


@pytest.mark.parametrize(
    ("given", "out", "labels", "message"),
    [
        ("a.csv", "a.csv", False, "is the file to transform; name another one"),
        ("a.csv", "b.nii.gz", False, "points cannot be written to"),
        ("a.csv", "b.csv", True, "holds points, by its name; leave out --labels"),
        ("a.nii.gz", "b.csv", False, "no image can be written to"),
        ("a.nii.gz", ".", False, "is a folder; name a file"),
    ],
)
def test_outputs_that_are_refused_before_the_work(
    given: str, out: str, labels: bool, message: str, rigid: RegistrationResult, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(SettingsError, match=message):
        transform_file(rigid, tmp_path / given, tmp_path / out, labels=labels, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_inputs_that_do_not_fit(rigid: RegistrationResult, tmp_path: Path) -> None:
    (tmp_path / "flat.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"points of .*flat\.csv are 2D and the transform is not"):
        transform_file(rigid, tmp_path / "flat.csv", tmp_path / "out.csv")
    with pytest.raises(DataError, match="there is no image file"):
        transform_file(rigid, tmp_path / "no.nii.gz", tmp_path / "out.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["flat.csv"]
