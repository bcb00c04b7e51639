# SPDX-License-Identifier: Apache-2.0
"""The study of known deformations measures what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import known_deformations
from cnnmetric.types import Image
from support.known_pair import as_file
from support.metric_images import points_of
from support.metric_images import subject


@pytest.fixture
def aligned() -> Image:
    return subject("T2", size=(60, 64), spacing=(1.0, 0.9), angle=0.2)


def test_the_way_back_has_no_error_and_none_the_whole(aligned: Image) -> None:
    deformation = known_deformations.draw(np.random.default_rng(1), aligned)
    points = points_of(aligned)
    way_back = deformation.inverse(points) - points
    assert known_deformations.error(aligned, deformation, way_back) < 0.01
    before = known_deformations.error(aligned, deformation, 0)
    assert before > 1.0
    half = known_deformations.error(aligned, deformation, way_back / 2)
    assert 0.4 * before < half < 0.6 * before


def test_the_deformed_image_shows_the_intensity_of_where_it_is_mapped_to(aligned: Image) -> None:
    deformation = known_deformations.draw(np.random.default_rng(1), aligned)
    moved = known_deformations.deformed(aligned, deformation)
    back = itk.array_view_from_image(aligned).copy()
    places = deformation.inverse(points_of(aligned))
    for place in np.argwhere(back > 0.5 * back.max())[::20]:
        index = moved.TransformPhysicalPointToContinuousIndex(places[tuple(place)].tolist())
        nearest = tuple(round(i) for i in list(index)[::-1])
        around = itk.array_view_from_image(moved)[tuple(slice(n - 1, n + 2) for n in nearest)]
        assert around.min() - 0.05 <= back[tuple(place)] <= around.max() + 0.05


def test_every_learned_method_takes_every_model(
    aligned: Image,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_file(aligned, tmp_path / "a.nii.gz")
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\na,a.nii.gz,a.nii.gz\n")
    asked: list[tuple[str, str]] = []

    def note(_settings: Any, _fixed: Any, _moving: Any, method: str, model: str) -> int:
        asked.append((method, model))
        return 0

    monkeypatch.setattr(known_deformations, "last_displacement", note)
    words = [str(tmp_path / "pairs.csv"), "--models", "any", "t1t2-fine", "--methods", "mi"]
    assert known_deformations.main([*words, "--learned", "cnn+field", "cnn+smooth"]) == 0
    models = ("any", "t1t2-fine")
    learned = [(method, model) for method in ("cnn+field", "cnn+smooth") for model in models]
    assert asked == [*learned, ("mi", "")]
    table = capsys.readouterr().out.splitlines()
    assert table[0] == (
        "| subject | before | cnn+field any | cnn+field t1t2-fine | cnn+smooth any | "
        "cnn+smooth t1t2-fine | mi |"
    )
    cells = table[2].split(" | ")
    assert set(cells[2:-1]) == {cells[1]}  # what does not move is as far off as before
