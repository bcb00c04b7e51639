# SPDX-License-Identifier: Apache-2.0
"""The study that moves single control points between two aligned images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from control_points import main
from support.metric_images import write_small_model
from support.training_images import write_image

# Two points along each axis of the image, of a B-spline that reaches 10 voxels.
SMALL = ("--spacing", "5", "--lattice", "16", "--largest", "4", "--step", "2")


@pytest.fixture
def blobs() -> NDArray[np.float32]:
    """Return an image that is bright everywhere, and smooth over three voxels."""
    noise = np.random.default_rng(0).normal(size=(24, 24, 24))
    smooth = gaussian_filter(noise, 3)
    return np.asarray(100 + 900 * (smooth - smooth.min()) / np.ptp(smooth), dtype=np.float32)


def rows(
    folder: Path, images: list[NDArray[np.float32]], capsys: pytest.CaptureFixture[str], *words: str
) -> list[list[str]]:
    """Move control points between two images; return the table's rows."""
    files = [folder / f"{number}.nii.gz" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        write_image(file, image)
    capsys.readouterr()
    assert main([*map(str, files), *SMALL, *words]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]


def test_aligned_images_are_found_aligned(
    blobs: NDArray[np.float32],
    difference_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [blobs, 1100 - blobs]  # the second by mutual information alone
    same, inverted = (
        rows(tmp_path, pair, capsys, "--models", str(difference_model))
        for pair in ([blobs, blobs], images)
    )
    assert same == [
        ["difference", "24", "100%", "100%", "0.00", "100%"],
        ["mutual information", "24", "100%", "100%", "0.00"],
    ]
    assert inverted[1] == same[1]
    assert inverted[0][2] != "100%"


def test_a_pair_that_is_not_aligned_shows_in_both(
    blobs: NDArray[np.float32],
    difference_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved = np.roll(blobs, 1, axis=2)
    learned, information = rows(tmp_path, [blobs, moved], capsys, "--models", str(difference_model))
    right, as_information = (int(learned[column].rstrip("%")) for column in (2, 5))
    assert max(right, int(information[2].rstrip("%"))) < 50
    assert as_information > right


def test_only_points_within_a_mask(
    blobs: NDArray[np.float32],
    difference_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mask = np.zeros(blobs.shape, np.float32)
    mask[:, :, :12] = 1
    write_image(tmp_path / "mask.nii.gz", mask)
    words = ["--models", str(difference_model), "--within", str(tmp_path / "mask.nii.gz")]
    assert {row[1] for row in rows(tmp_path, [blobs, blobs], capsys, *words)} == {"12"}

    write_image(tmp_path / "mask.nii.gz", np.eye(24, dtype=np.float32)[None] * mask)
    file = str(tmp_path / "0.nii.gz")
    assert main([file, file, *SMALL, *words]) == 1
    assert "no lattice point amid anatomy in" in capsys.readouterr().err


def test_models_that_see_other_intensities_are_refused(
    blobs: NDArray[np.float32], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "0.nii.gz"
    write_image(file, blobs)
    models = [
        str(write_small_model(tmp_path / f"{high}.onnx", quantiles=(0.0, high)))
        for high in (0.9, 1.0)
    ]
    assert main([str(file), str(file), *SMALL, "--models", *models]) == 1
    assert "--models: these see intensities in different ways" in capsys.readouterr().err
