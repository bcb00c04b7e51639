# SPDX-License-Identifier: Apache-2.0
"""Networks turned into ONNX graphs with their gradient, against PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from onnx import helper
from torch import nn

from cnnmetric.errors import ModelError
from cnnmetric.training.export import operators
from cnnmetric.training.export.functions import functions
from cnnmetric.training.export.onnx_builder import OPSET
from cnnmetric.training.export.onnx_graph import GRADIENTS
from cnnmetric.training.export.onnx_graph import GradientGraph
from cnnmetric.training.export.reverse_sweep import ReverseSweep
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from cnnmetric.training.networks.similarity_names import SIMILARITIES
from support.training_images import self_similarity_layers

# Of a rectifier's inputs, relative to the largest: more than rounding differs by.
NEAR_ZERO = 2e-6

Formula = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Composed(PatchNetwork):
    """A formula of the two channels, each convolved to three."""

    def __init__(self, formula: Formula, dimension: int = 2) -> None:
        super().__init__()
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        self.dimension = dimension
        self.formula = formula
        self.first = convolution(1, 3, 3, stride=2)
        self.second = convolution(1, 3, 3, stride=2, bias=False)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        value = self.formula(self.first(patches[:, :1]), self.second(patches[:, 1:]))
        return value.sum(1, keepdim=True)


class Pooled(PatchNetwork):
    """Average pooling, dilation, groups and a rectifier."""

    def __init__(self) -> None:
        super().__init__()
        self.dimension = 3
        self.grouped = nn.Conv3d(2, 4, 3, dilation=2, groups=2)
        self.pool = nn.AvgPool3d(3, 2)
        self.rectifier = nn.ReLU()
        self.last = nn.Conv3d(4, 1, 1)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last(self.rectifier(self.pool(self.grouped(patches))))
        return scores


def run(
    network: PatchNetwork, images: torch.Tensor, weights: torch.Tensor, *wanted: bool
) -> list[np.ndarray]:
    content = GradientGraph(network)
    axes = ["z", "y", "x"][-(images.ndim - 2) :]

    def value(name: str, channels: int, size: str, batch: str = "B") -> onnx.ValueInfoProto:
        shape: list[str | int | None] = [batch, channels, *(size + axis for axis in axes)]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        content.nodes,
        "test",
        [
            value("patches", 2, "n"),
            value("weights", 1, "m"),
            helper.make_tensor_value_info("gradients_wanted", TensorProto.BOOL, [2]),
        ],
        [
            value("dissimilarity", 1, "m"),
            *(value(name, 1, name, f"{name}B") for name in GRADIENTS),
        ],
        initializer=content.constants,
    )
    imports, bodies = [helper.make_opsetid("", OPSET)], []
    if content.similarities is not None:
        imports.append(helper.make_opsetid(operators.DOMAIN, operators.DOMAIN_VERSION))
        bodies = functions(content.similarities)
    model = helper.make_model(graph, opset_imports=imports, functions=bodies, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        "patches": images.detach().numpy(),
        "weights": weights.numpy(),
        "gradients_wanted": np.array(wanted),
    }
    return list(session.run(["dissimilarity", *GRADIENTS], feeds))


def smooth_images(network: PatchNetwork, edge: int) -> torch.Tensor:
    """Return random images in which no rectifier is at 0 to rounding, where the gradient jumps."""
    inputs: list[torch.Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    shape = (2, 2) + (edge,) * network.dimension
    for seed in range(1, 100):
        images = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
        inputs.clear()
        network(images)
        if all(given.abs().min() > NEAR_ZERO * given.abs().max() for given in inputs):
            break
    else:
        pytest.fail("every image has a rectifier at 0")
    for hook in hooks:
        hook.remove()
    return images.requires_grad_()


def compare(network: PatchNetwork, edge: int) -> None:
    images = smooth_images(network, edge)
    scores = network(images)
    weights = torch.rand(scores.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(scores, images, weights)
    wanted = (scores.detach(), gradient[:, :1], gradient[:, 1:])
    found = run(network, images, weights, True, True)
    for result, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(
            result, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max())
        )
    for which in ((False, True), (True, False), (False, False)):
        some = run(network, images, weights, *which)
        for result, whole, here in zip(some, found, (True, *which), strict=True):
            empty = np.zeros((0, 1) + (0,) * network.dimension)
            np.testing.assert_array_equal(result, whole if here else empty)


@pytest.mark.parametrize(
    "formula",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b + a,
        lambda a, b: 2.0 * a - b / 3.0,
        lambda a, b: 1.5 - a * b,
        lambda a, b: a / (b * b + 1.0),
        lambda a, b: 1.0 / (a * a + 0.5) + b,
        lambda a, b: torch.exp(-a * a) * b,
        lambda a, b: torch.sqrt(a * a + 0.1) - b,
        lambda a, b: (a - a.mean(1, keepdim=True)) * b,
        lambda a, b: a * (b * b).sum(1, keepdim=True),
        lambda a, b: a[:, 1:2] * b + a[:, :1],
        lambda a, b: torch.relu(a) * b,
    ],
)
@pytest.mark.parametrize("dimension", [2, 3])
def test_every_operator_has_its_gradient(formula: Formula, dimension: int) -> None:
    torch.manual_seed(0)
    compare(Composed(formula, dimension), 9)


def test_pooling_dilation_and_groups() -> None:
    torch.manual_seed(0)
    compare(Pooled(), 11)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("options", [{"branches": 2}, {"pooling": True}])
def test_variants_of_the_papers_network(dimension: int, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    spec = layers(channels=(6, 8, 4), kernels=(3, 3, 1, 1), strides=(2, 2, 1, 1))
    network = TwoChannelNetwork(spec, dimension=dimension, **options)
    compare(network, network.receptive_field + 2 * network.stride)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("patches", [1, 3])
@pytest.mark.parametrize("similarities", [("context",), ("strength", "context"), SIMILARITIES])
def test_self_similarity_network(
    dimension: int, patches: int, similarities: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    network = SelfSimilarityNetwork(
        self_similarity_layers(), dimension=dimension, similarities=similarities
    )
    assert (network.receptive_field, network.stride) == (15, 4)
    compare(network, 15 + 4 * (patches - 1))


def test_weights_shared_by_both_channels_are_stored_once() -> None:
    network = SelfSimilarityNetwork(self_similarity_layers(), similarities=SIMILARITIES)
    constants = GradientGraph(network).constants
    stored = [item.name for item in constants if item.name.endswith("weight")]
    assert sorted(stored) == sorted(
        name
        for name, weight in network.named_parameters()
        if name.endswith("weight") and weight.requires_grad
    )


def test_gradient_of_an_image_that_is_multiplied_with_many_channels() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 3, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            product: torch.Tensor = self.first(image) * image
            return product

    torch.manual_seed(0)
    module = Product()
    content = ReverseSweep(module, source="image", channels=1, dimension=2)
    content.declare("cotangent", 3)
    gradient = content.sweep(content.trace(), "cotangent", image=0)
    axes = ["B", None, "y", "x"]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
        for name in ("image", "cotangent", gradient)
    ]
    graph = helper.make_graph(content.nodes, "g", values[:2], values[2:], content.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    image, cotangent = torch.rand(1, 1, 4, 5, requires_grad=True), torch.rand(1, 3, 4, 5)
    (found,) = session.run(None, {"image": image.detach().numpy(), "cotangent": cotangent.numpy()})
    (expected,) = torch.autograd.grad(module(image), image, cotangent)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_network_that_looks_at_one_image_only_is_refused() -> None:
    with pytest.raises(ModelError, match="the network's score does not depend on image 2 of"):
        GradientGraph(Composed(lambda a, b: a * 2.0))


def test_operator_without_a_gradient_is_refused() -> None:
    with pytest.raises(ModelError, match="the network uses sigmoid, which the export has no"):
        GradientGraph(Composed(lambda a, b: torch.sigmoid(a) * b))
