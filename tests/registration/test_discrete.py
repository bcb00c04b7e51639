# SPDX-License-Identifier: Apache-2.0
"""The discrete search: its potentials are the metric, and it finds what descent does not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import map_coordinates

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import SettingsError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.registration.discrete.coupled_convex import solve
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.discrete.potentials import PotentialsOfPair
from cnnmetric.registration.discrete.potentials import displacements
from cnnmetric.registration.field import register_displacement_field
from cnnmetric.registration.field_level import LEVELS
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from support.metric_images import empty_image
from support.metric_images import points_of
from support.metric_images import write_small_model

AWAY = 12.0 * np.array([0.6, 0.64, 0.48])  # mm along x, y, z: further than descent reaches
EDGE = 72  # voxels of the images
_SEMIAXES = np.array([28.0, 30.0, 26.0])  # mm


@pytest.fixture(scope="module")
def learned() -> DissimilarityNetwork:
    return DissimilarityNetwork("t1t2-fine", device="cpu", number_of_threads=1)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "small.onnx")


@pytest.fixture(scope="module")
def flat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an untrained siamese model of two dimensions."""
    torch.manual_seed(0)
    network = SelfSimilarityNetwork([Layer(8, 3, 1), Layer(6, 3, 2)], dimension=2)
    path = tmp_path_factory.mktemp("models") / "flat.onnx"
    export_model(network, path, ModelDescription(spacing=1.0, modalities=("T1", "T2")))
    return path


@pytest.fixture(scope="module")
def even_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an untrained model with pooling, whose patches have 20 voxels: no voxel in the middle.

    Two channels and small kernels: every displacement is an evaluation of its own.
    """
    torch.manual_seed(0)
    shape = layers(channels=(2, 2, 2, 2), kernels=(5, 3, 3, 1, 1), strides=(2, 2, 1, 1, 1))
    network = TwoChannelNetwork(shape, pooling=True)
    assert (network.receptive_field, network.stride) == (20, 4)
    path = tmp_path_factory.mktemp("models") / "even.onnx"
    export_model(network, path, ModelDescription(spacing=1.0, modalities=("T1", "T2")))
    return path


def volumes(*shape: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    sigma = (0, *(1,) * len(shape))
    first, second = gaussian_filter(random.random((2, *shape), dtype=np.float32), sigma)
    return first, second


def textured(away: Any, *, bright: float, sign: float) -> Any:
    """Return an ellipsoid with a random texture, shifted, in a contrast of its own."""
    noise = gaussian_filter(np.random.default_rng(3).standard_normal((EDGE,) * 3), 2.0)
    image = empty_image((EDGE,) * 3, spacing=(1.0,) * 3, angle=0.0)
    points = points_of(image) - away
    places = np.moveaxis(points[..., ::-1] + EDGE / 2, -1, 0)
    found = map_coordinates(noise / noise.std(), places, order=1, mode="nearest")
    inside = np.linalg.norm(points / _SEMIAXES, axis=-1) < 1
    itk.array_view_from_image(image)[:] = (bright + sign * 0.2 * np.clip(found, -2, 2)) * inside
    return image


def error(field: Any, true: Any) -> float:
    """Return the mean distance to the true displacement, in mm, inside of the ellipsoid."""
    inside = np.linalg.norm(points_of(field) / _SEMIAXES, axis=-1) < 0.9
    distance = np.linalg.norm(itk.array_view_from_image(field) - true, axis=-1)
    return float(distance[inside].mean())


def test_recovers_what_descent_alone_does_not() -> None:
    fixed = textured(0.0, bright=0.5, sign=1.0)
    moving = textured(AWAY, bright=0.6, sign=-1.0)
    arguments: dict[str, Any] = {"fixed_modality": "T1", "levels": LEVELS[:2]}
    descent = register_displacement_field(fixed, moving, **arguments)
    assert error(descent, AWAY) > 5.0
    search = DiscreteSearch(radius=6)
    found = register_displacement_field(fixed, moving, search=search, **arguments)
    assert error(found, AWAY) < 0.5
    # The other way round, by the model's other channel.
    arguments["fixed_modality"] = "T2"
    back = register_displacement_field(moving, fixed, search=search, **arguments)
    there = points_of(fixed) - AWAY  # where the ellipsoid is not at the origin
    inside = np.linalg.norm(there / _SEMIAXES, axis=-1) < 0.9
    distance = np.linalg.norm(itk.array_view_from_image(back) + AWAY, axis=-1)
    assert distance[inside].mean() < 0.5


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("model", ["t1t2-fine", "small", "flat"])
def test_potentials_are_the_metric_of_shifted_images(
    model: str, image: int, small_model: Path, flat_model: Path
) -> None:
    files = {"small": small_model, "flat": flat_model}
    network = DissimilarityNetwork(files.get(model, model), device="cpu", number_of_threads=1)
    assert network.has_descriptors == (model != "small")
    axes = network.dimension
    pair = volumes(*(27, 26, 30)[:axes])
    found = PotentialsOfPair(network, pair).of(image, 2)
    stride, reach = network.stride, network.receptive_field // 2
    first = -(-reach // stride)  # control points whose patches lie inside
    shape = found.shape[:-1]
    assert shape == tuple(-(-n // stride) for n in pair[0].shape)
    for number, shift in enumerate(displacements(2, axes).astype(int)):
        # The other image as it looks from the displaced patches; the middle is not wrapped.
        moved = np.roll(pair[1 - image], tuple(-shift), axis=tuple(range(axes)))
        both = (pair[0], moved) if image == 0 else (moved, pair[1])
        begin = first * stride - reach
        cut = [np.ascontiguousarray(volume[(slice(begin, None),) * axes]) for volume in both]
        expected = network(cut[0], cut[1], normalised=True)
        part = expected[tuple(slice(1, n - 1) for n in expected.shape)]
        points = tuple(slice(first + 1, first + 1 + n) for n in part.shape)
        np.testing.assert_allclose(found[..., number][points], part, atol=2e-5)


@pytest.mark.parametrize("length", [24, 25])
def test_a_patch_of_even_edge_lies_around_its_control_point(even_model: Path, length: int) -> None:
    """24 is a multiple of the stride: one more patch fits into a volume padded on both sides."""
    network = DissimilarityNetwork(even_model, device="cpu", number_of_threads=1)
    pair = volumes(length, 24, 24)
    for image in (0, 1):
        found = PotentialsOfPair(network, pair).of(image, 1)
        assert found.shape == (-(-length // 4), 6, 6, 27)
        for number, shift in enumerate(displacements(1, 3).astype(int)):
            point = np.array([12, 12, 12])  # whose centre is `receptive_field // 2` from its start
            starts = [point - 10, point - 10]
            starts[1 - image] = starts[1 - image] + shift
            both = [
                np.ascontiguousarray(volume[tuple(slice(n, n + 20) for n in start)])
                for volume, start in zip(pair, starts, strict=True)
            ]
            expected = network(both[0], both[1], normalised=True)
            np.testing.assert_allclose(found[3, 3, 3, number], expected.item(), atol=2e-5)


@pytest.mark.parametrize("model", ["t1t2-fine", "small"])
def test_what_is_outside_of_masks_wants_nothing(model: str, small_model: Path) -> None:
    network = DissimilarityNetwork(
        small_model if model == "small" else model, device="cpu", number_of_threads=1
    )
    pair = volumes(20, 20, 20)
    fixed, moving = np.ones((2, 20, 20, 20), dtype=np.bool_)
    fixed[:8], moving[:, :8] = False, False
    free = PotentialsOfPair(network, pair).of(0, 2)
    found = PotentialsOfPair(network, pair, (fixed, moving)).of(0, 2)
    for point, (number, shift) in itertools.product(
        np.ndindex(5, 5, 5), enumerate(displacements(2, 3).astype(int))
    ):
        centre = 4 * np.array(point)
        other = centre + shift
        within = ((other >= 0) & (other < 20)).all()
        counts = fixed[tuple(centre)] and within and moving[tuple(other)]
        if counts:
            assert found[(*point, number)] == pytest.approx(free[(*point, number)], abs=1e-6)
        else:
            assert found[(*point, number)] == 0


def test_points_that_want_nothing_stay_or_follow_their_neighbours() -> None:
    costs = np.zeros((9, 9, len(displacements(3, 2))), dtype=np.float32)
    assert not solve(costs, 3, smoothing=0.7, threads=1).any()
    wanted = np.flatnonzero((displacements(3, 2) == [2, 1]).all(axis=1))
    costs[4:6, 4:6, wanted] = -1
    found = solve(costs, 3, smoothing=0.7, threads=1)
    assert found[4:6, 4:6].min() > 0.5
    assert found.min() >= 0
    assert np.abs(found[0]).max() < 0.1


def test_the_solution_is_smooth_and_mends_outliers() -> None:
    labels = displacements(4, 2)
    y, x = np.indices((12, 14))
    true = np.stack([2 * np.sin(y / 6), x / 6 - 1], axis=-1)
    costs = ((labels - true[..., np.newaxis, :]) ** 2).sum(axis=-1).astype(np.float32)
    wrong = np.random.default_rng(0).random((12, 14)) < 0.15
    costs[wrong] = np.random.default_rng(1).random((int(wrong.sum()), len(labels))) * 10
    alone = labels[costs.argmin(axis=-1)]
    found = solve(costs, 4, smoothing=0.7, threads=1)
    distances = [np.linalg.norm(field - true, axis=-1)[wrong].mean() for field in (alone, found)]
    assert distances[0] > 2.0
    assert distances[1] < 0.6
    assert np.linalg.norm(found - true, axis=-1)[~wrong].mean() < 0.3


def test_descriptors_are_of_one_image_each(learned: DissimilarityNetwork) -> None:
    first, second = volumes(31, 27, 35)
    one, other = learned.describe(first, second, normalised=True)
    np.testing.assert_allclose(
        -(one * other).sum(axis=0), learned(first, second, normalised=True), atol=1e-6
    )
    back = learned.describe(second, second, normalised=True)
    np.testing.assert_allclose(back[0], other, atol=1e-6)
    np.testing.assert_allclose(back[1], other, atol=1e-6)


def test_models_of_two_channels_have_no_descriptors(small_model: Path) -> None:
    network = DissimilarityNetwork(small_model, device="cpu", number_of_threads=1)
    with pytest.raises(MetricError, match="no descriptors"):
        network.describe(*volumes(20, 20, 20), normalised=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"radius": 0}, "radius of a search is 0 but must be a whole number from 1 to 1000"),
        ({"radius": 2.5}, "radius of a search is 2.5"),
        ({"radius": True}, "radius of a search is True"),
        ({"image_smoothing": "1"}, "image_smoothing of a search is '1' .*must be a number"),
        ({"grid_spacing": 0.0}, "grid_spacing of a search is 0.0 but must be above 0"),
        ({"grid_spacing": float("nan")}, "grid_spacing of a search is nan"),
        ({"field_smoothing": 0}, "field_smoothing of a search is 0 but must be above 0"),
        ({"image_smoothing": -1.0}, "image_smoothing of a search is -1.0 but must be from 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DiscreteSearch(**wrong)


def test_a_search_beyond_the_memory_is_refused(learned: DissimilarityNetwork) -> None:
    with pytest.raises(DataError, match="give a smaller radius, or a larger grid_spacing"):
        PotentialsOfPair(learned, volumes(16, 16, 16)).of(0, 100)


def test_blocks_that_cannot_be_described_are_refused(learned: DissimilarityNetwork) -> None:
    core = learned._network
    for shape, message in (
        ((2, 9, 15, 15), "smaller than the receptive field"),
        ((1, 15, 15, 15), "1 channels"),
        ((2, 15, 15), "axes"),
    ):
        with pytest.raises(CNNMetricError, match=message):
            core.describe(patches=np.zeros(shape, dtype=np.float32))
