# SPDX-License-Identifier: Apache-2.0
"""Patch transforms and the sampling of patch pairs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cnnmetric.errors import DataError
from cnnmetric.training.data import sampling
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.device_random import stretches
from cnnmetric.training.data.geometry import PatchTransforms
from cnnmetric.training.data.geometry import near_misses
from cnnmetric.training.data.geometry import random_rotations
from cnnmetric.training.data.geometry import random_stretches
from cnnmetric.training.data.geometry import random_transforms
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.data.sampling import Batch
from cnnmetric.training.data.sampling import PatchSampler
from support.training_images import anatomy
from support.training_images import blobs
from support.training_images import render
from support.training_images import settings

EDGE = 5
BATCH = 200
CPU = torch.device("cpu")


def pair_of(first: Any, second: Any) -> AlignedPair:
    images = torch.from_numpy(np.stack([first, second]).astype(np.float32))
    return AlignedPair(images=images, spacing=1.0, name="pair")


def coordinates(shape: tuple[int, ...], direction: tuple[float, ...]) -> Any:
    """Return an image whose intensity is a linear function of the index (x, y, z)."""
    axes = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")[::-1]
    return sum(weight * axis for weight, axis in zip(direction, axes, strict=True))


def real(pairs: list[AlignedPair]) -> list[Material]:
    return [Material(kind="real", pairs=pairs)]


def sampler(folder: Path, pairs: list[AlignedPair], **changes: Any) -> PatchSampler:
    values = {"batch_size": BATCH, "seed": 3} | changes
    return PatchSampler(real(pairs), settings(folder, **values), edge=EDGE)


def batch(kind: str, folder: Path, pairs: list[AlignedPair], **changes: Any) -> Batch:
    """Return a batch of one of the two samplers, which have the same distribution."""
    if kind == "host":
        return sampler(folder, pairs, **changes)[0]
    chosen = settings(folder, **{"batch_size": BATCH, **changes})
    resident = ResidentSampler(real(pairs), chosen, edge=EDGE, device=CPU)
    return resident.draw(torch.Generator().manual_seed(3))


both = pytest.mark.parametrize("kind", ["host", "resident"])


@pytest.mark.parametrize("dimension", [2, 3])
def test_rotations_are_rotations_within_the_range(dimension: int) -> None:
    rotations = random_rotations(np.random.default_rng(0), 500, dimension, 30.0)
    identity = np.broadcast_to(np.eye(dimension), rotations.shape)
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), identity, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    trace = np.trace(rotations, axis1=1, axis2=2)
    angle = np.rad2deg(np.arccos(np.clip((trace - dimension + 2) / 2, -1, 1)))
    assert 25 < angle.max() <= 30 + 1e-6


def test_transforms_keep_the_range_of_scales_and_mirror_half_of_the_axes() -> None:
    sizes = np.full((2000, 3), 100)
    arguments: dict[str, Any] = {"edge": EDGE, "scale": (0.5, 2.0), "rotation": 180.0}
    drawn = random_transforms(np.random.default_rng(0), sizes, **arguments, mirroring=True)
    determinant = np.linalg.det(drawn.matrices)
    factors = np.cbrt(np.abs(determinant))
    assert 0.5 <= factors.min() < 0.51
    assert 1.95 < factors.max() <= 2
    assert 0.45 < (determinant < 0).mean() < 0.55
    plain = random_transforms(np.random.default_rng(0), sizes, **arguments, mirroring=False)
    assert (np.linalg.det(plain.matrices) > 0).all()


@pytest.mark.parametrize("kind", ["host", "resident"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_stretches_are_symmetric_and_keep_their_range(dimension: int, kind: str) -> None:
    if kind == "host":
        drawn = random_stretches(np.random.default_rng(0), 2000, dimension, 1.5)
    else:
        drawn = stretches(torch.Generator().manual_seed(0), 1.5, dimension, 2000).double().numpy()
    np.testing.assert_allclose(drawn, drawn.swapaxes(1, 2), atol=1e-6)
    logarithms = np.log(np.linalg.eigvalsh(drawn)) / np.log(1.5)
    assert -1 - 1e-5 < logarithms.min() < -0.99
    assert 0.99 < logarithms.max() < 1 + 1e-5
    assert abs(logarithms.mean()) < 0.05
    assert logarithms.std() == pytest.approx(1 / np.sqrt(3), abs=0.02)
    # Along any direction alike.
    along = np.diagonal(drawn, axis1=1, axis2=2).mean(0)
    np.testing.assert_allclose(along, along.mean(), rtol=0.03)


def test_stretches_change_the_shape_of_patches_and_not_those_without() -> None:
    sizes = np.full((200, 3), 100)
    arguments: dict[str, Any] = {"edge": EDGE, "scale": (1.0, 1.0), "rotation": 180.0}
    plain, stretched = (
        random_transforms(
            np.random.default_rng(0), sizes, **arguments, mirroring=True, stretch=stretch
        )
        for stretch in (1.0, 1.5)
    )
    for drawn, largest in ((plain, 1.0), (stretched, 1.5)):
        lengths = np.linalg.svd(drawn.matrices, compute_uv=False)
        assert lengths.max() == pytest.approx(largest, rel=0.02)
        assert lengths.min() == pytest.approx(1 / largest, rel=0.02)


def test_positions_fill_the_image_and_stay_inside() -> None:
    sizes = np.broadcast_to([20, 30, 40], (3000, 3))
    drawn = random_transforms(
        np.random.default_rng(0), sizes, edge=EDGE, scale=(1.0, 1.0), rotation=0, mirroring=False
    )
    assert drawn.inside(sizes, EDGE).all()
    np.testing.assert_allclose(drawn.centres.min(axis=0), 2, atol=0.1)
    np.testing.assert_allclose(drawn.centres.max(axis=0), [17, 27, 37], atol=0.1)


def test_a_patch_larger_than_its_image_is_not_inside() -> None:
    sizes = np.array([[9, 9, 3]])
    drawn = random_transforms(
        np.random.default_rng(0), sizes, edge=EDGE, scale=(1.0, 1.0), rotation=0, mirroring=False
    )
    assert not drawn.inside(sizes, EDGE).any()


def test_near_misses_move_by_their_lengths_in_patch_voxels() -> None:
    start = PatchTransforms(np.broadcast_to(2 * np.eye(3), (500, 3, 3)), np.zeros((500, 3)))
    lengths = np.linspace(1, 3, 500)
    moved = near_misses(np.random.default_rng(0), start, lengths=lengths, rotation=5.0)
    np.testing.assert_allclose(np.linalg.norm(moved.centres, axis=1) / 2, lengths)


@both
def test_half_of_the_samples_are_aligned_and_only_those_show_the_same_place(
    kind: str,
    tmp_path: Path,
) -> None:
    image = coordinates((30, 31, 32), (1.0, 40.0, 1600.0))
    patches, labels = batch(kind, tmp_path, [pair_of(image, image)])
    assert patches.shape == (BATCH, 2, EDGE, EDGE, EDGE)
    assert 0.4 < (labels == -1).float().mean() < 0.6
    same = (patches[:, 0] - patches[:, 1]).abs().flatten(1).amax(1) < 1e-3 * image.max()
    assert torch.equal(same, labels == -1)


@both
def test_patches_are_interpolated_at_the_transformed_places(kind: str, tmp_path: Path) -> None:
    """Differences of neighbours in a linear image are the transform's columns: all similar."""
    image = coordinates((30, 31, 32), (1.0, 0.0, 0.0))
    patches, _ = batch(kind, tmp_path, [pair_of(image, image)], scale=(0.5, 0.5))
    steps = torch.stack(
        [torch.diff(patches[:, 0], dim=axis).flatten(1) for axis in (1, 2, 3)], dim=-1
    )
    # A row of scale times a rotation (and mirroring) has the length of the scale.
    torch.testing.assert_close(
        steps.norm(dim=-1), torch.full(steps.shape[:2], 0.5), atol=1e-3, rtol=0
    )
    assert steps.std(dim=1).max() < 1e-3
    assert (steps.mean(dim=1) < -0.4).any()
    assert (steps.mean(dim=1) > 0.4).any()


@both
def test_without_variation_patches_are_cut_out_of_the_image(kind: str, tmp_path: Path) -> None:
    image = coordinates((30, 31, 32), (1.0, 40.0, 1600.0))
    patches, _ = batch(
        kind, tmp_path, [pair_of(image, image)], scale=(1.0, 1.0), rotation=0.0, mirroring=False
    )
    for axis, step in ((4, 1.0), (3, 40.0), (2, 1600.0)):
        difference = torch.diff(patches, dim=axis)
        torch.testing.assert_close(difference, torch.full_like(difference, step), atol=0.1, rtol=0)


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    pairs = [pair_of(blobs((20, 20, 20), seed=i), blobs((20, 20, 20), seed=i)) for i in range(3)]
    few = {"batch_size": 8}
    expected = [sampler(tmp_path, pairs, **few)[step] for step in range(4)]
    for workers in (0, 1, 2):
        loader = DataLoader(
            sampler(tmp_path, pairs, **few),
            batch_size=None,
            sampler=range(4),
            num_workers=workers,
        )
        for (patches, labels), (patches_again, labels_again) in zip(expected, loader, strict=True):
            assert torch.equal(patches, patches_again)
            assert torch.equal(labels, labels_again)
    for one, other in pairwise(expected):
        assert not torch.equal(one[0], other[0])
    assert not torch.equal(sampler(tmp_path, pairs, seed=4, **few)[0][0], expected[0][0])


@both
def test_patches_do_not_touch_what_lies_outside_the_second_image(kind: str, tmp_path: Path) -> None:
    second = coordinates((20, 20, 30), (1.0, 0.0, 0.0)).astype(np.float32)
    second[:, :, 18:] = np.nan
    patches, _ = batch(kind, tmp_path, [pair_of(np.zeros_like(second), second)])
    assert torch.isfinite(patches).all()
    assert patches[:, 1].max() <= 17


@both
def test_intensity_variation_is_drawn_per_patch_and_channel(kind: str, tmp_path: Path) -> None:
    half = np.full((20, 20, 20), 0.5)
    patches, _ = batch(kind, tmp_path, [pair_of(half, half)], max_gamma=1.5, max_gain=1.25)
    flat = patches.flatten(2)
    assert (flat.amax(2) - flat.amin(2)).max() < 1e-6
    means = flat.mean(2)
    assert len(set(means.flatten().tolist())) == 2 * BATCH
    assert means.min() >= 0.5**1.5 / 1.25 - 1e-6
    assert means.max() <= 0.5 ** (1 / 1.5) * 1.25 + 1e-6


@both
def test_near_misses_replace_their_share_of_the_negatives(kind: str, tmp_path: Path) -> None:
    image = coordinates((60, 60, 60), (1.0, 0.0, 0.0))
    patches, labels = batch(
        kind,
        tmp_path,
        [pair_of(image, image)],
        near_miss_fraction=1.0,
        near_miss_offset=2.0,
        near_miss_rotation=0.0,
        scale=(1.0, 1.0),
    )
    shift = (patches[:, 0] - patches[:, 1]).flatten(1).mean(1).abs()
    assert shift[labels == -1].max() < 1e-3
    assert 0.5 < shift[labels == 1].max() <= 2.001


@both
def test_near_misses_can_be_graded_by_their_offset(kind: str, tmp_path: Path) -> None:
    """In an image that is its own x, y or z, the offset is at least that of the intensities."""
    shifts = []
    for axis in range(3):
        image = coordinates((60, 60, 60), tuple(float(axis == other) for other in range(3)))
        patches, labels = batch(
            kind,
            tmp_path,
            [pair_of(image, image)],
            near_miss_fraction=1.0,
            near_miss_offset=4.0,
            near_miss_rotation=0.0,
            near_miss_labels="graded",
            scale=(1.0, 1.0),
        )
        shifts.append((patches[:, 0] - patches[:, 1]).flatten(1).mean(1))
    offsets = torch.stack(shifts).norm(dim=0)
    torch.testing.assert_close(2 * offsets / 4 - 1, labels, atol=1e-3, rtol=0)
    negatives = labels[labels > -1]
    assert len(negatives) > BATCH / 3
    assert negatives.min() < -0.9
    assert negatives.max() > 0.9


@both
def test_patches_can_be_centred_on_anatomy(kind: str, tmp_path: Path) -> None:
    first, second = np.zeros((2, 30, 30, 30))
    first[:, :, 8:18] = second[:, 8:18] = 0.5
    middle = EDGE // 2

    shares = {}
    for centres in ("anywhere", "anatomy"):
        patches, labels = batch(
            kind, tmp_path, [pair_of(first, second)], patch_centres=centres, near_miss_fraction=0.5
        )
        shown = (patches[:, :, middle, middle, middle] > 0).all(1)
        shares[centres] = [float(shown[labels == label].float().mean()) for label in (-1, 1)]
    assert shares["anatomy"] == [1, 1]
    assert max(shares["anywhere"]) < 0.5


@both
def test_two_dimensional_patches(kind: str, tmp_path: Path) -> None:
    image = coordinates((30, 31), (1.0, 40.0))
    patches, labels = batch(kind, tmp_path, [pair_of(image, image)], dimension=2)
    assert patches.shape == (BATCH, 2, EDGE, EDGE)
    same = (patches[:, 0] - patches[:, 1]).abs().flatten(1).amax(1) < 1e-2
    assert torch.equal(same, labels == -1)


def test_a_pair_without_common_anatomy_is_named(tmp_path: Path) -> None:
    first, second = np.zeros((2, 30, 30, 30))
    first[:, :, :15], second[:, :, 15:] = 0.5, 0.5
    with pytest.raises(DataError, match=r"no patch .* with anatomy at its centre .* pair pair"):
        sampler(tmp_path, [pair_of(first, second)], patch_centres="anatomy")


def little_anatomy() -> AlignedPair:
    """Return a pair whose anatomy is at the centre of one patch of 27."""
    image = np.zeros((40, 40, 40))
    image[14:26, 14:26, 14:26] = 0.5
    return pair_of(image, image)


def test_both_places_of_a_negative_are_found_where_anatomy_is_little(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"patch_centres": "anatomy", "scale": (1.0, 1.0), "batch_size": 8}
    patches, labels = sampler(tmp_path, [little_anatomy()], **chosen)[0]
    assert (labels == 1).any()
    assert (patches[:, :, EDGE // 2, EDGE // 2, EDGE // 2] > 0).all()


def test_a_pair_without_room_for_a_negative_stops_the_run_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MAX_TRIES", 100)
    with pytest.raises(DataError, match=r"anatomy at its centre was found .* in 100 tries"):
        sampler(tmp_path, [little_anatomy()], patch_centres="anatomy", scale=(1.0, 1.0))


def test_an_image_without_room_for_a_patch_is_named(tmp_path: Path) -> None:
    image = np.zeros((30, 30, 4))
    with pytest.raises(DataError, match=r"no patch of 5 voxels.*pair pair \(4 x 30 x 30 voxels\)"):
        sampler(tmp_path, [pair_of(image, image)], scale=(1.0, 1.0))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch_centres": "anatomy"},
        {"near_miss_fraction": 0.7, "near_miss_labels": "graded"},
        {"max_stretch": 1.5},
        {"near_miss_fraction": 0.5, "patch_centres": "anatomy", "max_gamma": 1.4, "max_gain": 1.3},
    ],
)
def test_both_samplers_draw_the_same_distribution(tmp_path: Path, changes: dict[str, Any]) -> None:
    shapes = (24, 25, 26), (30, 20, 22)
    tissues = [anatomy(seed, shape) for seed, shape in enumerate(shapes)]
    pairs = [pair_of(*render(item, item)) for item in tissues]
    pairs[1].images[1, :, :, 18:] = np.nan
    found = {}
    for kind in ("host", "resident"):
        patches, labels = batch(kind, tmp_path, pairs, **changes, batch_size=4000)
        flat = patches.flatten(2)
        centred = flat - flat.mean(2, keepdim=True)
        product = (centred[:, 0] * centred[:, 1]).mean(1)
        measures = [labels, product, *flat.mean(2).T, *flat.std(2).T, *flat.diff(dim=2).std(2).T]
        measures += [measure * (labels > 0) for measure in measures]
        found[kind] = torch.stack(measures, 1)
    one, other = found.values()
    error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
    assert ((one.mean(0) - other.mean(0)).abs() < 4 * error).all()
    # Not the means alone: every tenth of the distributions.
    levels = torch.linspace(0.1, 0.9, 9)
    for host, resident in zip(one.T[1:], other.T[1:], strict=True):
        shares = [
            (item[:, None] <= host.quantile(levels)).float().mean(0) for item in (host, resident)
        ]
        torch.testing.assert_close(*shares, atol=0.05, rtol=0)


def test_resident_patches_depend_on_the_generator_alone(tmp_path: Path) -> None:
    pairs = [pair_of(blobs((20, 20, 20), seed=i), blobs((20, 20, 20), seed=i)) for i in range(3)]
    one, other = (batch("resident", tmp_path, pairs) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
