# SPDX-License-Identifier: Apache-2.0
"""What a model describes of an image that stays the same is computed once, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.metric import network_input
from cnnmetric.metric.network import KeptDescriptors
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork

Image = NDArray[np.float32]


def image(seed: int, edge: int = 43) -> Image:
    return np.random.default_rng(seed).random((edge,) * 3, dtype=np.float32)


def moved(
    network: cnnmetric.DissimilarityNetwork,
    still: Image,
    moving: Image,
    channel: int,
    kept: KeptDescriptors | None,
) -> tuple[Image, Image]:
    """Return the map and the moving image's gradient; the channel is that of the other one."""
    pair = (still, moving) if channel == 0 else (moving, still)
    found = network.map_and_gradient(
        *pair, normalised=True, gradients_wanted=(channel == 1, channel == 0), kept=kept
    )
    return found.dissimilarity_map, found[2 - channel]


def compare(network: cnnmetric.DissimilarityNetwork, channel: int, *, tolerance: float) -> None:
    still = image(0)
    kept: KeptDescriptors = {}
    for seed in (1, 2, 3):
        whole = moved(network, still, image(seed), channel, None)
        again = moved(network, still, image(seed), channel, kept)
        for expected, found in zip(whole, again, strict=True):
            np.testing.assert_allclose(
                found, expected, rtol=0, atol=tolerance * abs(expected).max()
            )


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("model", ["t1t2-fine", "t1t2-fast"])
def test_map_and_gradient_stay_the_same(
    model: str, channel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_input, "VOXELS_OF_A_BLOCK", 31**3)
    compare(cnnmetric.DissimilarityNetwork(model, device="cpu"), channel, tolerance=1e-6)


@pytest.mark.parametrize("channel", [0, 1])
def test_the_image_is_not_described_again(channel: int) -> None:
    network = cnnmetric.DissimilarityNetwork("t1t2-fine", device="cpu")
    kept: KeptDescriptors = {}
    moved(network, image(0), image(1), channel, kept)
    of_image = moved(network, image(0), image(2), channel, kept)
    of_nothing = moved(network, np.zeros_like(image(0)), image(2), channel, kept)
    for expected, found in zip(of_image, of_nothing, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_models_without_descriptors_are_not_touched(small_model: Path) -> None:
    compare(cnnmetric.DissimilarityNetwork(small_model, device="cpu"), 0, tolerance=0.0)


def test_a_graph_that_cannot_be_cut_is_evaluated_as_a_whole(tmp_path: Path) -> None:
    network = cnnmetric.DissimilarityNetwork("t1t2-fine", device="cpu")
    model = onnx.load(network._network.path)
    # A node that gives the descriptors and something else that the map is computed with.
    nodes = model.graph.node
    source = next(node for node in nodes if "descriptor_first" in node.output)
    value = source.input[0]
    maker = next(i for i, node in enumerate(nodes) if value in node.output)
    nodes[maker].output[0] = f"{value}.before"
    product = next(
        i for i, node in enumerate(nodes) if node.op_type == "Mul" and value in node.input
    )
    result = nodes[product].output[0]
    nodes[product].output[0] = f"{result}.before"
    make = onnx.helper.make_node
    for node in (
        make("Mul", [f"{result}.before", "ones"], [result]),
        make("Cast", ["mask"], ["ones"], to=onnx.TensorProto.FLOAT),
    ):
        nodes.insert(product + 1, node)
    nodes.insert(maker + 1, make("Dropout", [f"{value}.before"], [value, "mask"]))
    (entry,) = [item for item in model.metadata_props if item.key == "cnnmetric.checksum"]
    model.metadata_props.remove(entry)
    onnx.save(model, tmp_path / "other.onnx")
    other = cnnmetric.DissimilarityNetwork(tmp_path / "other.onnx", device="cpu")
    compare(other, 0, tolerance=1e-6)
    kept: KeptDescriptors = {}
    moved(other, image(0), image(1), 0, kept)
    of_nothing = moved(other, np.zeros_like(image(0)), image(1), 0, kept)
    assert not np.allclose(of_nothing[0], moved(other, image(0), image(1), 0, None)[0])


def test_what_would_take_much_memory_is_not_kept(tmp_path: Path) -> None:
    """80 numbers for 4 x 4 pixels, five a pixel, are described again."""
    torch.manual_seed(0)
    dense = SelfSimilarityNetwork([Layer(8, 3, 1), Layer(80, 3, 2)], dimension=2)
    path = tmp_path / "dense.onnx"
    export_model(dense, path, ModelDescription(spacing=1.0, modalities=("T1", "T2")))
    network = cnnmetric.DissimilarityNetwork(path, device="cpu")
    still, moving = image(0)[0], image(1)[0]
    kept: KeptDescriptors = {}
    moved(network, still, moving, 0, kept)
    again = moved(network, np.zeros_like(still), moving, 0, kept)
    expected = moved(network, np.zeros_like(still), moving, 0, None)
    np.testing.assert_array_equal(again[0], expected[0])
    assert not np.allclose(again[0], moved(network, still, moving, 0, None)[0])


def test_one_image_has_to_stay_the_same() -> None:
    network = cnnmetric.DissimilarityNetwork("t1t2-fine", device="cpu")
    with pytest.raises(cnnmetric.SettingsError, match="want the gradient of the other alone"):
        network.map_and_gradient(image(0), image(1), normalised=True, kept={})


def test_descriptors_of_another_shape_are_refused() -> None:
    network = cnnmetric.DissimilarityNetwork("t1t2-fine", device="cpu")
    kept: KeptDescriptors = {}
    moved(network, image(0), image(1), 0, kept)
    with pytest.raises(cnnmetric.MetricError, match="of a block of another shape"):
        moved(network, image(0, 35), image(1, 35), 0, kept)


@pytest.mark.parametrize("modality", ["T1", "T2"])
def test_every_patch_is_the_same_after_the_first_evaluation(modality: str) -> None:
    images = [itk.image_from_array(image(seed)) for seed in (0, 1)]
    first, later = (
        cnnmetric.MetricOnImages(
            *images,
            model="t1t2-fine",
            fixed_modality=modality,
            transform="translation",
            sampling="Full",
            block_size=23,
            device="cpu",
            number_of_threads=2,
        )
        for _ in range(2)
    )
    place = [0.4, -0.7, 1.2]
    later.value_and_derivative([0.0, 0.0, 0.0])
    value, derivative = later.value_and_derivative(place)
    expected, derivative_expected = first.value_and_derivative(place)
    assert value == expected
    np.testing.assert_array_equal(derivative, derivative_expected)
