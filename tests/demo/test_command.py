# SPDX-License-Identifier: Apache-2.0
"""The demo's command on images of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import itk
import pytest

from cnnmetric.demo.__main__ import main
from support.evaluation_subjects import inverted_pair


@pytest.mark.slow
def test_measures_every_stage(tmp_path: Path) -> None:
    pair = inverted_pair((4.0, -3.0, 2.0), wave=3.0)
    picture = tmp_path / "demo.png"
    arguments = ["--metric", "mi", "--output", str(picture)]
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        file = tmp_path / f"{name}.nii.gz"
        itk.imwrite(getattr(pair, name), str(file))
        arguments += [f"--{name.replace('_', '-')}", str(file)]
    assert main(arguments) == 0
    assert picture.stat().st_size > 0
    before, *after = json.loads(picture.with_suffix(".json").read_text())["results"]
    assert [row["step"] for row in after] == ["MI, similarity", "MI, bspline", "MI, bspline fine"]
    assert all(row["dice_mean"] > before["dice_mean"] + 0.08 for row in after)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("missing/demo.png", "the folder of the picture, {folder}/missing, does not exist"),
        ("missing/demo.PNG", "the folder of the picture, {folder}/missing, does not exist"),
        ("", "--output {folder} is a folder; name a picture in it, as {folder}/demo.png"),
        ("demo", "--output {folder}/demo: a picture's name has to end with its format"),
        ("demo.json", "--output {folder}/demo.json: a picture's name has to end with its format"),
    ],
)
def test_outputs_that_cannot_be_written(
    output: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / output)]) == 1
    assert message.format(folder=tmp_path) in capsys.readouterr().err
