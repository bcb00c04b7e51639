# SPDX-License-Identifier: Apache-2.0
"""A point of the anatomy has the same world coordinates in napari as in ITK, mm in z, y, x."""

from __future__ import annotations

import warnings
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.errors import SettingsError
from cnnmetric.registration.napari_layers import add_layers
from support.known_pair import LANDMARK
from support.known_pair import QUICK

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that napari is made of
    components = pytest.importorskip("napari.components", reason="pip install '.[napari]'")
    ViewerModel = components.ViewerModel  # which needs no screen; imported when it is named
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Non-orthogonal slicing"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def result(fixed: Any, moving: Any, difference_model: Any) -> Any:
    return cnnmetric.register(fixed, moving, model=difference_model, **QUICK)


@pytest.fixture(scope="module")
def layers(result: Any) -> dict[str, Any]:
    viewer = ViewerModel()
    return {layer.name: layer for layer in add_layers(viewer, result, arrows_every=5.0)}


def test_images_lie_where_itk_has_them(layers: dict[str, Any], fixed: Any) -> None:
    index = (7, 30, 12)  # x, y, z
    there = np.asarray(fixed.TransformIndexToPhysicalPoint(index))[::-1]
    for name in ("fixed", "warped", "Jacobian determinant"):
        world = layers[name].data_to_world(index[::-1])
        np.testing.assert_allclose(world, there, atol=1e-5)
    assert layers["fixed"].data[index[::-1]] == fixed.GetPixel(index)
    assert list(layers) == ["fixed", "warped", "Jacobian determinant", "displacement"]


def test_arrows_end_where_the_transform_leads(layers: dict[str, Any], result: Any) -> None:
    starts, vectors = np.moveaxis(np.asarray(layers["displacement"].data), 1, 0)
    assert len(starts) > 100
    ends = result.apply(starts[:, ::-1])
    np.testing.assert_allclose((starts + vectors)[:, ::-1], ends, atol=1e-3)
    # The arrow next to a point of the anatomy shows where that goes.
    nearest = np.argmin(np.linalg.norm(starts[:, ::-1] - LANDMARK[0], axis=1))
    moved = result.apply(LANDMARK[:1])[0] - LANDMARK[0]
    np.testing.assert_allclose(vectors[nearest][::-1], moved, atol=1.0)


def test_a_distance_of_zero_is_refused(result: Any) -> None:
    with pytest.raises(SettingsError, match="arrows_every is 0"):
        add_layers(ViewerModel(), result, arrows_every=0)


def test_flat_images_are_shown_too(tmp_path: Any) -> None:
    from support.metric_images import subject
    from support.metric_images import write_difference_model

    model = write_difference_model(tmp_path / "flat.onnx", dimension=2)
    image = subject("T1", size=(60, 64), spacing=(1.0, 0.9), angle=0.2)
    moving = itk.image_duplicator(image)
    result = cnnmetric.register(image, moving, model=model, **QUICK)
    viewer = ViewerModel()
    assert [layer.ndim for layer in add_layers(viewer, result)] == [2, 2, 2, 2]
