# SPDX-License-Identifier: Apache-2.0
"""`python -m cnnmetric.plausibility`: curves around the true alignment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pandas as pd
import pytest

from cnnmetric.evaluation.plausibility import curves
from cnnmetric.evaluation.plausibility.perturbations import perturbations
from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings
from cnnmetric.plausibility import main
from support.metric_images import subject

METRICS = {"CNN": curves.learned_metric, "MI": curves.mutual_information}
NAMES = ("rotation about z", "translation along x", "scale", "control point along x")


def settings_for(model: Path, **changes: Any) -> PlausibilitySettings:
    values: dict[str, Any] = {
        "fixed": Path("fixed.nii"),
        "moving": Path("moving.nii"),
        "out": Path("out"),
        "model": str(model),
        "points": 7,
        "translation": 6.0,
        "control_point": 4.0,
    }
    return PlausibilitySettings(**{**values, **changes})


@pytest.fixture(scope="module")
def image() -> Any:
    """Return an image that stands for both: the model is a difference of intensities."""
    return subject("T1", size=(48, 52, 50), spacing=(1.1, 1.0, 1.1), angle=0.2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", range(4), ids=NAMES)
def test_minimum_sign_and_derivative(
    metric: str, index: int, image: Any, difference_model: Path
) -> None:
    settings = settings_for(difference_model)
    perturbation = perturbations(image, settings)[index]
    assert perturbation.name == NAMES[index]
    evaluate = METRICS[metric](image, image, perturbation, settings)
    found = curves.curve(metric, evaluate, perturbation, settings.points)
    assert found.amounts[[0, 3, -1]].tolist() == [-perturbation.largest, 0, perturbation.largest]
    assert found.minimum == 0
    assert found.right_signs == 1
    # Per unit of the axis: against a finite difference of the value. ITK's mutual information
    # takes the histogram's derivative by its own approximation.
    amount, step = float(found.amounts[1]), 0.02 * perturbation.largest
    ahead, behind = (
        evaluate(perturbation.parameters_at(amount + way * step))[0] for way in (1, -1)
    )
    tolerance = 0.03 if metric == "CNN" else 0.5
    expected = (ahead - behind) / (2 * step)
    assert found.derivatives[1] == pytest.approx(expected, rel=tolerance)


def test_command_writes_pictures_and_a_table(
    image: Any, difference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "image.nii.gz"
    itk.imwrite(image, str(file))
    out = tmp_path / "out"
    arguments = [str(file), str(file), "--model", str(difference_model), "--out", str(out)]
    assert main([*arguments, "--points", "3", "--offset", "2"]) == 0
    table = pd.read_csv(out / "plausibility.csv")
    assert len(table) == 2 * 4 * 3
    assert list(table.columns)[-2:] == ["value", "derivative"]
    for name in ("plausibility.png", "maps.png"):
        assert itk.array_from_image(itk.imread(str(out / name))).std() > 10
    assert "| CNN | translation along x | 0 mm | 100% |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--points", "4"], "--points is 4; give an odd number"),
        (["--control-point", "0"], "--control-point is 0.0; give more than 0"),
        (["--scale", "100"], "--scale is 100.0; give more than 0 and less than 100"),
        (["--bins", "2"], "--bins is 2; give 5 or more"),
        (["--translation", "nan"], "--translation is nan; give a finite number, more than 0"),
        ([], "there is no image file no.nii"),
    ],
)
def test_settings_that_cannot_be_used(
    changes: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no.nii", "no.nii", "--out", str(tmp_path / "out"), *changes]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_package_is_one_line_of_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    parts = ("cnnmetric.evaluation", "cnnmetric.commands.plausibility")
    for name in [name for name in sys.modules if name.startswith(parts)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pandas" else find_spec(name)
    )
    assert main(["fixed.nii", "moving.nii", "--out", "out"]) == 1
    assert "evaluation needs pandas" in capsys.readouterr().err


def test_rotation_is_measured_in_degrees(image: Any, difference_model: Path) -> None:
    rotation = perturbations(image, settings_for(difference_model))[0]
    transform = itk.Similarity3DTransform[itk.D].New()
    parameters = itk.OptimizerParameters[itk.D](7)
    for index, value in enumerate(rotation.parameters_at(20.0)):
        parameters[index] = value
    transform.SetParameters(parameters)
    matrix = itk.array_from_matrix(transform.GetMatrix())
    assert np.degrees(np.arccos((np.trace(matrix) - 1) / 2)) == pytest.approx(20.0)
