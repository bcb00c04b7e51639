# SPDX-License-Identifier: Apache-2.0
"""One value per resolution for every CNNMetric parameter; samples, masks and their erosion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnmetric
from support.elastix_cases import images
from support.elastix_cases import translation
from support.elastix_runs import final_parameters
from support.elastix_runs import iterations
from support.elastix_runs import log_of
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.elastix_runs import setups
from support.metric_images import ball_mask
from support.metric_images import image_of
from support.metric_images import write_small_model


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "other.onnx")


def levels(model: Path, folder: Path, **changes: str | list[str]) -> list[str]:
    """Return what the log says of the metric in each of two resolutions."""
    settings: dict[str, str | list[str]] = {
        "NumberOfResolutions": "2",
        "CNNMetricGridSpacing": "2.0",
        "CNNMetricBlockSize": "21",
        "CNNMetricNumberOfBlocks": "2",
        "Optimizer": "RegularStepGradientDescent",
        "MaximumStepLength": "0.5",
        "MaximumNumberOfIterations": "1",
    }
    for name in changes:
        settings.pop(name, None)
    values = parameters(model, **settings | changes)
    lines = setups(log_of(*images("float 3D"), values, folder))
    assert len(lines) == 2
    return lines


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        (
            "CNNMetricFixedModality",
            ["T1b", "T1"],
            ["fixed T1b, moving T1,", "fixed T1, moving T1b"],
        ),
        ("CNNMetricSampling", ["Full", "Blocks"], ["sampling Full", "sampling 2 blocks"]),
        ("CNNMetricNumberOfBlocks", ["3", "5"], ["sampling 3 blocks", "sampling 5 blocks"]),
        ("CNNMetricBlockSize", ["21", "25"], ["blocks of 21 voxels", "blocks of 25 voxels"]),
        # The nearest that fits the model: 17 + 4 k.
        ("CNNMetricBlockSize", ["5", "24"], ["blocks of 17 voxels", "blocks of 25 voxels"]),
        ("CNNMetricGridSpacing", ["2.4", "1.7"], ["grid spacing 2.4 mm", "grid spacing 1.7 mm"]),
        ("CNNMetricNumberOfThreads", ["2", "1"], [", 2 threads", ", 1 threads"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_per_resolution(
    name: str, values: list[str], shown: list[str], difference_model: Path, tmp_path: Path
) -> None:
    first, second = levels(difference_model, tmp_path, **{name: values})
    assert shown[0] in first
    assert shown[1] in second


def test_threads_that_a_level_leaves_to_elastix(difference_model: Path, tmp_path: Path) -> None:
    def threads(*values: str) -> list[str]:
        lines = levels(difference_model, tmp_path, CNNMetricNumberOfThreads=list(values))
        return [re.findall(r", (\d+) threads", line)[0] for line in lines]

    own, _ = threads("0", "0")
    other = "2" if own == "1" else "1"
    assert threads(other, "0") == [other, own]


def test_model_per_resolution(difference_model: Path, other_model: Path, tmp_path: Path) -> None:
    models: list[str] = [str(difference_model), str(other_model)]
    first, second = levels(difference_model, tmp_path, CNNMetricModel=models)
    assert f"model {difference_model}, fixed T1, moving T1b" in first
    assert f"model {other_model}, fixed T1, moving T2" in second


def test_device_per_resolution(difference_model: Path, tmp_path: Path) -> None:
    # The second is no device, so the first resolution must have used the first.
    with pytest.raises(cnnmetric.MetricError, match="Device 'abacus' is not known"):
        levels(difference_model, tmp_path, CNNMetricDevice=["cpu", "abacus"])
    assert len(setups((tmp_path / "elastix.log").read_text(encoding="utf-8"))) == 1


def test_default_grid_follows_the_pyramid(difference_model: Path, tmp_path: Path) -> None:
    settings = parameters(
        difference_model,
        NumberOfResolutions="2",
        FixedImagePyramidSchedule=["2", "2", "2", "1", "1", "1"],
        CNNMetricBlockSize="21",
        MaximumNumberOfIterations="1",
    )
    first, second = setups(log_of(*images("float 3D"), settings, tmp_path))
    assert "grid spacing 2 mm" in first
    assert "grid spacing 1 mm" in second


def test_samples_per_resolution(difference_model: Path, tmp_path: Path) -> None:
    lines = levels(
        difference_model,
        tmp_path,
        ImageSampler="RandomCoordinate",
        NumberOfSpatialSamples=["16", "20"],
        CNNMetricNumberOfBlocks=[],
    )
    # A block of 21 voxels holds 2 x 2 x 2 patches; whole blocks are drawn.
    assert "sampling 2 blocks" in lines[0]
    assert "sampling 3 blocks" in lines[1]


@pytest.mark.parametrize(
    ("sampler", "shown"),
    [
        ("Full", "sampling Full"),
        ("Grid", "sampling Full"),
        ("Random", "sampling 2 blocks"),
        ("RandomCoordinate", "sampling 2 blocks"),
        ("MultiInputRandomCoordinate", "sampling 2 blocks"),
    ],
)
def test_sampler_decides_what_is_sampled(
    sampler: str, shown: str, difference_model: Path, tmp_path: Path
) -> None:
    samples = {"ImageSampler": sampler, "NumberOfSpatialSamples": "16"}
    lines = levels(difference_model, tmp_path, CNNMetricNumberOfBlocks=[], **samples)
    assert all(shown in line for line in lines)


def test_cnnmetric_parameters_outrank_the_sampler(difference_model: Path, tmp_path: Path) -> None:
    samples = {"ImageSampler": "Full", "CNNMetricSampling": "Blocks"}
    lines = levels(difference_model, tmp_path, CNNMetricNumberOfBlocks="4", **samples)
    assert all("sampling 4 blocks" in line for line in lines)


@pytest.mark.parametrize(("new_samples", "differ"), [("true", True), ("false", False)])
def test_new_samples_every_iteration(
    new_samples: str, differ: bool, difference_model: Path, tmp_path: Path
) -> None:
    settings = parameters(
        difference_model,
        ImageSampler="RandomCoordinate",
        NumberOfSpatialSamples="8",
        NewSamplesEveryIteration=new_samples,
        CNNMetricGridSpacing="1.5",
        CNNMetricBlockSize="21",
        # Stands still, so that only other samples can change the value.
        Optimizer="StandardGradientDescent",
        SP_a="1e-9",
        MaximumNumberOfIterations="4",
    )
    rows = iterations(log_of(*images("float 3D"), settings, tmp_path))
    assert (len({row["2:Metric"] for row in rows}) > 1) is differ


def box_mask(image: Any, *, slices: slice) -> Any:
    """Return a mask that holds some slices of an image."""
    mask = np.zeros(tuple(reversed(image.GetLargestPossibleRegion().GetSize())), dtype=np.uint8)
    mask[slices] = 1
    return image_of(
        mask,
        spacing=list(image.GetSpacing()),
        origin=list(image.GetOrigin()),
        direction=np.asarray(image.GetDirection()),
    )


def full(model: Path, **changes: str | list[str]) -> Any:
    """Return settings of one resolution over the whole image."""
    whole = {"CNNMetricSampling": "Full", "CNNMetricGridSpacing": "1.5"}
    return parameters(model, **whole | changes)


def counts_of(message: str) -> list[int]:
    """Return the whole numbers of a message about samples."""
    return [int(number) for number in re.findall(r"(?<![.\d])\d+(?![.\d])", message)]


def test_moving_mask_far_away_is_named_with_counts(difference_model: Path) -> None:
    fixed, moving = images("float 3D")
    mask = box_mask(moving, slices=slice(0, 2))
    with pytest.raises(cnnmetric.MetricError, match="0 of these into the moving mask") as caught:
        register(fixed, moving, full(difference_model), moving_mask=mask)
    evaluated, in_buffer, in_mask = counts_of(str(caught.value))[:3]
    assert evaluated >= in_buffer > in_mask == 0


def test_fixed_mask_without_patch_centres_is_named(difference_model: Path) -> None:
    fixed, moving = images("float 3D")
    mask = box_mask(fixed, slices=slice(0, 2))  # no patch has its centre so near to the border
    with pytest.raises(cnnmetric.MetricError, match="fixed mask"):
        register(fixed, moving, full(difference_model), fixed_mask=mask)


def test_required_ratio_decides(difference_model: Path) -> None:
    fixed, moving = images("float 3D")
    start = {"initial_transform_parameter_object": translation([22.0, 0.0, 0.0])}
    strict = full(difference_model, RequiredRatioOfValidSamples="0.95")
    with pytest.raises(cnnmetric.MetricError, match=r"asks for a share of 0\.95"):
        register(fixed, moving, strict, **start)
    lenient = full(difference_model, RequiredRatioOfValidSamples="0.05")
    assert np.isfinite(final_parameters(register(fixed, moving, lenient, **start))).all()


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_erosion_has_an_effect(role: str, difference_model: Path, tmp_path: Path) -> None:
    pair = dict(zip(("fixed", "moving"), images("float 3D"), strict=True))
    masks = {f"{role}_mask": ball_mask(pair[role], radius=13.0)}

    def first_value(erode: str) -> float:
        folder = tmp_path / erode
        folder.mkdir()
        erosion = {f"Erode{role.capitalize()}Mask": erode}
        settings = full(difference_model, RequiredRatioOfValidSamples="0.0", **erosion)
        log = log_of(pair["fixed"], pair["moving"], settings, folder, **masks)
        return iterations(log)[0]["2:Metric"]

    assert first_value("true") != first_value("false")
