# SPDX-License-Identifier: Apache-2.0
"""CNNMetric beside other metrics: penalty, mutual information, another CNNMetric."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.elastix_cases import Settings
from support.elastix_cases import images
from support.elastix_cases import translation
from support.elastix_runs import final_parameters
from support.elastix_runs import iterations
from support.elastix_runs import log_of
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.elastix_runs import setups
from support.metric_images import subject
from support.metric_images import write_small_model
from support.scripts import run_script

BENDING = "TransformBendingEnergyPenalty"
MUTUAL_INFORMATION = "AdvancedMattesMutualInformation"
PRINTED = 2e-6  # elastix writes six digits


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "other.onnx", seed=7)


def together(model: Path, *metrics: str, **changes: str | list[str]) -> Any:
    """Return settings of a B-spline registration with several metrics."""
    number = len(metrics)
    settings: Settings = {
        "Registration": "MultiMetricMultiResolutionRegistration",
        "Metric": list(metrics),
        "FixedImagePyramid": ["FixedSmoothingImagePyramid"] * number,
        "MovingImagePyramid": ["MovingSmoothingImagePyramid"] * number,
        "Interpolator": ["LinearInterpolator"] * number,
        "ImageSampler": ["RandomCoordinate"] * number,
        "NumberOfSpatialSamples": "500",
        "Transform": "BSplineTransform",
        "FinalGridSpacingInPhysicalUnits": "20",
        "Optimizer": "RegularStepGradientDescent",
        "MaximumStepLength": "0.5",
        "MaximumNumberOfIterations": "3",
        "CNNMetricSampling": "Full",
        "CNNMetricGridSpacing": "2.0",
        # elastix crashes without, with any metric beside the bending energy penalty.
        "UseMultiThreadingForMetrics": "false",
    }
    return parameters(model, **settings | changes)


def run(settings: Any, folder: Path, **options: Any) -> list[dict[str, float]]:
    return iterations(log_of(*images("float 3D"), settings, folder, **options))


@pytest.mark.parametrize("second", [BENDING, MUTUAL_INFORMATION])
def test_value_is_the_weighted_sum(second: str, difference_model: Path, tmp_path: Path) -> None:
    settings = together(
        difference_model,
        "CNNMetric",
        second,
        Metric0Weight="2.0",
        Metric1Weight="0.3",
        MaximumStepLength="4.0",  # enough to bend
    )
    rows = run(settings, tmp_path)
    assert len(rows) == 3
    for row in rows:
        assert row["2:Metric0"] > 0.01
        total = 2.0 * row["2:Metric0"] + 0.3 * row["2:Metric1"]
        assert row["2:Metric"] == pytest.approx(total, abs=PRINTED, rel=1e-3)
    assert rows[-1]["2:Metric0"] < rows[0]["2:Metric0"]
    assert rows[-1]["2:Metric1"] != 0.0


def test_weight_scales_the_share_of_the_derivative(difference_model: Path) -> None:
    directions = []
    for weight in ("0.0", "1.0", "1000.0"):
        settings = together(
            difference_model,
            "CNNMetric",
            MUTUAL_INFORMATION,
            Metric0Weight=weight,
            Metric1Weight="1.0",
            MaximumNumberOfIterations="1",
        )
        step = np.array(final_parameters(register(*images("float 3D"), settings)))
        directions.append(step / np.linalg.norm(step))
    alone = parameters(
        difference_model,
        Transform="BSplineTransform",
        FinalGridSpacingInPhysicalUnits="20",
        Optimizer="RegularStepGradientDescent",
        MaximumStepLength="0.5",
        MaximumNumberOfIterations="1",
        CNNMetricSampling="Full",
        CNNMetricGridSpacing="2.0",
    )
    step = np.array(final_parameters(register(*images("float 3D"), alone)))
    along = [float(direction @ step / np.linalg.norm(step)) for direction in directions]
    assert along[0] < along[1] < along[2]
    assert along[2] > 0.999


def test_relative_weights_scale_the_derivatives(difference_model: Path, tmp_path: Path) -> None:
    settings = together(
        difference_model,
        "CNNMetric",
        MUTUAL_INFORMATION,
        UseRelativeWeights="true",
        Metric0RelativeWeight="0.7",
        Metric1RelativeWeight="0.3",
    )
    for row in run(settings, tmp_path):
        # elastix: the weight is the share, over the derivative's size, times that of metric 0.
        ratio = row["4:||Gradient0||"] / row["4:||Gradient1||"]
        total = 0.7 * row["2:Metric0"] + 0.3 * ratio * row["2:Metric1"]
        assert row["2:Metric"] == pytest.approx(total, rel=1e-2)


def test_two_models_in_one_registration(
    difference_model: Path, other_model: Path, tmp_path: Path
) -> None:
    def log_with(folder: str, **changes: str) -> str:
        (tmp_path / folder).mkdir()
        settings = together(difference_model, "CNNMetric", "CNNMetric", **changes)
        return log_of(*images("float 3D"), settings, tmp_path / folder)

    log = log_with(
        "different",
        Metric1CNNMetricModel=str(other_model),
        Metric1CNNMetricFixedModality="T2",
        Metric1CNNMetricSampling="Blocks",
        Metric1CNNMetricNumberOfBlocks="3",
        Metric1CNNMetricBlockSize="21",
    )
    first, second = setups(log)
    assert str(difference_model) in first
    assert "sampling Full" in first
    assert str(other_model) in second
    assert "fixed T2, moving T1" in second
    assert "3 blocks of 21" in second
    different = iterations(log)
    same = iterations(log_with("same"))
    # Metric 1 does not disturb metric 0.
    assert different[0]["2:Metric0"] == same[0]["2:Metric0"]
    assert same[0]["2:Metric1"] == same[0]["2:Metric0"]
    assert abs(different[0]["2:Metric1"] - same[0]["2:Metric1"]) > 1e-3


def test_order_of_the_metrics_does_not_matter(difference_model: Path, tmp_path: Path) -> None:
    rows = []
    for metrics in (("CNNMetric", MUTUAL_INFORMATION), (MUTUAL_INFORMATION, "CNNMetric")):
        folder = tmp_path / metrics[0]
        folder.mkdir()
        rows.append(run(together(difference_model, *metrics), folder))
    assert rows[1][0]["2:Metric1"] == rows[0][0]["2:Metric0"]


def test_exact_value_of_each_metric(difference_model: Path, tmp_path: Path) -> None:
    settings = together(
        difference_model,
        "CNNMetric",
        MUTUAL_INFORMATION,
        ShowExactMetricValue="true",
        # elastix shows the exact value after the step, so there is none.
        Optimizer="StandardGradientDescent",
        SP_a="1e-9",
        CNNMetricSampling="Blocks",
        CNNMetricNumberOfBlocks="2",
        CNNMetricBlockSize="21",
        Metric0Weight="1.0",
        Metric1Weight="0.5",
    )
    rows = run(settings, tmp_path)
    (tmp_path / "full").mkdir()
    full = run(together(difference_model, "CNNMetric", MUTUAL_INFORMATION), tmp_path / "full")
    for row in rows:
        total = row["ExactMetric0"] + 0.5 * row["ExactMetric1"]
        assert row["ExactMetric"] == pytest.approx(total, abs=PRINTED, rel=1e-3)
    assert rows[0]["ExactMetric0"] == pytest.approx(full[0]["2:Metric0"], abs=PRINTED, rel=1e-3)
    assert rows[0]["2:Metric0"] != rows[0]["ExactMetric0"]


def test_threads_for_metrics(difference_model: Path, tmp_path: Path) -> None:
    values = []
    for threads in ("false", "true"):
        settings = together(
            difference_model,
            "CNNMetric",
            MUTUAL_INFORMATION,
            UseMultiThreadingForMetrics=threads,
        )
        (tmp_path / threads).mkdir()
        values.append([row["2:Metric"] for row in run(settings, tmp_path / threads)])
    assert values[1] == pytest.approx(values[0], rel=1e-4)


def test_failure_beside_another_metric_reaches_python(difference_model: Path) -> None:
    settings = together(difference_model, "CNNMetric", MUTUAL_INFORMATION)
    far_away = translation([300.0, 0.0, 0.0])
    with pytest.raises(cnnmetric.MetricError, match="0 map into the moving image's buffer"):
        register(*images("float 3D"), settings, initial_transform_parameter_object=far_away)


def test_unknown_name_with_a_label_is_refused(difference_model: Path) -> None:
    settings = together(
        difference_model, "CNNMetric", MUTUAL_INFORMATION, Metric0CNNMetricModle="t1t2"
    )
    with pytest.raises(cnnmetric.MetricError, match="Metric0CNNMetricModle"):
        register(*images("float 3D"), settings)


def test_several_fixed_images_each_with_a_metric(difference_model: Path, tmp_path: Path) -> None:
    fixed, moving = images("float 3D")
    other_fixed = subject("T2", size=(36, 34, 32), spacing=(1.4, 1.5, 1.6), angle=0.2)
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    method.AddFixedImage(other_fixed)
    method.AddMovingImage(moving)
    method.SetParameterObject(together(difference_model, "CNNMetric", "CNNMetric"))
    method.SetLogToConsole(False)
    method.SetLogToFile(True)
    method.SetOutputDirectory(str(tmp_path))
    method.SetLogFileName("elastix.log")
    method.UpdateLargestPossibleRegion()
    row = iterations((tmp_path / "elastix.log").read_text(encoding="utf-8"))[0]
    assert row["2:Metric1"] > 1.1 * row["2:Metric0"]  # the other contrast fits less


SHARED = """
import sys
from metric.test_multi_metric import MUTUAL_INFORMATION, shared, together
from support.elastix_cases import images
from support.elastix_runs import final_parameters, register

metrics = (MUTUAL_INFORMATION, "CNNMetric")
for threads in ("0", "1"):
    settings = together(sys.argv[1], *metrics, **shared(), CNNMetricNumberOfThreads=threads)
    print(final_parameters(register(*images("float 3D"), settings))[:3])
"""


def shared() -> dict[str, str | list[str]]:
    """Return settings with one interpolator for all metrics, whose threads have memory in it."""
    return {
        "FixedImagePyramid": ["FixedSmoothingImagePyramid"],
        "MovingImagePyramid": ["MovingSmoothingImagePyramid"],
        "Interpolator": ["BSplineInterpolator"],
        "UseMultiThreadingForMetrics": "true",
    }


def test_own_threads_leave_memory_for_those_of_another_metric(difference_model: Path) -> None:
    run = run_script(SHARED, difference_model)
    assert run.returncode == 0, run.stderr
    as_elastix, of_its_own = run.stdout.splitlines()
    assert of_its_own == as_elastix


def test_no_more_threads_than_a_shared_interpolator_has_memory_for(
    difference_model: Path, tmp_path: Path
) -> None:
    settings = together(
        difference_model,
        *["CNNMetric"] * 2,
        **shared(),
        Metric0CNNMetricNumberOfThreads="8",
        Metric1CNNMetricNumberOfThreads="2",
        CNNMetricProfile="true",
    )
    log = log_of(*images("float 3D"), settings, tmp_path, number_of_threads=2)
    assert re.findall(r"voxels, threads: (\d+)", log) == ["2", "2"]


def test_default_grid_follows_the_pyramid_of_its_metric(
    difference_model: Path, tmp_path: Path
) -> None:
    settings = together(
        difference_model,
        *["CNNMetric"] * 2,
        NumberOfResolutions="1",
        FixedImagePyramid0Schedule=["1"] * 3,
        FixedImagePyramid1Schedule=["2"] * 3,
        CNNMetricGridSpacing=[],
    )
    first, second = setups(log_of(*images("float 3D"), settings, tmp_path))
    assert "grid spacing 1 mm" in first
    assert "grid spacing 2 mm" in second
