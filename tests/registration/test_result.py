# SPDX-License-Identifier: Apache-2.0
"""Every promise of the result of a registration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
import SimpleITK

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.registration.result import RegistrationResult
from support.known_pair import LANDMARK
from support.known_pair import as_file
from support.known_pair import as_simpleitk
from support.known_pair import run_transformix
from support.known_pair import transformix_points
from support.known_pair import truth


def test_points_go_from_fixed_to_moving_in_itk_simpleitk_and_transformix(
    deformed: RegistrationResult, tmp_path: Path
) -> None:
    found = deformed.apply(LANDMARK)
    np.testing.assert_allclose(found, truth(LANDMARK), atol=0.8)
    deformed.save(tmp_path / "out")
    by_itk = [tuple(deformed.transform.TransformPoint(point)) for point in LANDMARK.tolist()]
    np.testing.assert_allclose(by_itk, found, atol=1e-9)
    of_file = SimpleITK.ReadTransform(str(tmp_path / "out" / "transform.h5"))
    by_simpleitk = [of_file.TransformPoint(point) for point in LANDMARK.tolist()]
    np.testing.assert_allclose(by_simpleitk, found, atol=1e-6)
    np.testing.assert_allclose(transformix_points(tmp_path / "out"), found, atol=1e-3)


@pytest.mark.parametrize("name", ["rigid", "deformed"])
def test_transformix_warps_as_the_result_does(
    name: str, moving: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    result: RegistrationResult = request.getfixturevalue(name)
    result.save(tmp_path / "out")
    run_transformix(tmp_path / "out", image=as_file(moving, tmp_path / "moving.nii.gz"))
    found = itk.array_from_image(itk.imread(str(tmp_path / "out" / "by-transformix.nii.gz")))
    np.testing.assert_allclose(found, itk.array_from_image(result.warped), atol=2e-3)


def test_the_saved_displacement_is_that_of_the_transform(
    deformed: RegistrationResult, fixed: Any, moving: Any, tmp_path: Path
) -> None:
    deformed.save(tmp_path)
    field = SimpleITK.ReadImage(str(tmp_path / "displacement.nii.gz"), SimpleITK.sitkVectorFloat64)
    transform = SimpleITK.DisplacementFieldTransform(field)
    point = tuple(fixed.TransformIndexToPhysicalPoint([20, 22, 18]))
    expected = deformed.apply(np.array([point]))[0]
    np.testing.assert_allclose(transform.TransformPoint(point), expected, atol=1e-4)
    warped = itk.warp_image_filter(
        moving, displacement_field=deformed.displacement, output_parameters_from_image=fixed
    )
    np.testing.assert_allclose(
        itk.array_from_image(warped), itk.array_from_image(deformed.warped), atol=1e-3
    )


def test_label_maps_keep_their_numbers(
    deformed: RegistrationResult, fixed: Any, moving: Any
) -> None:
    inside = itk.array_view_from_image(moving) > 0.3
    labels = itk.image_from_array(np.where(inside, 70_001, 0).astype(np.int32))
    labels.CopyInformation(moving)
    found = deformed.apply(labels, labels=True)
    array = itk.array_from_image(found)
    assert array.dtype == np.int32
    assert set(np.unique(array)) == {0, 70_001}
    reference = itk.array_view_from_image(fixed) > 0.3
    assert (2 * (reference & (array > 0)).sum()) / (reference.sum() + (array > 0).sum()) > 0.9
    with pytest.raises(DataError, match="values that are not whole numbers; leave out labels=True"):
        deformed.apply(moving, labels=True)


def test_another_image_is_warped_like_the_moving_image(
    deformed: RegistrationResult, moving: Any
) -> None:
    found = itk.array_from_image(deformed.apply(moving))
    np.testing.assert_allclose(found, itk.array_from_image(deformed.warped), atol=1e-6)
    pair = (itk.array_from_image(moving), tuple(moving.GetSpacing()))
    assert isinstance(deformed.apply(pair), np.ndarray)
    assert isinstance(deformed.apply(as_simpleitk(moving)), SimpleITK.Image)


def test_the_inverse_leads_back(deformed: RegistrationResult, fixed: Any, moving: Any) -> None:
    inverse = deformed.inverse()
    np.testing.assert_allclose(inverse.apply(deformed.apply(LANDMARK)), LANDMARK, atol=0.05)
    there = inverse.apply(fixed)
    assert itk.size(there) == itk.size(moving)
    inside = itk.array_view_from_image(moving) > 0.1
    rest = np.abs(itk.array_from_image(there) - itk.array_view_from_image(moving))[inside]
    apart = np.abs(
        itk.array_from_image(
            itk.resample_image_filter(fixed, reference_image=moving, use_reference_image=True)
        )
        - itk.array_view_from_image(moving)
    )[inside]
    assert rest.mean() < 0.5 * apart.mean()
    assert inverse.jacobian().folded == 0.0


def test_jacobian_is_that_of_the_displacement(deformed: RegistrationResult, fixed: Any) -> None:
    jacobian = deformed.jacobian()
    determinant = itk.array_from_image(jacobian.determinant)
    assert itk.size(jacobian.determinant) == itk.size(fixed)
    # ITK's own filter leaves the direction of the axes out.
    for voxel in ([15, 20, 18], [25, 22, 20]):
        point = np.array(fixed.TransformIndexToPhysicalPoint(voxel))
        ends = [deformed.apply(point + step * np.eye(3)) for step in (0.5, -0.5)]
        expected = np.linalg.det(ends[0] - ends[1])
        assert determinant[tuple(voxel[::-1])] == pytest.approx(expected, abs=0.01)
    assert jacobian.folded == (determinant[1:-1, 1:-1, 1:-1] <= 0).mean()


def test_stages_and_log_tell_what_was_done(deformed: RegistrationResult, tmp_path: Path) -> None:
    field = deformed.stages[-1]
    assert field.name == "field"
    assert field.seconds > 0.0
    assert len(field.trace) == 32
    assert {iteration.stage for iteration in field.trace} == {"field"}
    last = field.transform.TransformPoint(LANDMARK[0].tolist())
    np.testing.assert_allclose(tuple(last), deformed.apply(LANDMARK)[0])
    deformed.save(tmp_path)
    log = json.loads((tmp_path / "log.json").read_text())
    assert log["settings"]["grid_spacing"] == 2.0
    assert log["settings"]["deformation"] == "field"
    assert log["versions"]["cnnmetric"] == cnnmetric.__version__
    assert "finest grid: 2 mm (as asked for)" in log["notes"]
    assert [len(stage["values"]) for stage in log["stages"]] == [150, 90, 32]
    assert log["stages"][0]["values"][0] > log["stages"][0]["values"][-1]


def test_an_earlier_result_is_not_replaced_by_accident(
    rigid: RegistrationResult, tmp_path: Path
) -> None:
    rigid.save(tmp_path / "out")
    with pytest.raises(SettingsError, match=r"holds a result already .*overwrite=True"):
        rigid.save(tmp_path / "out")
    rigid.save(tmp_path / "out", overwrite=True)
    with pytest.raises(SettingsError, match="is a file; name a folder"):
        rigid.save(tmp_path / "out" / "log.json")


def test_points_of_another_shape_are_refused(rigid: RegistrationResult) -> None:
    with pytest.raises(DataError, match=r"shape \(3,\) was given; points have the shape \(n, 3\)"):
        rigid.apply(np.zeros(3))
    with pytest.raises(DataError, match="points have NaN or infinite coordinates"):
        rigid.apply(np.full((2, 3), np.nan))


def test_files_of_others_are_not_replaced_by_accident(
    rigid: RegistrationResult, tmp_path: Path
) -> None:
    for name in ("TransformParameters.0.txt", "jacobian.nii.gz", "1-deformation.nii.gz"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("of somebody else")
        with pytest.raises(SettingsError, match=rf"holds a result already \({name}\)"):
            rigid.save(folder)
        assert (folder / name).read_text() == "of somebody else"
    others = [tmp_path / "out" / name for name in ("2024-01-deformation.nii.gz", "b.txt")]
    others[0].parent.mkdir()
    for file in others:
        file.write_text("of somebody else")
    rigid.save(tmp_path / "out")
    rigid.save(tmp_path / "out", overwrite=True)
    assert {file.read_text() for file in others} == {"of somebody else"}


def test_second_names_of_one_result_are_not_written_by_the_next(
    rigid: RegistrationResult, tmp_path: Path
) -> None:
    assert rigid.comparison is not None
    for subject in ("02", "03"):
        names = replace(
            rigid.comparison, fixed_name="sub-01_T1w.nii", moving_name=f"sub-{subject}_T2w.nii"
        )
        warped = itk.image_duplicator(rigid.warped_image)
        warped.FillBuffer(float(subject))
        result = replace(rigid, comparison=names, warped_image=warped)
        result.save(tmp_path, bids=True, overwrite=True)
    for subject in ("02", "03"):
        (file,) = tmp_path.glob(f"sub-{subject}_*_desc-warped_T2w.nii.gz")
        assert itk.array_from_image(itk.imread(str(file))).max() == float(subject)
