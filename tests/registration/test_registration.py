# SPDX-License-Identifier: Apache-2.0
"""Whole registrations in stock elastix: known transforms are found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.stages import STAGES
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import anatomy
from support.metric_images import ball_mask
from support.metric_images import moved_subject
from support.metric_images import points_of
from support.metric_images import rotation
from support.metric_images import subject

ROTATION = 0.08  # radians about z and x
TRANSLATION = np.array([2.0, -1.5, 1.0])  # mm


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Return the same anatomy, turned and shifted, on another grid."""
    return moved_subject(angle=ROTATION, shift=TRANSLATION)


def true_displacement(fixed: Any) -> NDArray[np.float64]:
    """Return how far, in mm, every voxel of the anatomy has to move."""
    points = points_of(fixed)
    distance = np.linalg.norm(points @ rotation(ROTATION).T + TRANSLATION - points, axis=-1)
    moved: NDArray[np.float64] = distance[anatomy(points, modality="T1") > 0.1]
    return moved


def registration_error(fixed: Any, moving: Any, transform: Any) -> float:
    """Return the mean distance, in mm, between found and true position inside the anatomy."""
    points = points_of(fixed)
    found = points + elastix_transforms.sampled(transform, fixed)
    true = points @ rotation(ROTATION).T + TRANSLATION
    inside = anatomy(points, modality="T1") > 0.1
    return float(np.linalg.norm(found - true, axis=-1)[inside].mean())


@pytest.mark.parametrize(
    "sampling",
    [
        {"CNNMetricSampling": "Full"},
        {"CNNMetricSampling": "Blocks", "CNNMetricNumberOfBlocks": "6", "CNNMetricBlockSize": "25"},
    ],
    ids=["Full", "Blocks"],
)
def test_finds_a_known_rigid_transform(
    sampling: dict[str, str],
    fixed: Any,
    moving: Any,
    difference_model: Path,
) -> None:
    transform = register(
        fixed, moving, parameters(difference_model, MaximumNumberOfIterations="120", **sampling)
    )
    assert true_displacement(fixed).mean() > 2.5  # there is something to find
    assert registration_error(fixed, moving, transform) < 0.4


def test_bspline_deforms_the_moving_image_onto_the_fixed(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    bspline = parameters(
        difference_model,
        Transform="RecursiveBSplineTransform",
        FinalGridSpacingInPhysicalUnits="14",
        MaximumNumberOfIterations="60",
        WriteResultImage="true",
    )
    result, _ = itk.elastix_registration_method(
        fixed, moving, parameter_object=bspline, log_to_console=False
    )
    start = itk.array_from_image(
        itk.resample_image_filter(moving, reference_image=fixed, use_reference_image=True)
    )
    target = itk.array_from_image(fixed)
    before = np.abs(start - target).mean()
    after = np.abs(itk.array_from_image(result) - target).mean()
    assert after < 0.35 * before


def test_same_seed_same_result(fixed: Any, moving: Any, difference_model: Path) -> None:
    runs = [
        final_parameters(
            register(
                fixed,
                moving,
                parameters(difference_model, CNNMetricBlockSize="25", RandomSeed=seed),
            )
        )
        for seed in ("3", "3", "4")
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_masks_reach_the_metric(fixed: Any, moving: Any, difference_model: Path) -> None:
    def run(**masks: Any) -> list[float]:
        settings = parameters(difference_model, CNNMetricSampling="Full")
        return final_parameters(register(fixed, moving, settings, **masks))

    without = run()
    assert run(fixed_mask=ball_mask(fixed, radius=12.0)) != without
    assert run(moving_mask=ball_mask(moving, radius=20.0)) != without


def test_exact_value_is_that_of_the_whole_image(
    fixed: Any, moving: Any, difference_model: Path, tmp_path: Path
) -> None:
    settings = parameters(
        difference_model, ShowExactMetricValue="true", MaximumNumberOfIterations="3"
    )
    register(
        fixed,
        moving,
        settings,
        log_to_file=True,
        output_directory=str(tmp_path),
        log_file_name="log",
    )
    table = [
        line.split("\t") for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    ]
    header = next(row for row in table if row[0] == "1:ItNr")
    column = next(i for i, name in enumerate(header) if "ExactMetric" in name)
    values = [float(row[column]) for row in table if len(row) == len(header) and row[0].isdigit()]
    assert len(values) == 3
    assert all(0.0 < value < 1.0 for value in values)


@pytest.mark.parametrize("name", cnnmetric.parameter_files.names())
def test_shipped_parameter_file_runs(name: str, fixed: Any, moving: Any) -> None:
    settings = itk.ParameterObject.New()
    settings.AddParameterFile(str(cnnmetric.parameter_files.path(name)))
    settings.SetParameter("MaximumNumberOfIterations", "2")
    transform = register(fixed, moving, settings)
    assert np.isfinite(final_parameters(transform)).all()


def test_parameter_files_run_one_after_the_other(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    settings = itk.ParameterObject.New()
    for name in STAGES:
        settings.AddParameterFile(str(cnnmetric.parameter_files.path(f"cnn_{name}")))
    settings.SetParameter("MaximumNumberOfIterations", "2")
    settings.SetParameter("CNNMetricModel", str(difference_model))
    settings.SetParameter("CNNMetricGridSpacing", "2.0")
    settings.RemoveParameter("CNNMetricBlockSize")
    transform = register(fixed, moving, settings)
    assert transform.GetNumberOfParameterMaps() == len(STAGES)
