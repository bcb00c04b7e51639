# SPDX-License-Identifier: Apache-2.0
"""The plug-in's own operators against their bodies in the model file, as any runtime runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.training.export import operators
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from cnnmetric.training.networks.similarity_names import SIMILARITIES
from cnnmetric.training.networks.similarity_names import Similarity
from support.metric_images import unsealed
from support.training_images import self_similarity_layers

GROUPS: dict[str, tuple[Similarity, ...]] = {
    "context": ("context",),
    "strength": ("context", "strength"),
    "all": SIMILARITIES,
}


def write(path: Path, *, dimension: int, similarities: tuple[Similarity, ...]) -> Path:
    torch.manual_seed(0)
    network = SelfSimilarityNetwork(
        self_similarity_layers(), dimension=dimension, similarities=similarities
    )
    export_model(network, path, ModelDescription(spacing=1.0, modalities=("A", "B")))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write(folder / "all.onnx", dimension=3, similarities=SIMILARITIES)


def bodies(
    path: Path, images: NDArray[np.float32], weights: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {
        "patches": images[None],
        "weights": weights[None, None],
        "gradients_wanted": np.ones(2, dtype=bool),
    }
    found = session.run(["dissimilarity", "gradient_first", "gradient_second"], feeds)
    return [item[0, 0] for item in found]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("shape", [(15, 15), (47, 19), (15, 15, 15), (51, 19, 23)])
def test_operators_equal_their_bodies(
    tmp_path: Path, shape: tuple[int, ...], name: str, threads: int
) -> None:
    path = write(tmp_path / "m.onnx", dimension=len(shape), similarities=GROUPS[name])
    network = cnnmetric.DissimilarityNetwork(path, device="cpu", number_of_threads=threads)
    random = np.random.default_rng(1)
    images = random.random((2, *shape), dtype=np.float32)
    images[:, : shape[0] // 2] = 0.3  # nothing differs there
    weights = random.random(network.map_shape(shape), dtype=np.float32)
    found = network.map_and_gradient(*images, weights=weights, normalised=True)
    expected = bodies(path, images, weights)
    for result, right in zip(
        (found.dissimilarity_map, found.gradient_first, found.gradient_second),
        expected,
        strict=True,
    ):
        np.testing.assert_allclose(result, right, rtol=1e-4, atol=1e-5 * np.abs(right).max())


def test_two_threads_give_the_same_bits_every_time(model: Path) -> None:
    images = np.random.default_rng(2).random((2, 59, 23, 27), dtype=np.float32)
    network = cnnmetric.DissimilarityNetwork(model, device="cpu", number_of_threads=2)
    first, *others = (
        network.map_and_gradient(*images, normalised=True).gradient_second for _ in range(5)
    )
    assert np.abs(first).max() > 0
    for other in others:
        np.testing.assert_array_equal(other, first)


def with_attribute(model: Path, path: Path, name: str, value: Any) -> Path:
    """Copy a model with another attribute of its self-similarities."""
    changed = unsealed(model)
    for node in changed.graph.node:
        if node.op_type == operators.FORWARD:
            (old,) = [item for item in node.attribute if item.name == name]
            old.CopyFrom(onnx.helper.make_attribute(name, value))
    onnx.save(changed, path)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("taps", [0, 0, 0, 5, 0, 0]),
        ("taps", [0, 0, -1, 4, 0, 0]),
        ("taps", [0, 0, 0, 1]),
        ("groups", [12, 12]),
        ("groups", [0, 12, 12, 6, 6]),
        ("groups", [-1, 13, 12, 6, 6]),
        ("groups", [2**62, 2**62, 2**62, 2**62, 36]),
        ("box", 0),
        ("box", 2**63 - 1),
        ("stride", 0),
        ("stride", 2**62),
        ("window", 4),
        ("window", 2**63 - 1),
        ("dimension", 4),
        ("noise_floor", 0.0),
        ("noise_floor", float("nan")),
        ("strong", -1.0),
    ],
)
def test_attributes_that_do_not_fit_are_refused(
    tmp_path: Path, model: Path, name: str, value: Any
) -> None:
    changed = with_attribute(model, tmp_path / "bad.onnx", name, value)
    with pytest.raises(cnnmetric.ModelError, match="the numbers of its self-similarities do not"):
        cnnmetric.DissimilarityNetwork(changed, device="cpu")


def evaluate(path: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(path, device="cpu")
    network(*np.zeros((2, 19, 19, 19), dtype=np.float32), normalised=True)


@pytest.mark.parametrize(("name", "value"), [("dimension", 2), ("window", 50), ("box", 90)])
def test_images_that_do_not_fit_are_an_error(
    tmp_path: Path, model: Path, name: str, value: Any
) -> None:
    changed = with_attribute(model, tmp_path / "bad.onnx", name, value)
    with pytest.raises((cnnmetric.ModelError, cnnmetric.MetricError), match="self-similarities"):
        evaluate(changed)
