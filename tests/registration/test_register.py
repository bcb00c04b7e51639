# SPDX-License-Identifier: Apache-2.0
"""The one call that registers two images: how, from where, how fine, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import ModelError
from cnnmetric.errors import SettingsError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration.grid import choose_grid
from cnnmetric.registration.grid import content_extent
from cnnmetric.registration.own_parameters import as_object
from cnnmetric.registration.result import RegistrationResult
from support.known_pair import ANGLE
from support.known_pair import LANDMARK
from support.known_pair import QUICK
from support.known_pair import SHIFT
from support.known_pair import mean_error
from support.known_pair import transformix_points
from support.known_pair import truth
from support.metric_images import anatomy
from support.metric_images import ball_mask
from support.metric_images import empty_image
from support.metric_images import moved_subject
from support.metric_images import points_of
from support.metric_images import rotation
from support.metric_images import subject
from support.metric_images import write_difference_model

# --- deformations ---


@pytest.mark.parametrize("deformation", ["rigid", "similarity", "affine"])
def test_finds_a_known_motion(
    deformation: Any, fixed: Any, moving: Any, difference_model: Path
) -> None:
    result = cnnmetric.register(fixed, moving, model=difference_model, deformation=deformation)
    names = {"rigid": ["rigid"], "similarity": ["similarity"]}.get(
        deformation, ["similarity", "affine"]
    )
    assert [stage.name for stage in result.stages] == names
    assert mean_error(result, fixed) < 1.0  # of 3 mm, on voxels of 2 mm
    assert result.jacobian().folded == 0.0


def test_field_comes_after_the_linear_stages(deformed: RegistrationResult, fixed: Any) -> None:
    assert [stage.name for stage in deformed.stages] == ["similarity", "affine", "field"]
    assert mean_error(deformed, fixed) < 1.0


def test_a_smoother_field_bends_less(
    fixed: Any, moving: Any, deformed: RegistrationResult, difference_model: Path
) -> None:
    """What is left to find is a rotation and a shift, so that all bending is an error."""
    smooth = cnnmetric.register(
        fixed, moving, model=difference_model, grid_spacing=2.0, field_smoothing=4.0
    )
    assert smooth.log["settings"]["field_smoothing"] == 4.0
    assert deformed.log["settings"]["field_smoothing"] is None
    spread = [
        np.std(itk.array_view_from_image(r.jacobian().determinant)) for r in (smooth, deformed)
    ]
    assert spread[0] < 0.8 * spread[1]
    assert mean_error(smooth, fixed) < mean_error(deformed, fixed)


@pytest.mark.slow
def test_bsplines_come_after_the_similarity(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    result = cnnmetric.register(
        fixed, moving, model=difference_model, deformation="bspline", grid_spacing=2.0
    )
    assert [stage.name for stage in result.stages] == ["similarity", "bspline", "bspline_fine"]
    assert mean_error(result, fixed) < 1.0
    again = result.inverse().apply(result.apply(LANDMARK))
    np.testing.assert_allclose(again, LANDMARK, atol=0.1)


def test_a_2d_model_registers_2d_images(tmp_path: Path) -> None:
    model = write_difference_model(tmp_path / "flat.onnx", dimension=2)
    fixed = subject("T1", size=(60, 64), spacing=(1.0, 0.9), angle=0.2)
    moving = empty_image((70, 70), spacing=(0.9, 1.0), angle=0.0)
    source = (points_of(moving) - SHIFT[:2]) @ rotation(ANGLE, 2)
    itk.array_view_from_image(moving)[:] = anatomy(source, modality="T1")
    result = cnnmetric.register(fixed, moving, model=model, grid_spacing=1.0)
    points = points_of(fixed)
    found = points + itk.array_from_image(result.displacement)
    error = np.linalg.norm(found - (points @ rotation(ANGLE, 2).T + SHIFT[:2]), axis=-1)
    assert error[anatomy(points, modality="T1") > 0.1].mean() < 0.8
    files = result.save(tmp_path / "out")
    assert all(file.stat().st_size for file in files)
    np.testing.assert_allclose(
        result.inverse().apply(result.apply(np.array([[3.0, 4.0]]))), [[3.0, 4.0]], atol=0.1
    )


def test_same_seed_same_result(
    fixed: Any, moving: Any, rigid: RegistrationResult, difference_model: Path
) -> None:
    one, other = (
        cnnmetric.register(fixed, moving, model=difference_model, seed=seed, **QUICK)
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(one.apply(LANDMARK), rigid.apply(LANDMARK))
    assert not np.array_equal(other.apply(LANDMARK), rigid.apply(LANDMARK))


# --- where it starts, where it looks, how fine ---


@pytest.mark.parametrize("kind", ["itk", "file", "elastix", "elastix file", "result"])
def test_starts_from_a_transform_of_any_kind(
    kind: str,
    fixed: Any,
    moving: Any,
    rigid: RegistrationResult,
    difference_model: Path,
    tmp_path: Path,
) -> None:
    away = np.array([30.0, -25.0, 20.0])  # farther than the registration finds by itself
    far = itk.image_duplicator(moving)
    far.SetOrigin((np.array(moving.GetOrigin()) + away).tolist())
    start = itk.TranslationTransform[itk.D, 3].New()
    start.SetOffset(away.tolist())
    initial: Any = start
    if kind == "file":
        initial = tmp_path / "start.tfm"
        itk.transformwrite(start, str(initial))
    elif kind.startswith("elastix"):
        initial = itk.ParameterObject.New()
        initial.AddParameterMap(
            {
                "Transform": ["TranslationTransform"],
                "NumberOfParameters": ["3"],
                "TransformParameters": [str(value) for value in away],
                "HowToCombineTransforms": ["Compose"],
                "FixedImageDimension": ["3"],
                "MovingImageDimension": ["3"],
            }
        )
        if kind == "elastix file":
            file = tmp_path / "TransformParameters.0.txt"
            initial.WriteParameterFile(str(file))
            initial = file
    elif kind == "result":
        initial = cnnmetric.register(fixed, far, model=difference_model, initial=start, **QUICK)
    result = cnnmetric.register(fixed, far, model=difference_model, initial=initial, **QUICK)
    np.testing.assert_allclose(result.apply(LANDMARK) - away, truth(LANDMARK), atol=1.2)
    if kind == "itk":
        result.save(tmp_path / "out")
        found = transformix_points(tmp_path / "out")
        np.testing.assert_allclose(found, result.apply(LANDMARK), atol=1e-3)


def test_masks_of_any_type_on_any_grid_say_where_to_look(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    # Beyond 16 mm, the anatomy has moved elsewhere.
    elsewhere = moved_subject(angle=ANGLE, shift=SHIFT + np.array([0.0, 0.0, 6.0]))
    outside = np.linalg.norm((points_of(moving) - SHIFT) @ rotation(ANGLE), axis=-1) > 16.0
    disturbed = itk.image_duplicator(moving)
    itk.array_view_from_image(disturbed)[outside] = itk.array_from_image(elsewhere)[outside]
    arguments: dict[str, Any] = {"model": difference_model, "grid_spacing": 1.0, **QUICK}
    mask = ball_mask(fixed, radius=13.0)
    coarse = itk.resample_image_filter(
        mask,
        interpolator=itk.NearestNeighborInterpolateImageFunction.New(mask),
        size=[int(n) // 2 for n in itk.size(mask)],
        output_spacing=[2 * value for value in mask.GetSpacing()],
        output_origin=mask.GetOrigin(),
        output_direction=mask.GetDirection(),
    )
    inside = anatomy(points_of(fixed), modality="T1") > 0.4
    errors = []
    for given in (None, mask, itk.cast_image_filter(coarse, ttype=[type(coarse), type(fixed)])):
        result = cnnmetric.register(fixed, disturbed, fixed_mask=given, **arguments)
        found = points_of(fixed) + itk.array_from_image(result.displacement)
        error = np.linalg.norm(found - truth(points_of(fixed)), axis=-1)
        errors.append(error[inside & (np.linalg.norm(points_of(fixed), axis=-1) < 11)].mean())
    without, of_bytes, of_floats = errors
    assert of_bytes < 0.7 * without
    assert of_floats < 0.7 * without


@pytest.mark.parametrize(("scale", "coarser"), [(2.0, False), (3.5, True)])
def test_linear_stages_of_large_heads_have_coarser_grids(
    scale: float,
    coarser: bool,
    fixed: Any,
    difference_model: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    image = magnified(fixed, scale=scale, voxels=2.0)
    cnnmetric.register(image, image, model=difference_model, verbose=True, **QUICK)
    found = re.findall(r"grid spacing ([\d.]+) mm", capfd.readouterr().out)
    extent = content_extent(image, DissimilarityNetwork(difference_model, device="cpu"))
    assert (extent > 120.0) is coarser
    factor = extent / 100.0 if coarser else 1.0
    assert [float(number) for number in found] == pytest.approx([3.0 * factor, 2.0 * factor], 1e-4)


def magnified(image: Any, *, scale: float, voxels: float) -> Any:
    """Return an image so many times as large, on voxels of some size in mm."""
    bigger = itk.image_duplicator(image)
    bigger.SetSpacing([scale * value for value in image.GetSpacing()])
    edges = np.asarray(itk.size(bigger)) * np.asarray(bigger.GetSpacing())
    return itk.resample_image_filter(
        bigger,
        size=[int(n) for n in edges / voxels],
        output_spacing=[voxels] * 3,
        output_origin=bigger.GetOrigin(),
        output_direction=bigger.GetDirection(),
    )


@pytest.mark.parametrize(
    ("scale", "voxels", "spacing", "reason"),
    [
        (1.0, 0.8, 0.7, "0.7 times the model's 1 mm, because .* mean extent of 4. mm"),
        (2.4, 0.9, 0.8, "0.8 times the model's 1 mm"),
        (5.0, 1.2, 1.0, "1 times the model's 1 mm"),
        (5.0, 2.0, 1.6, "0.8 times the images' voxels of 2 mm; a finer grid has nothing more"),
    ],
)
def test_the_grid_follows_from_the_size_of_what_is_shown(
    scale: float,
    voxels: float,
    spacing: float,
    reason: str,
    fixed: Any,
    moving: Any,
    difference_model: Path,
) -> None:
    first, second = (magnified(image, scale=scale, voxels=voxels) for image in (fixed, moving))
    choice = choose_grid(first, second, DissimilarityNetwork(difference_model))
    assert choice.spacing == spacing
    assert re.match(reason, choice.reason)


def test_is_followed_and_stopped(fixed: Any, moving: Any, difference_model: Path) -> None:
    seen: list[Iteration] = []

    def stop_in_the_second_stage(iteration: Iteration) -> None:
        seen.append(iteration)
        if iteration.stage == "affine":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cnnmetric.register(
            fixed, moving, model=difference_model, on_iteration=stop_in_the_second_stage
        )
    assert {iteration.stage for iteration in seen} == {"similarity", "affine"}


def test_verbose_says_what_was_chosen(
    fixed: Any, moving: Any, difference_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cnnmetric.register(fixed, moving, model=difference_model, verbose=True, **QUICK)
    assert "cnnmetric: rigid: 150 iterations" in capfd.readouterr().out
    cnnmetric.register(fixed, moving, model=difference_model, **QUICK)
    assert not capfd.readouterr().out


def test_numbers_of_numpy_are_numbers(
    fixed: Any, moving: Any, difference_model: Path, tmp_path: Path
) -> None:
    numbers: dict[str, Any] = {
        "threads": np.int64(1),
        "seed": np.arange(3)[1],
        "grid_spacing": np.float32(3.0),
    }
    result = cnnmetric.register(
        fixed, moving, model=difference_model, deformation="rigid", **numbers
    )
    result.save(tmp_path)
    settings = json.loads((tmp_path / "log.json").read_text())["settings"]
    assert (settings["threads"], settings["seed"], settings["grid_spacing"]) == (1, 1, 3.0)


# --- what it cannot use ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"deformation": "elastic"}, SettingsError, "'elastic' but must be one of 'field'"),
        ({"grid_spacing": 0.0}, SettingsError, "grid_spacing is 0.0 but must be above 0"),
        ({"grid_spacing": float("nan")}, SettingsError, "grid_spacing is nan but must be above"),
        ({"grid_spacing": "1"}, SettingsError, r"grid_spacing is '1' \(str\) but must be a number"),
        ({"field_smoothing": -0.5}, SettingsError, "field_smoothing of a level is -0.5 but"),
        ({"field_smoothing": "2"}, SettingsError, r"field_smoothing of a level is '2' \(str\)"),
        (
            {"field_smoothing": 2.0, "deformation": "rigid"},
            SettingsError,
            "field_smoothing is for a displacement field, and deformation is 'rigid'",
        ),
        ({"deformation": np.ones(2)}, SettingsError, "but must be one of 'field'"),
        ({"on_iteration": 3}, SettingsError, "on_iteration is 3 .* a function, or None"),
        (
            {"threads": -1},
            SettingsError,
            r"threads is -1 \(int\) but must be a whole",
        ),
        ({"seed": -1}, SettingsError, r"seed is -1 \(int\) but must be a whole number"),
        ({"fixed_modality": "CT", "model": "t1t2"}, SettingsError, "CT"),
        ({"model": "nowhere"}, ModelError, "nowhere"),
        ({"initial": 3}, DataError, "initial transform is a int; give an ITK transform"),
        (
            {"initial": itk.AffineTransform[itk.F, 3].New()},
            DataError,
            "the initial transform holds one of single precision; make it of doubles",
        ),
        (
            {"initial": as_object({"Transform": ["EulerTransform"], "Metric": ["CNNMetric"]})},
            DataError,
            "no transform of elastix: it has no TransformParameters; give a TransformParameters",
        ),
        (
            {"initial": as_object({"TransformParameters": ["0"], "FixedImageDimension": ["2"]})},
            DataError,
            "the initial transform is 2D and the fixed image 3D",
        ),
        ({"initial": "no.h5"}, DataError, "there is no file no.h5 with an initial transform"),
        ({"fixed": "no.nii"}, DataError, "there is no image file no.nii"),
        ({"fixed": np.zeros((9, 9, 9))}, DataError, "give .array, voxel size in mm as x, y, z"),
        ({"fixed": 3}, DataError, "the fixed image is a int, and not a file name"),
        ({"moving": (np.zeros((9, 9, 9)), (1, 1))}, DataError, "give one size above 0 in mm"),
        ({"moving": (np.full((9, 9, 9), np.nan), (1, 1, 1))}, DataError, "NaN or infinite"),
        ({"moving": (np.zeros((40, 40, 40)), (1, 1, 1))}, DataError, "constant"),
        ({"moving": (np.zeros((40, 40)), (1, 1))}, DataError, "all three must be the same"),
        (
            {"moving": (np.zeros((9, 9, 9), dtype=complex), (1, 1, 1))},
            DataError,
            "holds complex128; real numbers are needed",
        ),
    ],
)
def test_input_that_cannot_be_used(
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
    fixed: Any,
    moving: Any,
    difference_model: Path,
) -> None:
    given = {"fixed": fixed, "moving": moving, "model": difference_model, **QUICK, **arguments}
    with pytest.raises(error, match=message):
        cnnmetric.register(given.pop("fixed"), given.pop("moving"), **given)


def test_a_mask_beside_the_image_is_refused(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    mask = ball_mask(fixed, radius=10.0)
    mask.SetOrigin([500.0, 0.0, 0.0])
    with pytest.raises(DataError, match="the fixed mask holds no voxel of its image"):
        cnnmetric.register(fixed, moving, model=difference_model, fixed_mask=mask, **QUICK)
