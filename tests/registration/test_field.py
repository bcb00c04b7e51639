# SPDX-License-Identifier: Apache-2.0
"""Registration by a displacement field finds known displacements, and says what it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.field import register_displacement_field
from cnnmetric.registration.field_force import starts
from cnnmetric.registration.field_level import FieldLevel
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import anatomy
from support.metric_images import empty_image
from support.metric_images import points_of
from support.metric_images import subject

BULGE = 3.0  # mm
LEVELS = (
    FieldLevel(grid_spacing=2.0, iterations=25, image_smoothing=0.8),
    FieldLevel(grid_spacing=1.0, iterations=15),
)
QUICK = (FieldLevel(grid_spacing=2.0, iterations=2),)


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Return the same anatomy, locally deformed, on another grid, in another direction."""
    image = empty_image((60, 60, 60), spacing=(1.0, 1.1, 1.0), angle=-0.1)
    itk.array_view_from_image(image)[:] = anatomy(pulled_back(points_of(image)), modality="T1")
    return image


def true_displacement(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the fixed image's points have moved to, minus the points, in mm."""
    near = np.exp(-(np.linalg.norm(points - [6.0, -4.0, 2.0], axis=-1) ** 2) / (2 * 9.0**2))
    found: NDArray[np.float64] = BULGE * near[..., np.newaxis] * np.array([0.8, 0.6, 0.0])
    return found


def pulled_back(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert it."""
    found = points
    for _ in range(30):
        found = points - true_displacement(found)
    return found


def errors(fixed: Any, displacement: Any) -> NDArray[np.float64]:
    """Return the distances, in mm, between found and true position where the anatomy moved."""
    points = points_of(fixed)
    true = true_displacement(points)
    moved = (np.linalg.norm(true, axis=-1) > 1.0) & (anatomy(points, modality="T1") > 0.1)
    distances: NDArray[np.float64] = np.linalg.norm(displacement - true, axis=-1)[moved]
    return distances


def test_finds_a_local_displacement(fixed: Any, moving: Any, difference_model: Path) -> None:
    field = register_displacement_field(fixed, moving, model=difference_model, levels=LEVELS)
    assert itk.size(field) == itk.size(fixed)
    found = np.array(itk.array_view_from_image(field))
    assert errors(fixed, found).mean() < 0.5 * errors(fixed, 0.0).mean()
    warped = itk.warp_image_filter(
        moving, displacement_field=field, output_parameters_from_image=fixed
    )
    start = itk.array_from_image(warping.resample_image(moving, fixed))
    target = itk.array_from_image(fixed)
    moved = np.linalg.norm(true_displacement(points_of(fixed)), axis=-1) > 1.0
    after_warping = np.abs(itk.array_from_image(warped) - target)[moved].mean()
    assert after_warping < 0.6 * np.abs(start - target)[moved].mean()


def test_intensities_may_be_negative(fixed: Any, moving: Any, difference_model: Path) -> None:
    below = itk.shift_scale_image_filter(fixed, shift=-100.0)
    one, other = (
        itk.array_from_image(
            register_displacement_field(image, moving, model=difference_model, levels=QUICK)
        )
        for image in (fixed, below)
    )
    np.testing.assert_allclose(one, other, atol=0.1)


def test_starts_from_an_elastix_transform(fixed: Any, moving: Any, difference_model: Path) -> None:
    away = np.array([5.0, -4.0, 3.0])
    shifted = itk.image_duplicator(moving)
    shifted.SetOrigin((np.array(moving.GetOrigin()) + away).tolist())
    initial = register(
        fixed, shifted, parameters(difference_model, MaximumNumberOfIterations="100")
    )
    field = register_displacement_field(
        fixed, shifted, model=difference_model, levels=LEVELS, initial=initial
    )
    found = np.array(itk.array_view_from_image(field)) - away
    assert errors(fixed, found).mean() < 0.5 * errors(fixed, 0.0).mean()


def test_the_initial_transform_follows_the_field_up_to_the_border(
    fixed: Any, moving: Any, difference_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = np.array([3.0, -2.0, 1.0])
    points = points_of(fixed)
    monkeypatch.setattr(
        "cnnmetric.registration.field.deform", lambda *_, **__: np.zeros(points.shape) + shift
    )
    start = itk.Euler3DTransform[itk.D].New()
    start.SetRotation(0.2, -0.3, 0.8)
    found = register_displacement_field(fixed, moving, initial=start, model=difference_model)
    expected = warping.map_points(start, (points + shift).reshape(-1, 3)).reshape(points.shape)
    np.testing.assert_allclose(itk.array_from_image(found), expected - points, atol=1e-4)


def test_no_steps_leave_the_initial_transform(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    initial = register(fixed, moving, parameters(difference_model, MaximumNumberOfIterations="5"))
    none = (FieldLevel(grid_spacing=2.0, iterations=0),)
    field = register_displacement_field(
        fixed, moving, model=difference_model, levels=none, initial=initial
    )
    expected = elastix_transforms.sampled(initial, fixed)
    np.testing.assert_allclose(itk.array_from_image(field), expected, atol=1e-4)


def test_the_modality_decides_which_image_is_which(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    fields = [
        register_displacement_field(
            fixed, moving, model=small_model, levels=QUICK, fixed_modality=modality
        )
        for modality in ("", "T1", "T2")
    ]
    first, same, other = map(itk.array_from_image, fields)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_no_displacement_of_an_iteration_exceeds_its_step(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    def lengths(step: float) -> NDArray[np.float64]:
        levels = (FieldLevel(grid_spacing=2.0, iterations=1, step=step, field_smoothing=0.0),)
        field = register_displacement_field(fixed, moving, model=difference_model, levels=levels)
        found: NDArray[np.float64] = np.linalg.norm(itk.array_from_image(field), axis=-1)
        return found

    half, whole = lengths(0.5), lengths(1.0)
    np.testing.assert_allclose(whole, 2 * half, rtol=1e-4, atol=1e-6)
    assert 0.6 < half.max() < 1.0  # mm: no more than half of a voxel
    # Forces of average length move by a quarter of a voxel.
    assert 0.2 < half[half > 0.05].mean() < 0.7


def test_same_seed_same_field(fixed: Any, moving: Any, difference_model: Path) -> None:
    one, again, other = (
        itk.array_from_image(
            register_displacement_field(
                fixed, moving, model=difference_model, levels=QUICK, seed=seed
            )
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_is_followed_and_stopped(fixed: Any, moving: Any, difference_model: Path) -> None:
    seen: list[Iteration] = []

    def stop_at_the_third(iteration: Iteration) -> None:
        seen.append(iteration)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register_displacement_field(
            fixed,
            moving,
            model=difference_model,
            levels=(*QUICK, *QUICK),
            on_iteration=stop_at_the_third,
        )
    assert [(i.level, i.number) for i in seen] == [(0, 0), (0, 1), (1, 0)]
    assert all(0.0 < i.value < 1.0 for i in seen)


def test_a_cropped_image_lies_where_its_index_says(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    region = itk.ImageRegion[3]([4, 3, 2], [36, 40, 34])
    cut = itk.extract_image_filter(fixed, extraction_region=region)  # its index starts at 4, 3, 2
    same = itk.region_of_interest_image_filter(fixed, region_of_interest=region)
    one, other = (
        register_displacement_field(image, moving, model=difference_model, levels=QUICK)
        for image in (cut, same)
    )
    np.testing.assert_array_equal(*map(itk.array_from_image, (one, other)))
    first = one.TransformIndexToPhysicalPoint([0, 0, 0])
    np.testing.assert_allclose(first, fixed.TransformIndexToPhysicalPoint([4, 3, 2]))


def test_units_do_not_matter(fixed: Any, moving: Any, difference_model: Path) -> None:
    """Voxels of 25, as of an atlas in micrometres, are registered as the same voxels of 1 are."""
    larger = []
    for image in (fixed, moving):
        copy = itk.image_duplicator(image)
        copy.SetSpacing([25.0 * value for value in image.GetSpacing()])
        copy.SetOrigin([25.0 * value for value in image.GetOrigin()])
        larger.append(copy)
    levels = (FieldLevel(grid_spacing=50.0, iterations=2),)
    found = register_displacement_field(*larger, model=difference_model, levels=levels)
    expected = register_displacement_field(fixed, moving, model=difference_model, levels=QUICK)
    found_length, length = (
        np.linalg.norm(itk.array_from_image(field), axis=-1).max() for field in (found, expected)
    )
    assert found_length / 25.0 == pytest.approx(length, rel=0.05)


def test_bright_voxels_do_not_hide_the_rest(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    spiked = itk.image_duplicator(fixed)
    voxels = itk.array_view_from_image(spiked)
    voxels[20, 20, 20] = voxels[26, 26, 26] = 200 * voxels.max()
    field = register_displacement_field(spiked, moving, model=difference_model, levels=LEVELS)
    found = itk.array_from_image(field)
    assert errors(fixed, found).mean() < 0.6 * errors(fixed, 0.0).mean()


def test_a_mask_says_where_to_look(fixed: Any, moving: Any, difference_model: Path) -> None:
    """Half of the image is masked: the other half hardly moves."""
    points = points_of(fixed)
    mask = image_like((points[..., 0] < -6.0).astype(np.float32), fixed)
    field = register_displacement_field(
        fixed, moving, model=difference_model, levels=LEVELS[:1], fixed_mask=mask
    )
    everywhere = register_displacement_field(
        fixed, moving, model=difference_model, levels=LEVELS[:1]
    )
    far = points[..., 0] > 8.0
    masked, free = (
        np.linalg.norm(itk.array_from_image(found), axis=-1)[far].mean()
        for found in (field, everywhere)
    )
    assert masked < 0.5 * free


def test_a_mask_may_be_thinner_than_patches_are_apart(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    """Wherever the patches of an iteration lie, some of them are at it."""
    thin = np.zeros(itk.array_view_from_image(fixed).shape, dtype=np.uint8)
    thin[:, :, 21:23] = 1
    field = register_displacement_field(
        fixed,
        moving,
        model=difference_model,
        fixed_mask=image_like(thin, fixed),
        levels=(FieldLevel(grid_spacing=2.0, iterations=8),),
    )
    assert np.linalg.norm(itk.array_view_from_image(field), axis=-1).max() > 0.05


def test_a_mask_beside_the_anatomy_is_refused(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    corner = np.zeros(itk.array_view_from_image(fixed).shape, dtype=np.uint8)
    corner[0, 0, 0] = 1
    with pytest.raises(cnnmetric.MetricError, match="no patch lies inside of the masks; check"):
        register_displacement_field(
            fixed,
            moving,
            model=difference_model,
            fixed_mask=image_like(corner, fixed),
            levels=QUICK,
        )


def test_takes_any_image_and_transform(
    fixed: Any, moving: Any, difference_model: Path, tmp_path: Path
) -> None:
    itk.imwrite(moving, str(tmp_path / "moving.nii"))
    start = itk.TranslationTransform[itk.D, 3].New()
    start.SetOffset([1.0, 0.0, 0.0])
    none = (FieldLevel(grid_spacing=2.0, iterations=0),)
    field = register_displacement_field(
        fixed, tmp_path / "moving.nii", initial=start, model=difference_model, levels=none
    )
    found = itk.array_from_image(field)
    np.testing.assert_allclose(found, np.broadcast_to([1.0, 0.0, 0.0], found.shape), atol=1e-6)


def test_a_transform_without_directions_is_right(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    """What a registration in Python finds does not depend on UseDirectionCosines."""
    found = []
    for use in ("true", "false"):
        initial = register(fixed, moving, parameters(difference_model, UseDirectionCosines=use))
        none = (FieldLevel(grid_spacing=2.0, iterations=0),)
        field = register_displacement_field(
            fixed, moving, initial=initial, model=difference_model, levels=none
        )
        found.append(itk.array_from_image(field))
        np.testing.assert_allclose(elastix_transforms.sampled(initial, fixed), found[-1], atol=1e-4)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_input_that_cannot_be_used(
    fixed: Any, moving: Any, difference_model: Path, small_model: Path
) -> None:
    with pytest.raises(SettingsError, match="CT"):
        register_displacement_field(fixed, moving, model=small_model, fixed_modality="CT")
    empty = empty_image((40, 40, 40), spacing=(1, 1, 1), angle=0.0)
    with pytest.raises(DataError, match="constant"):
        register_displacement_field(empty, moving, model=difference_model)
    with pytest.raises(cnnmetric.ModelError, match="nowhere"):
        register_displacement_field(fixed, moving, model="nowhere")
    with pytest.raises(DataError, match=r"there is no file no\.txt with an initial"):
        register_displacement_field(fixed, moving, model=difference_model, initial="no.txt")
    far = itk.image_duplicator(moving)
    far.SetOrigin([500.0, 0.0, 0.0])
    with pytest.raises(DataError, match="the moving image shows nothing where the fixed image"):
        register_displacement_field(fixed, far, model=difference_model)
    fine = (FieldLevel(grid_spacing=0.01, iterations=1),)
    with pytest.raises(DataError, match=r"a grid of 0.01 mm over .* mm has .* voxels, and 1.5e"):
        register_displacement_field(fixed, moving, model=difference_model, levels=fine)
    for levels in ([2.0, 1.0], QUICK[0], "2.0"):
        given: Any = levels
        with pytest.raises(SettingsError, match=r"must be a list of cnnmetric\.FieldLevel"):
            register_displacement_field(fixed, moving, model=difference_model, levels=given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"search": 3}, r"search is 3 \(int\) but must be a cnnmetric\.DiscreteSearch"),
        ({"seed": 1j}, "seed is 1j"),
        ({"on_iteration": "print"}, "on_iteration is 'print' .* a function, or None"),
    ],
)
def test_arguments_of_a_wrong_kind(
    arguments: dict[str, Any], message: str, fixed: Any, moving: Any, difference_model: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        register_displacement_field(fixed, moving, model=difference_model, **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid_spacing": 0.0}, "grid_spacing of a level is 0.0 but must be above 0"),
        ({"step": float("nan")}, "step of a level is nan but must be above 0"),
        ({"iterations": -1}, "iterations of a level is -1 but must not be below 0"),
        ({"update_smoothing": float("inf")}, "update_smoothing of a level is inf but must be at"),
        ({"step": 1e9}, r"step of a level is 1000000000\.0 but must be at most 1000"),
        ({"field_smoothing": -1.0}, "field_smoothing of a level is -1.0 but must not be"),
        ({"iterations": 1.5}, r"iterations of a level is 1\.5 .*must be a whole number"),
        ({"step": "1"}, r"step of a level is '1' \(str\) but must be a number"),
        ({"image_smoothing": None}, "image_smoothing of a level is None"),
        ({"grid_spacing": np.ones(2)}, "grid_spacing of a level is array"),
        ({"grid_spacing": 10**400}, "grid_spacing of a level is 1000+ but must be at most 1000"),
    ],
)
def test_levels_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FieldLevel(**{"grid_spacing": 1.0, "iterations": 1, **changes})


def test_a_stride_of_one_has_one_patch_grid() -> None:
    assert starts(1, 3, np.random.default_rng(0)) == [(0, 0, 0)]


@pytest.mark.parametrize(("stride", "dimension", "number"), [(4, 3, 4), (4, 2, 2), (2, 3, 4)])
def test_patch_grids_of_a_level_are_even(stride: int, dimension: int, number: int) -> None:
    found = starts(stride, dimension, np.random.default_rng(0))
    assert len(set(found)) == number
    away = (np.array(found)[:, None] - np.array(found)[None]) % stride
    distance = np.linalg.norm(np.minimum(away, stride - away), axis=-1)
    apart = distance[~np.eye(number, dtype=bool)]
    np.testing.assert_allclose(apart, stride / 2 * np.sqrt(2.0))
