# SPDX-License-Identifier: Apache-2.0
"""The known deformations of the demo's subjects."""

from __future__ import annotations

import numpy as np
import pytest

from cnnmetric.demo.deformation import Deformation
from cnnmetric.demo.deformation import random_deformation


@pytest.fixture(scope="module", params=[3, 2], ids=["3D", "2D"])
def deformation(request: pytest.FixtureRequest) -> Deformation:
    dimension = request.param
    return random_deformation(
        np.random.default_rng(3),
        centre=np.array([3.0, -10.0, 5.0])[:dimension],
        target=np.array([0.0, 17.0, 5.0])[:dimension],
        rotation=(5.0, -3.0, 4.0) if dimension == 3 else (4.0,),
        scale=0.95,
    )


@pytest.fixture(scope="module")
def points(deformation: Deformation) -> np.ndarray:
    return np.random.default_rng(1).uniform(-90, 90, (5000, len(deformation.centre)))


def test_inverse(deformation: Deformation, points: np.ndarray) -> None:
    assert deformation.inverse(deformation(points)) == pytest.approx(points, abs=1e-4)


def test_does_not_fold(deformation: Deformation, points: np.ndarray) -> None:
    step = 0.5
    columns = [
        (deformation(points + step * axis) - deformation(points - step * axis)) / (2 * step)
        for axis in np.eye(len(deformation.centre))
    ]
    determinant = np.linalg.det(np.stack(columns, axis=-1))
    assert determinant.min() > 0.2
    assert determinant.mean() == pytest.approx(0.95 ** len(deformation.centre), rel=0.05)


def test_is_a_deformation_worth_undoing(deformation: Deformation, points: np.ndarray) -> None:
    similar = (points - deformation.centre) @ deformation.matrix.T + deformation.target
    size = np.linalg.norm(deformation(points) - similar, axis=1)
    assert 2 < size.mean() < 6
