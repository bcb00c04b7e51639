# SPDX-License-Identifier: Apache-2.0
"""The demo's command on images of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import itk
import numpy as np
import pytest

from cnnmetric.demo import command
from cnnmetric.demo import picture
from cnnmetric.demo.__main__ import main
from cnnmetric.errors import DataError
from support.evaluation_subjects import inverted_pair


@pytest.mark.slow
def test_measures_every_stage(tmp_path: Path) -> None:
    pair = inverted_pair((4.0, -3.0, 2.0), wave=3.0)
    output = tmp_path / "demo.png"
    arguments = ["--metric", "mi", "--output", str(output)]
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        file = tmp_path / f"{name}.nii.gz"
        itk.imwrite(getattr(pair, name), str(file))
        arguments += [f"--{name.replace('_', '-')}", str(file)]
    assert main(arguments) == 0
    assert output.stat().st_size > 0
    before, *after = json.loads(output.with_suffix(".json").read_text())["results"]
    assert [row["step"] for row in after] == ["MI, similarity", "MI, bspline", "MI, bspline fine"]
    assert all(row["dice_mean"] > before["dice_mean"] + 0.08 for row in after)


def test_an_image_off_the_grid_is_shown_in_black() -> None:
    image = itk.image_from_array(np.ones((4, 4, 4), np.float32))
    grid = np.array([900.0, 0.0, 0.0]), np.array([5, 6, 7])
    np.testing.assert_array_equal(picture._shown(image, grid), np.zeros((7, 6, 5)))
    grid = np.zeros(3), np.array([3, 3, 3])
    assert picture._shown(image, grid).max() == 1.0
    itk.array_view_from_image(image)[:] = -5.0
    assert not picture._shown(image, grid).any()


def test_numbers_are_kept_where_drawing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DataError("no picture")

    stage = SimpleNamespace(
        name="similarity", transform=itk.TranslationTransform[itk.D, 3].New(), seconds=1.0
    )
    monkeypatch.setattr(command, "_register_by_mi", lambda *_: iter([stage]))
    monkeypatch.setattr(picture, "draw", fail)
    itk.imwrite(itk.image_from_array(np.ones((9, 9, 9), np.float32)), str(tmp_path / "a.nii.gz"))
    images = [f"--{name}={tmp_path / 'a.nii.gz'}" for name in ("fixed", "moving")]
    assert main([*images, "--metric=mi", f"--output={tmp_path / 'a.png'}"]) == 1
    assert len(json.loads((tmp_path / "a.json").read_text())["results"]) == 2


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


def test_a_file_of_others_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a sidecar of BIDS, which has the name of its image."""
    sidecar = tmp_path / "sub-01_T1w.json"
    sidecar.write_text('{"EchoTime": 0.003}')
    assert main(["--output", str(tmp_path / "sub-01_T1w.png")]) == 1
    assert "sub-01_T1w.json, which is there and not of a demo" in capsys.readouterr().err
    assert sidecar.read_text() == '{"EchoTime": 0.003}'
