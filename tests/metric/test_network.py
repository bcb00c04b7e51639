# SPDX-License-Identifier: Apache-2.0
"""The network on arrays is the network of the paper, normalised as the metric does it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.metric import network_input
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from support.metric_images import image_of
from support.metric_images import write_small_model

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


def images(shape: tuple[int, ...], seed: int = 0) -> Arrays:
    """Return two arrays of raw intensities in different ranges."""
    generator = np.random.default_rng(seed)
    return generator.uniform(-50.0, 400.0, shape), generator.uniform(0.0, 3.0, shape)


@pytest.fixture(scope="module")
def network(small_model: Path) -> cnnmetric.DissimilarityNetwork:
    return cnnmetric.DissimilarityNetwork(small_model, device="cpu")


@pytest.fixture(scope="module", params=[2, 3])
def twin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[cnnmetric.DissimilarityNetwork, TwoChannelNetwork]:
    """Return a network of random weights as a file and in PyTorch."""
    torch.manual_seed(request.param)
    shape = layers(channels=(6, 8, 8, 8), kernels=(5, 3, 3, 1, 1), strides=(2, 2, 1, 1, 1))
    reference = TwoChannelNetwork(shape, dimension=request.param)
    path = tmp_path_factory.mktemp("twin") / "twin.onnx"
    description = ModelDescription(
        spacing=1.5, modalities=("CT", "MR"), lower_quantile=0.1, upper_quantile=0.95
    )
    export_model(reference, path, description)
    return cnnmetric.DissimilarityNetwork(path, device="cpu"), reference.double()


def test_the_model_is_described(twin: tuple[cnnmetric.DissimilarityNetwork, Any]) -> None:
    network = twin[0]
    assert network.modalities == ("CT", "MR")
    assert network.dimension in (2, 3)
    assert (network.receptive_field, network.stride, network.spacing) == (17, 4, 1.5)
    assert network.quantiles == (0.1, 0.95)
    assert network.device_report.startswith("CPU, ONNX Runtime ")
    expected = f"<DissimilarityNetwork twin: {network.dimension}D, CT and MR, CPU, "
    assert repr(network).startswith(expected)


@pytest.mark.parametrize(("name", "channel"), [("T1", 0), ("T2", 1), ("", 0), ("t2", 1)])
def test_fixed_image_is_found_by_its_modality(
    network: cnnmetric.DissimilarityNetwork, name: str, channel: int
) -> None:
    assert network.fixed_channel(name) == channel


@pytest.mark.parametrize("name", ["CT", "T", "any"])
def test_fixed_image_of_an_unknown_modality(
    network: cnnmetric.DissimilarityNetwork, name: str
) -> None:
    message = rf'"{name}" is not a modality of .*small\.onnx.*"T1" and "T2"'
    with pytest.raises(cnnmetric.SettingsError, match=message):
        network.fixed_channel(name)


def test_symmetric_model_takes_every_name_with_a_warning(difference_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(difference_model, device="cpu")
    with pytest.warns(UserWarning, match='"CT" is not a modality of .*treats both images alike'):
        assert network.fixed_channel("CT") == 0


@pytest.mark.parametrize("model", ["t1t2-fine", "t1t2-fast"])
def test_shipped_self_similarity_is_symmetric(model: str) -> None:
    with pytest.warns(UserWarning, match="treats both images alike"):
        cnnmetric.DissimilarityNetwork(model, device="cpu").fixed_channel("CT")


@pytest.mark.parametrize(
    ("modalities", "name", "channel"),
    [
        (("any", "any"), "CT", 0),
        (("any", "any"), "", 0),
        (("T1", "any"), "T1", 0),
        (("T1", "any"), "CT", 1),
        (("T1", "any"), "", 0),
        (("any", "T1"), "T1", 0),  # the first one that fits
    ],
)
def test_fixed_image_of_a_model_for_any_modality(
    modalities: tuple[str, str], name: str, channel: int, tmp_path: Path
) -> None:
    model = write_small_model(tmp_path / "any.onnx", modalities=modalities)
    network = cnnmetric.DissimilarityNetwork(model, device="cpu")
    assert network.fixed_channel(name) == channel


def test_map_and_gradient_are_those_of_torch(
    twin: tuple[cnnmetric.DissimilarityNetwork, TwoChannelNetwork],
) -> None:
    network, reference = twin
    # Voxels are left over on every axis: 3, 2 and 0.
    shape = (24, 27, 25)[: network.dimension]
    patches_shape = (2, 3, 3)[: network.dimension]
    first, second = images(shape)
    weights = np.random.default_rng(1).random(patches_shape)

    raw = torch.tensor(np.stack([first, second]), requires_grad=True)
    normalised = []
    for image in raw:
        lower, upper = np.quantile(image.detach().numpy(), [0.1, 0.95])
        normalised.append(((image - lower) / (upper - lower)).clamp(0.0, 1.0))
    scores = reference(torch.stack(normalised)[None])[0, 0]
    (gradient,) = torch.autograd.grad(scores, raw, torch.tensor(weights))

    result = network.map_and_gradient(first, second, weights=weights)
    expected = scores.detach().numpy()
    assert network.map_shape(shape) == expected.shape == patches_shape
    np.testing.assert_allclose(
        result.dissimilarity_map, expected, atol=1e-5 * np.abs(expected).max()
    )
    second_alone = network.map_and_gradient(
        first, second, weights=weights, gradients_wanted=(False, True)
    )
    assert not second_alone.gradient_first.size
    np.testing.assert_array_equal(second_alone.gradient_second, result.gradient_second)
    for found, wanted in zip(result[1:], gradient.numpy(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    np.testing.assert_array_equal(network(first, second), result.dissimilarity_map)
    # Voxels that fill no whole stride, and those that are clipped, have no influence.
    assert not result.gradient_first[21:].any()
    lower, upper = np.quantile(first, [0.1, 0.95])
    assert not result.gradient_first[(first < lower) | (first > upper)].any()


def test_gradient_equals_finite_differences(network: cnnmetric.DissimilarityNetwork) -> None:
    first, second = images((25, 29, 25))
    for image in (first, second):
        # The range is set by two voxels, far enough from all others that these are not clipped.
        image.flat[:2] = image.min() - 0.1 * np.ptp(image), image.max() + 0.1 * np.ptp(image)
    weights = np.random.default_rng(1).random(network.map_shape(first.shape))
    result = network.map_and_gradient(first, second, weights=weights)
    for index, gradient in enumerate(result[1:]):
        image = (first, second)[index]
        # Steepest ascent, in steps that leave the two voxels alone that set the quantiles.
        direction = np.where((image > image.min()) & (image < image.max()), gradient, 0.0)
        direction *= 1e-2 * np.ptp(image) / np.abs(direction).max()
        values = []
        for sign in (1.0, -1.0):
            moved = [first, second]
            moved[index] = image + sign * direction
            values.append(float((weights * network(*moved)).sum(dtype=np.float64)))
        assert (values[0] - values[1]) / 2.0 == pytest.approx(
            float((direction * gradient).sum(dtype=np.float64)), rel=1e-3
        )


def test_weights_pick_patches(network: cnnmetric.DissimilarityNetwork) -> None:
    first, second = images((25, 25, 25))
    weights = np.zeros((3, 3, 3))
    weights[1, 2, 0] = 2.0
    alone = network.map_and_gradient(first, second, weights=weights).gradient_second
    inside = np.zeros(first.shape, dtype=bool)
    inside[4:21, 8:25, 0:17] = True
    assert alone[inside].any()
    assert not alone[~inside].any()
    ones = network.map_and_gradient(first, second, weights=np.ones((3, 3, 3)))
    plain = network.map_and_gradient(first, second)
    np.testing.assert_array_equal(plain.gradient_first, ones.gradient_first)


def test_map_is_that_of_the_metric(small_model: Path, tmp_path: Path) -> None:
    clipping = write_small_model(tmp_path / "clipping.onnx", quantiles=(0.05, 0.9))
    first, second = (image.astype(np.float32) for image in images((25, 33, 29)))
    geometry: dict[str, Any] = {
        "spacing": (1.0,) * 3,
        "origin": (3.0, -2.0, 5.0),
        "direction": np.eye(3),
    }
    for model in (small_model, clipping):
        metric = cnnmetric.MetricOnImages(
            image_of(first, **geometry), image_of(second, **geometry), model=model, device="cpu"
        )
        map_ = metric.maps([0.0, 0.0, 0.0]).dissimilarity
        expected = itk.array_from_image(map_)
        found = cnnmetric.DissimilarityNetwork(model, device="cpu")(first, second)
        assert found.shape == expected.shape == (3, 5, 4)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
        assert list(map_.GetOrigin()) == pytest.approx([3.0 + 8.0, -2.0 + 8.0, 5.0 + 8.0])


def test_normalised_intensities(network: cnnmetric.DissimilarityNetwork) -> None:
    first, second = images((21, 21, 21))
    raw = network.map_and_gradient(first, second)
    ready = [network.normalise(image) for image in (first, second)]
    for image in ready:
        assert image.dtype == np.float32
        assert (image.min(), image.max()) == (0.0, 1.0)
    result = network.map_and_gradient(*ready, normalised=True)
    np.testing.assert_array_equal(result.dissimilarity_map, raw.dissimilarity_map)
    np.testing.assert_array_equal(network(*ready, normalised=True), raw.dissimilarity_map)
    # Chain rule, where nothing is clipped.
    inside = (ready[0] > 0.0) & (ready[0] < 1.0)
    scale = np.float32(1.0 / np.ptp(first))
    np.testing.assert_allclose(
        raw.gradient_first[inside], result.gradient_first[inside] * scale, rtol=1e-5
    )


def test_blocks_do_not_show(
    network: cnnmetric.DissimilarityNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = images((37, 45, 33))
    whole = network.map_and_gradient(first, second)
    monkeypatch.setattr(network_input, "VOXELS_OF_A_BLOCK", 25**3)
    pieces = network.map_and_gradient(first, second)
    assert len(list(network_input.blocks((6, 8, 5), receptive_field=17, stride=4))) == 2 * 3 * 2
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5 * np.abs(one).max())


def test_the_size_of_a_block_is_documented() -> None:
    solid, flat = (round(network_input.VOXELS_OF_A_BLOCK ** (1.0 / axes)) for axes in (3, 2))
    page = Path(__file__).parents[2] / "docs" / "reference" / "python.md"
    for text in (cnnmetric.DissimilarityNetwork.__doc__, page.read_text(encoding="utf-8")):
        assert f"beyond {solid} voxels an axis (2D: {flat})" in str(text)


def test_any_number_type_and_memory_layout(network: cnnmetric.DissimilarityNetwork) -> None:
    whole_numbers = [image.astype(np.int16) for image in images((21, 17, 25))]
    expected = network(*[image.astype(np.float64) for image in whole_numbers])
    assert expected.shape == (2, 1, 3)
    np.testing.assert_array_equal(network(*whole_numbers), expected)
    strided = [np.asfortranarray(image)[::-1][::-1] for image in whole_numbers]
    np.testing.assert_array_equal(network(*strided), expected)


def test_threads_may_share_a_network(network: cnnmetric.DissimilarityNetwork) -> None:
    pairs = [images((25, 25, 25), seed) for seed in range(4)]
    expected = [network(*pair) for pair in pairs]
    found: dict[int, NDArray[np.float32]] = {}

    def evaluate(index: int) -> None:
        found[index] = network(*pairs[index])

    threads = [threading.Thread(target=evaluate, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, values in enumerate(expected):
        np.testing.assert_array_equal(found[index], values)


def test_number_of_threads_does_not_matter(small_model: Path) -> None:
    first, second = images((25, 25, 25))
    one, two = (
        cnnmetric.DissimilarityNetwork(small_model, device="cpu", number_of_threads=number)
        for number in (1, 2)
    )
    expected = one(first, second)
    found = two(first, second)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_torch_is_not_needed(small_model: Path) -> None:
    # ITK imports torch by itself wherever that is installed; here it gets one that can do nothing.
    script = (
        "import sys, types\n"
        "sys.modules |= {'torch': types.ModuleType('torch'), 'onnx': None}\n"
        "import numpy, cnnmetric\n"
        "arrays = numpy.random.default_rng(0).random((2, 17, 17, 17))\n"
        "network = cnnmetric.DissimilarityNetwork(sys.argv[1])\n"
        "print(network.map_and_gradient(*arrays).gradient_first.shape)\n"
    )
    variables = os.environ | {"PYTHONPATH": str(Path(cnnmetric.__file__).parents[1])}
    command = [sys.executable, "-c", script, str(small_model)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert run.stdout == "(17, 17, 17)\n", run.stderr


def changed(index: int, value: float) -> list[NDArray[np.float64]]:
    pair = images((21, 21, 21))
    pair[index][3, 4, 5] = value
    return list(pair)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (images((21, 21)), r"have 2 axes but the model .*small\.onnx is 3D"),
        ((np.zeros((21, 21, 21)), np.zeros((21, 21, 22))), "(21, 21, 21) and the second of (21, 2"),
        (images((21, 16, 21)), "(21, 16, 21), but every axis must have at least 17 voxels"),
        (changed(0, np.nan), "first array has NaN or infinite values"),
        (changed(1, np.inf), "second array has NaN or infinite values"),
        (
            (np.ones((21,) * 3), images((21,) * 3)[1]),
            "first array is constant between",
        ),
        (
            (images((21,) * 3)[0], np.ones((21,) * 3)),
            "second array is constant between",
        ),
        ((np.full((21,) * 3, "a"), np.ones((21,) * 3)), "<U1 and shape .* must hold real numbers"),
        ((np.ones((0, 21, 21)), np.ones((0, 21, 21))), "must hold real numbers"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_arrays_that_cannot_be_compared(
    network: cnnmetric.DissimilarityNetwork, arrays: Any, message: str
) -> None:
    pattern = message if "*" in message else re.escape(message)
    with pytest.raises(cnnmetric.DataError, match=pattern):
        network(*arrays)
    with pytest.raises(cnnmetric.DataError, match=pattern):
        network.map_and_gradient(*arrays)


def test_other_input_that_is_refused(network: cnnmetric.DissimilarityNetwork) -> None:
    pair = images((21, 21, 21))
    with pytest.raises(cnnmetric.DataError, match=r"\(3, 3, 3\).*have \(2, 2, 2\) patches"):
        network.map_and_gradient(*pair, weights=np.ones((3, 3, 3)))
    with pytest.raises(cnnmetric.DataError, match="weights has NaN"):
        network.map_and_gradient(*pair, weights=np.full((2, 2, 2), np.nan))
    with pytest.raises(cnnmetric.DataError, match=r"first array has values from .*not within"):
        network(*pair, normalised=True)
    with pytest.raises(cnnmetric.DataError, match="constant"):
        network.normalise(np.zeros(5))


def test_models_and_devices_that_are_refused(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(cnnmetric.ModelError, match=r'"t1t3" is not an installed.*"t1t2"'):
        cnnmetric.DissimilarityNetwork("t1t3")
    with pytest.raises(cnnmetric.ModelError, match=r"nowhere\.onnx' does not exist"):
        cnnmetric.DissimilarityNetwork(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("This is not a network.")
    with pytest.raises(cnnmetric.ModelError, match="is not a readable ONNX file"):
        cnnmetric.DissimilarityNetwork(tmp_path / "text.onnx")
    with pytest.raises(cnnmetric.MetricError, match="Device 'gpu' is not known"):
        cnnmetric.DissimilarityNetwork(small_model, device="gpu")
    with pytest.raises(cnnmetric.SettingsError, match="number_of_threads is -1"):
        cnnmetric.DissimilarityNetwork(small_model, number_of_threads=-1)
