# SPDX-License-Identifier: Apache-2.0
"""The network's arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from cnnmetric.errors import SettingsError
from cnnmetric.training.loss import accuracy
from cnnmetric.training.loss import hinge_loss
from cnnmetric.training.loss import logistic_loss
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.architecture import paper_layers
from cnnmetric.training.networks.architecture import receptive_field
from cnnmetric.training.networks.architecture import stride
from cnnmetric.training.networks.architecture import with_stride


def test_reconstruction_has_the_papers_patch_stride_depth_and_size() -> None:
    network = TwoChannelNetwork(paper_layers())
    assert (network.receptive_field, network.stride, len(network.layers)) == (17, 4, 5)
    assert sum(weight.numel() for weight in network.parameters()) == 1_981_409


@pytest.mark.parametrize(
    ("kernels", "strides", "field", "step"),
    [((1,), (1,), 1, 1), ((3, 3), (1, 1), 5, 1), ((5, 3), (2, 1), 9, 2), ((4, 2), (3, 2), 7, 6)],
)
def test_receptive_field_and_stride(
    kernels: tuple[int, ...], strides: tuple[int, ...], field: int, step: int
) -> None:
    spec = layers(channels=[2] * (len(kernels) - 1), kernels=kernels, strides=strides)
    assert receptive_field(spec) == field
    assert stride(spec) == step


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("options", [{}, {"branches": 2}, {"pooling": True}])
def test_block_gives_the_scores_of_its_patches(dimension: int, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    spec = layers(channels=(4, 3), kernels=(3, 3, 1), strides=(2, 2, 1))
    network = TwoChannelNetwork(spec, dimension=dimension, **options)
    p, s = network.receptive_field, network.stride
    block = torch.rand((1, 2) + (p + 2 * s,) * dimension)
    scores = network(block)
    assert scores.shape == (1, 1) + (3,) * dimension
    place = (2, 0, 1)[:dimension]
    window = tuple(slice(s * index, s * index + p) for index in place)
    alone = network(block[(slice(None), slice(None), *window)])
    torch.testing.assert_close(alone.flatten()[0], scores[(0, 0, *place)])


def test_last_layer_is_linear_and_no_layer_pads() -> None:
    network = TwoChannelNetwork((Layer(1, 3, 1),), dimension=2)
    with torch.no_grad():
        dict(network.named_parameters())["convolutions.0.bias"].fill_(-100.0)
    assert network(torch.zeros(1, 2, 3, 3)).item() == -100


def test_refuses_many_channels_in_the_last_layer_and_other_dimensions() -> None:
    with pytest.raises(SettingsError, match="2 channels"):
        TwoChannelNetwork((Layer(2, 3, 1),))
    with pytest.raises(SettingsError, match="three layers or more, and even channels"):
        TwoChannelNetwork(layers(channels=(3, 3), kernels=(3, 1, 1), strides=(1,) * 3), branches=2)
    with pytest.raises(SettingsError, match="2 or 3"):
        TwoChannelNetwork((Layer(1, 3, 1),), dimension=4)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("wanted", [1, 2, 3, 6, 12])
def test_other_stride_same_scores(dimension: int, wanted: int) -> None:
    torch.manual_seed(0)
    spec = layers(channels=(4, 3, 5), kernels=(3, 3, 2, 1), strides=(2, 1, 3, 1))
    network = TwoChannelNetwork(spec, dimension=dimension)
    changed = with_stride(network, wanted)
    p, s = network.receptive_field, network.stride
    assert (changed.receptive_field, changed.stride, s) == (p, wanted, 6)
    block = torch.rand((1, 2) + (p + 12,) * dimension)
    scores, others = network(block), changed(block)
    assert others.shape[2:] == (12 // wanted + 1,) * dimension
    common = max(s, wanted)
    first, second = (
        values[(..., *[slice(None, None, common // step)] * dimension)]
        for values, step in ((scores, s), (others, wanted))
    )
    torch.testing.assert_close(first, second)
    with pytest.raises(SettingsError, match="cannot have stride 4"):
        with_stride(network, 4)
    with pytest.raises(SettingsError, match="with pooling cannot have"):
        with_stride(TwoChannelNetwork(spec, pooling=True), 6)


def test_pooling_takes_the_place_of_strides() -> None:
    network = TwoChannelNetwork(paper_layers(), pooling=True)
    assert (network.receptive_field, network.stride) == (20, 4)
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 20, 20, 24)).shape == (1, 1, 1, 1, 2)


def test_branches_meet_in_the_last_two_layers() -> None:
    network = TwoChannelNetwork(paper_layers(), branches=2)
    first, second = torch.rand(2, 1, 1, 17, 17, 17)
    features = [torch.cat(pair, dim=1) for pair in ((first, second), (first, first))]
    for convolution in network.convolutions[:-2]:
        features = [torch.relu(convolution(item)) for item in features]
    half = features[0].shape[1] // 2
    torch.testing.assert_close(features[0][:, :half], features[1][:, :half])
    assert not torch.allclose(features[0][:, half:], features[1][:, half:])


def test_logistic_loss_is_cross_entropy_of_two_scores() -> None:
    scores = torch.tensor([-2.0, -0.5, 3.0, -1.0])
    labels = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    both = torch.stack([torch.zeros(4), scores], dim=1)
    expected = cross_entropy(both, (labels > 0).long())
    torch.testing.assert_close(logistic_loss(scores, labels), expected)


def test_hinge_loss_wants_aligned_patches_below_minus_one() -> None:
    scores = torch.tensor([-2.0, -0.5, 3.0, -1.0])
    labels = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    assert hinge_loss(scores, labels).item() == pytest.approx((0 + 0.5 + 0 + 2) / 4)
    assert accuracy(scores, labels).item() == pytest.approx(0.75)
