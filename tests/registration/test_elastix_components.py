# SPDX-License-Identifier: Apache-2.0
"""CNNMetric finds a known transform with each of elastix's optimizers, samplers and transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnmetric.registration import elastix_transforms
from support.elastix_cases import ROTATION
from support.elastix_cases import SHIFT
from support.elastix_cases import Settings
from support.elastix_cases import dimension_of
from support.elastix_cases import images
from support.elastix_cases import translation
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import anatomy
from support.metric_images import points_of
from support.metric_images import rotation
from support.metric_images import write_difference_model

# Settings with which each optimizer converges on the value's scale; the derivative is about 0.05
# per mm in 2D and 0.02 in 3D.
GRADIENT_OPTIMIZERS: dict[str, Settings] = {
    "AdaptiveStochasticGradientDescent": {"MaximumNumberOfIterations": "120"},
    "RegularStepGradientDescent": {
        "MaximumStepLength": "1.0",
        "MinimumStepLength": "0.01",
        "RelaxationFactor": "0.85",
        "MaximumNumberOfIterations": "80",
    },
    "RSGDEachParameterApart": {
        "MaximumStepLength": "1.0",
        "MinimumStepLength": "0.01",
        "MaximumNumberOfIterations": "80",
    },
    "StandardGradientDescent": {
        "SP_a": "600.0",
        "SP_A": "10.0",
        "SP_alpha": "1.0",
        "MaximumNumberOfIterations": "80",
    },
    "QuasiNewtonLBFGS": {"MaximumNumberOfIterations": "20"},
    "ConjugateGradient": {"MaximumNumberOfIterations": "20"},
}
OTHER_OPTIMIZERS: dict[str, Settings] = {
    "ConjugateGradientFRPR": {
        "MaximumNumberOfIterations": "8",
        "MaximumNumberOfLineSearchIterations": "5",
    },
    "PreconditionedStochasticGradientDescent": {
        # Takes its own samples from elastix's sampler, so there has to be one.
        "ImageSampler": "RandomCoordinate",
        "MaximumStepLength": "1.0",
        "MaximumNumberOfIterations": "100",
    },
    "FiniteDifferenceGradientDescent": {
        "SP_a": "300.0",
        "SP_A": "10.0",
        "SP_alpha": "0.9",
        "SP_c": "0.3",
        "MaximumNumberOfIterations": "80",
    },
    "SimultaneousPerturbation": {
        "SP_a": "100.0",
        "SP_A": "10.0",
        "SP_alpha": "0.6",
        "SP_c": "0.5",
        "NumberOfPerturbations": "2",
        "MaximumNumberOfIterations": "150",
    },
    "Simplex": {"MaximumNumberOfIterations": "100"},
    "Powell": {"MaximumNumberOfIterations": "4"},
    "CMAEvolutionStrategy": {"StepLength": "1.0", "MaximumNumberOfIterations": "40"},
}
# Voxel size of the evaluation grid, mm: leaves room for several patches in the 50 mm of the images.
GRID: Settings = {"CNNMetricGridSpacing": "1.5"}
FULL: Settings = {"CNNMetricSampling": "Full", **GRID}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        dimension: write_difference_model(folder / f"{dimension}d.onnx", dimension=dimension)
        for dimension in (2, 3)
    }


def true_points(points: NDArray[np.float64], dimension: int) -> NDArray[np.float64]:
    """Return where the anatomy at fixed points lies in the moving image, in mm."""
    moved: NDArray[np.float64] = points @ rotation(ROTATION, dimension).T + SHIFT[:dimension]
    return moved


def mean_error(kind: str, transform: Any) -> float:
    """Return the mean distance, in mm, between found and true position inside the anatomy."""
    fixed, _ = images(kind)
    points = points_of(fixed)
    found = points + elastix_transforms.sampled(transform, fixed)
    inside = anatomy(points, modality="T1") > 0.1
    distance = np.linalg.norm(found - true_points(points, dimension_of(kind)), axis=-1)
    return float(distance[inside].mean())


@pytest.mark.parametrize("kind", ["float 2D", "float 3D"])
def test_there_is_something_to_find(kind: str) -> None:
    points = points_of(images(kind)[0])
    inside = anatomy(points, modality="T1") > 0.1
    distance = np.linalg.norm(true_points(points, dimension_of(kind)) - points, axis=-1)
    assert distance[inside].mean() > 2.5


@pytest.mark.parametrize("optimizer", GRADIENT_OPTIMIZERS)
@pytest.mark.parametrize("transform", ["EulerTransform", "AffineTransform"])
@pytest.mark.parametrize("kind", ["float 2D", pytest.param("float 3D", marks=pytest.mark.slow)])
def test_gradient_optimizer_finds_a_known_transform(
    kind: str, transform: str, optimizer: str, models: dict[int, Path]
) -> None:
    settings = {"Transform": transform, "Optimizer": optimizer, **FULL}
    settings |= GRADIENT_OPTIMIZERS[optimizer]
    if kind == "float 2D":
        settings["CNNMetricGridSpacing"] = "1.0"
    found = register(*images(kind), parameters(models[dimension_of(kind)], **settings))
    assert mean_error(kind, found) < 0.35


@pytest.mark.parametrize("optimizer", OTHER_OPTIMIZERS)
def test_optimizer_of_another_kind_finds_a_known_transform(
    optimizer: str, models: dict[int, Path]
) -> None:
    settings = {"Optimizer": optimizer, **FULL, "CNNMetricGridSpacing": "1.0"}
    settings |= OTHER_OPTIMIZERS[optimizer]
    found = register(*images("float 2D"), parameters(models[2], **settings))
    # Simultaneous perturbation walks at random towards the optimum.
    assert mean_error("float 2D", found) < 1.0


@pytest.mark.parametrize(
    "sampler",
    [
        "Full",
        "Grid",
        "Random",
        "RandomCoordinate",
        "MultiInputRandomCoordinate",
        "RandomSparseMask",
    ],
)
def test_sampler_finds_a_known_transform(sampler: str, models: dict[int, Path]) -> None:
    fixed, moving = images("float 3D")
    everywhere = np.ones(itk.array_view_from_image(fixed).shape, dtype=np.uint8)
    mask = itk.image_from_array(everywhere)
    mask.CopyInformation(fixed)
    settings = parameters(
        models[3],
        ImageSampler=sampler,
        NumberOfSpatialSamples="64",
        CNNMetricBlockSize="21",
        NumberOfGradientMeasurements="4",
        MaximumNumberOfIterations="40",
        **GRID,
    )
    # RandomSparseMask needs a mask; the others must not mind it.
    found = register(fixed, moving, settings, fixed_mask=mask)
    assert mean_error("float 3D", found) < 0.5


def test_weights_of_a_combination_are_found(models: dict[int, Path], tmp_path: Path) -> None:
    files = []
    for axis in range(3):
        files.append(str(tmp_path / f"{axis}.txt"))
        translation(np.eye(3)[axis].tolist()).WriteParameterFile(files[-1])
    fixed, _ = images("float 3D")
    moving = itk.image_duplicator(fixed)
    moving.SetOrigin([value + step for value, step in zip(fixed.GetOrigin(), SHIFT, strict=True)])
    settings = parameters(
        models[3],
        Transform="WeightedCombinationTransform",
        SubTransforms=files,
        Optimizer="QuasiNewtonLBFGS",
        MaximumNumberOfIterations="20",
        **FULL,
    )
    # Unit translations along x, y, z: their weights are the shift in mm.
    np.testing.assert_allclose(
        final_parameters(register(fixed, moving, settings)), SHIFT, atol=0.05
    )


def test_landmarks_of_a_spline_kernel_transform_are_moved(
    models: dict[int, Path], tmp_path: Path
) -> None:
    corners = [(x, y, z) for x in (-10, 10) for y in (-10, 10) for z in (-10, 10)]
    points = tmp_path / "points.txt"
    lines = [" ".join(map(str, corner)) for corner in corners]
    points.write_text("\n".join(["point", "8", *lines]) + "\n")
    settings = parameters(
        models[3],
        Transform="SplineKernelTransform",
        SplineKernelType="ThinPlateSpline",
        Optimizer="QuasiNewtonLBFGS",
        MaximumNumberOfIterations="20",
        **FULL,
    )
    found = register(*images("float 3D"), settings, fixed_point_set_file_name=str(points))
    landmarks = np.reshape(final_parameters(found), (-1, 3))
    distance = np.linalg.norm(landmarks - true_points(np.array(corners), 3), axis=-1)
    assert distance.mean() < 0.5


@pytest.mark.parametrize("combination", ["Compose", "Add"])
@pytest.mark.parametrize("given_as", ["object", "file"])
def test_initial_transform_is_honoured(
    combination: str, given_as: str, models: dict[int, Path], tmp_path: Path
) -> None:
    initial = translation(SHIFT.tolist())
    options: dict[str, Any] = {"initial_transform_parameter_object": initial}
    if given_as == "file":
        initial.WriteParameterFile(str(tmp_path / "initial.txt"))
        options = {"initial_transform_parameter_file_name": str(tmp_path / "initial.txt")}
    settings = parameters(
        models[3],
        HowToCombineTransforms=combination,
        Optimizer="QuasiNewtonLBFGS",
        MaximumNumberOfIterations="20",
        **FULL,
    )
    found = final_parameters(register(*images("float 3D"), settings, **options))
    # x -> R (x + shift), or R x + shift, has to equal R x + shift.
    turned = SHIFT - rotation(ROTATION) @ SHIFT if combination == "Compose" else np.zeros(3)
    np.testing.assert_allclose(found[3:], turned, atol=0.1)
    np.testing.assert_allclose(np.abs(found[:3]).max(), ROTATION, atol=0.01)
