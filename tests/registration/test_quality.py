# SPDX-License-Identifier: Apache-2.0
"""A registration is judged without labels: what is right looks right, what failed looks failed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.registration.stage import Stage
from cnnmetric.report import judgement
from cnnmetric.report.quality import Quality
from cnnmetric.report.quality import measure
from support.known_pair import mean_error
from support.metric_images import ball_mask
from support.metric_images import points_of


def judged(result: RegistrationResult, moving: Any, transform: Any = None) -> Quality:
    """Return the quality of a made-up registration of the fixed image of a result."""
    assert result.comparison is not None
    found = measure(
        result.target,
        moving,
        transform=transform,
        before=None,
        stages=(),
        folded=0.0,
        comparison=result.comparison,
    )
    return replace(found, warnings=tuple(judgement.warnings_for(found)))


def test_a_right_registration_looks_right(rigid: RegistrationResult, fixed: Any) -> None:
    assert mean_error(rigid, fixed) < 1.0
    quality = rigid.quality
    assert quality.agreement > 0.85
    assert quality.overlap > 0.9
    assert quality.value < quality.before
    assert quality.rise > 0
    assert quality.folded == 0.0
    assert [name for name, _ in quality.stages] == ["rigid"]
    # Both images of the known pair are of one modality, which the model calls T1 and T1b.
    (warning,) = quality.warnings
    assert warning.startswith("Both images look like the same modality")


def test_the_metric_is_lowest_at_a_right_result(rigid: RegistrationResult) -> None:
    quality = rigid.quality
    assert len(quality.displaced) == 12
    assert all(point.value > quality.value for point in quality.displaced)
    for axis in range(3):
        near, far = (
            [p.value for p in quality.displaced if p.axis == axis and abs(p.millimetres) == step]
            for step in sorted({abs(p.millimetres) for p in quality.displaced})
        )
        assert min(far) > max(near)


def test_the_map_lies_where_the_fixed_image_is(rigid: RegistrationResult, fixed: Any) -> None:
    quality = rigid.quality
    shape = itk.array_view_from_image(quality.dissimilarity).shape
    assert quality.counted.shape == shape
    places = points_of(quality.dissimilarity)[quality.counted]
    # Of the anatomy, which is an ellipsoid around the origin of 16 x 19 x 17 mm.
    assert np.linalg.norm(places / np.array([16.0, 19.0, 17.0]), axis=-1).max() < 1.5
    assert np.abs(places.mean(axis=0)).max() < 3.0
    inside = itk.array_view_from_image(quality.dissimilarity)[quality.counted]
    assert quality.value == pytest.approx(float(inside.mean()))


def test_noise_looks_failed(rigid: RegistrationResult, fixed: Any) -> None:
    noise = np.random.default_rng(0).random(itk.array_view_from_image(fixed).shape)
    quality = judged(rigid, image_like(noise.astype(np.float32), fixed))
    assert quality.agreement < judgement.AGREEMENT_WRONG
    assert quality.warnings[0].startswith("The images do not fit: ")


def test_a_result_beside_the_best_place_says_so(rigid: RegistrationResult, moving: Any) -> None:
    beside = itk.TranslationTransform[itk.D, 3].New()
    beside.SetOffset([5.0, 0.0, 0.0])
    transform = warping.composite_transform([rigid.transform, beside], 3)
    text = " ".join(judged(rigid, moving, transform).warnings)
    assert "the registration ended beside the best place" in text


def test_the_metric_is_lower_with_the_moving_image_put_back(
    rigid: RegistrationResult, fixed: Any
) -> None:
    """The moving image is the fixed one, displaced along the first axis of its grid."""
    step = 2 * rigid.quality.grid_spacing
    moved = image_like(itk.array_from_image(fixed), fixed)
    along = itk.array_from_matrix(fixed.GetDirection())[:, 0]
    moved.SetOrigin((np.asarray(fixed.GetOrigin()) + step * along).tolist())
    best = min(judged(rigid, moved).displaced, key=lambda point: point.value)
    assert best.axis == 0
    assert best.millimetres == pytest.approx(-step)


def test_only_patches_inside_of_the_masks_count(rigid: RegistrationResult, fixed: Any) -> None:
    assert rigid.comparison is not None
    mask = ball_mask(fixed, radius=9.0)
    masked = replace(rigid, comparison=replace(rigid.comparison, fixed_mask=mask))
    places = points_of(masked.quality.dissimilarity)[masked.quality.counted]
    assert 0 < masked.quality.counted.sum() < rigid.quality.counted.sum()
    assert np.linalg.norm(places, axis=-1).max() < 10.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"agreement": 0.75}, "The fit is doubtful: only 75%"),
        ({"agreement": 0.5}, "The images do not fit: 50%"),
        ({"linear_agreement": 0.55}, "The images did not fit before they were deformed: only 55%"),
        ({"overlap": 0.4}, "The images overlap by 40% only"),
        ({"folded": 0.02}, "The transform folds at 2.0% of the voxels"),
        ({"coarseness": 4.0}, "The voxels are up to 4.0 times as large"),
        ({"coarseness": 0.1}, "The voxels are 0.10 times the size"),
        ({"swapped": -9.0}, "The modalities look swapped: with the fixed image taken for T1b"),
        ({"flipped": -9.0}, "Mirrored left to right, the moving image fits better"),
        ({"before": -9.0}, "The metric did not improve: it was -9.000 before"),
        ({"stages": (("a", -9.0), ("b_c", -5.0))}, "The metric did not improve in the stage b c"),
        ({"correlation": 0.3, "modalities": ("T1", "T2")}, "Both images look like the same"),
    ],
)
def test_what_is_off_is_said(
    changes: dict[str, Any], expected: str, rigid: RegistrationResult
) -> None:
    right = replace(rigid.quality, correlation=0.0, warnings=())
    assert not list(judgement.warnings_for(right))
    assert any(
        text.startswith(expected) for text in judgement.warnings_for(replace(right, **changes))
    )


def test_a_model_for_any_two_contrasts_takes_two_of_one_modality(rigid: RegistrationResult) -> None:
    same = replace(rigid.quality, correlation=0.95, modalities=("any", "any"), swapped=None)
    assert not list(judgement.warnings_for(same))


def test_the_log_has_the_figures_once_asked_for(
    fixed: Any, rigid: RegistrationResult, tmp_path: Path
) -> None:
    fresh = replace(rigid, log={k: v for k, v in rigid.log.items() if k != "quality"})
    assert "quality" not in fresh.log
    quality = fresh.quality
    fresh.save(tmp_path)
    found = json.loads((tmp_path / "log.json").read_text())["quality"]
    assert found["value"] == pytest.approx(quality.value, abs=1e-6)
    assert found["warnings"] == list(quality.warnings)
    assert found["displaced"][0][0] == "x"


def test_a_result_of_files_has_no_quality(rigid: RegistrationResult) -> None:
    read = replace(rigid, comparison=None)
    with pytest.raises(SettingsError, match="this result was read from files"):
        _ = read.quality
    assert read._repr_html_().startswith("<p>&lt;RegistrationResult 3D: rigid")


def test_a_stage_that_made_it_worse_is_named(rigid: RegistrationResult, moving: Any) -> None:
    away = itk.TranslationTransform[itk.D, 3].New()
    away.SetOffset([9.0, 0.0, 0.0])
    transform = warping.composite_transform([rigid.transform, away], 3)
    bad = Stage(name="worse", seconds=1.0, trace=(), transform=transform)
    quality = replace(rigid, stages=(bad, *rigid.stages)).quality
    assert any("in the stage worse: it went" in text for text in quality.warnings)


@pytest.mark.parametrize("thickness", [4.0, 0.6])
def test_a_mask_thinner_than_patches_are_apart(
    rigid: RegistrationResult, fixed: Any, thickness: float
) -> None:
    """The grid goes around it, and a patch has its centre there."""
    assert rigid.comparison is not None
    slab = np.abs(points_of(fixed) @ [0.6, 0.0, 0.8] - 3.1) <= thickness
    ball = itk.array_view_from_image(ball_mask(fixed, radius=8.0)) != 0
    mask = image_like((slab & ball).astype(np.uint8), fixed)
    assert itk.array_view_from_image(mask).any()
    masked = replace(rigid, comparison=replace(rigid.comparison, fixed_mask=mask))
    assert masked.quality.counted.any()
    places = points_of(masked.quality.dissimilarity)[masked.quality.counted]
    voxel = max(fixed.GetSpacing())
    assert np.abs(places @ [0.6, 0.0, 0.8] - 3.1).max() <= thickness + voxel


def test_a_result_that_cannot_be_judged_is_saved(
    rigid: RegistrationResult, fixed: Any, tmp_path: Path
) -> None:
    """As with a mask where the fixed image shows nothing."""
    assert rigid.comparison is not None
    dark = itk.array_view_from_image(fixed) <= 0
    comparison = replace(rigid.comparison, fixed_mask=image_like(dark.astype(np.uint8), fixed))
    result = replace(rigid, comparison=comparison, log={**rigid.log})
    result.save(tmp_path, report=True)
    assert (tmp_path / "warped.nii.gz").is_file()
    assert not (tmp_path / "report.html").exists()
    (warning,) = json.loads((tmp_path / "log.json").read_text())["quality"]["warnings"]
    assert warning == (
        "The result cannot be judged: the fixed image shows nothing inside of the fixed mask"
    )
    assert result._repr_html_().startswith("<p>&lt;RegistrationResult 3D: rigid")


def test_dots_between_the_patches_are_found(rigid: RegistrationResult) -> None:
    """Dots along the faces say where the grid begins, and none is on its patches' centres."""
    assert rigid.comparison is not None
    stride = DissimilarityNetwork(rigid.comparison.model).stride
    dots = np.zeros((40, 40, 40), dtype=np.float32)
    half = slice(4 + stride // 2, 36, stride)
    dots[half, half, half] = 1.0
    for axis in range(3):
        np.moveaxis(dots, axis, 0)[4, 4 + stride // 2, 4 + stride // 2] = 1.0
    image = itk.image_from_array(dots)
    quality = judged(replace(rigid, target=image), image)
    assert quality.counted.any()
