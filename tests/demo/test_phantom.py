# SPDX-License-Identifier: Apache-2.0
"""The demo's built-in pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.demo import anatomy
from cnnmetric.demo.anatomy import LABELS
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import Phantom
from cnnmetric.demo.phantom import index_to_point
from cnnmetric.demo.phantom import make_phantom
from cnnmetric.errors import DataError
from cnnmetric.images.overlap import overlap
from cnnmetric.images.warping import resample_labels


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(load_anatomy(), seed=1)


def means(image: Any, labels: Any) -> dict[int, float]:
    voxels, label = itk.array_view_from_image(image), itk.array_view_from_image(labels)
    return {i: float(np.mean(voxels[label == i])) for i in LABELS}


def test_contrasts_are_those_of_t1_and_t2(phantom: Phantom) -> None:
    t1 = means(phantom.fixed.image, phantom.fixed.labels)
    t2 = means(phantom.moving.image, phantom.moving.labels)
    assert t1[2] > t1[4] > t1[1] > t1[3] > t1[5]
    assert t2[5] > t2[3] > t2[1] > t2[4] > t2[2]


def test_headers_differ(phantom: Phantom) -> None:
    fixed, moving = phantom.fixed.image, phantom.moving.image
    assert tuple(fixed.GetSpacing()) != tuple(moving.GetSpacing())
    directions = [itk.array_from_matrix(image.GetDirection()) for image in (fixed, moving)]
    assert np.linalg.det(directions[0]) == pytest.approx(1)
    assert np.linalg.det(directions[1]) == pytest.approx(1)
    assert np.abs(directions[0] - directions[1]).max() > 0.5


def test_subjects_start_badly_aligned(phantom: Phantom) -> None:
    before = overlap(
        phantom.fixed.labels, resample_labels(phantom.moving.labels, phantom.fixed.labels)
    )
    errors = np.linalg.norm(phantom.fixed_points - phantom.moving_points, axis=1)
    assert before.mean_dice < 0.6
    assert 6 < errors.mean() < 10


def test_points_correspond(phantom: Phantom) -> None:
    """Under the true relation, the moving labels fall on the fixed ones."""
    fixed, moving = (
        labels_at(subject.labels, points)
        for subject, points in (
            (phantom.fixed, phantom.fixed_points),
            (phantom.moving, phantom.moving_points),
        )
    )
    assert len(fixed) > 3000
    assert (fixed == moving).mean() > 0.85


def labels_at(labels: Any, points: np.ndarray) -> np.ndarray:
    to_point = index_to_point(labels)
    index = np.linalg.solve(to_point[:, :3], (points - to_point[:, 3]).T)
    x, y, z = np.round(index).astype(int)
    return np.asarray(itk.array_view_from_image(labels)[z, y, x])


def test_background_is_empty(phantom: Phantom) -> None:
    voxels = itk.array_view_from_image(phantom.moving.image)
    assert voxels.dtype == np.float32
    assert np.isfinite(voxels).all()
    assert (voxels == 0).mean() > 0.4


def test_missing_nilearn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match='pip install "nilearn'):
        load_anatomy()


def test_missing_template_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy, "_FILE", str(Path("none_{}.nii.gz")))
    with pytest.raises(DataError, match=r"lacks none_t1.nii.gz"):
        load_anatomy()
