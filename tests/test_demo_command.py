# SPDX-License-Identifier: Apache-2.0
"""The demo's command on images of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import itk
import pytest

from cnnmetric.demo.__main__ import main
from evaluation_subjects import inverted_pair


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return options that name a pair, its labels and the quickest metric."""
    folder = tmp_path_factory.mktemp("pair")
    pair = inverted_pair((4.0, -3.0, 2.0), wave=3.0)
    found = ["--metric", "mi"]
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        file = folder / f"{name}.nii.gz"
        itk.imwrite(getattr(pair, name), str(file))
        found += [f"--{name.replace('_', '-')}", str(file)]
    return found


@pytest.mark.slow
def test_measures_every_stage(arguments: list[str], tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    assert main([*arguments, "--output", str(picture), "--fine"]) == 0
    assert picture.stat().st_size > 0
    before, *after = json.loads(picture.with_suffix(".json").read_text())["results"]
    assert [row["step"] for row in after] == ["MI, similarity", "MI, bspline", "MI, bspline fine"]
    assert all(row["dice_mean"] > before["dice_mean"] + 0.08 for row in after)


def test_folder_that_does_not_exist(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    assert main([*arguments, "--output", str(missing / "demo.png")]) == 1
    assert f"the folder of the picture, {missing}, does not exist" in capsys.readouterr().err
