# SPDX-License-Identifier: Apache-2.0
"""Pairs that are not aligned are found before training; those that are, are left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnmetric.errors import DataError
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.misalignment import describe_misaligned
from cnnmetric.training.data.misalignment import measure
from cnnmetric.training.data.misalignment import normalised_mutual_information
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.pair_check import MisalignedPairsWarning
from cnnmetric.training.pair_check import check_pairs
from support.training_images import anatomy
from support.training_images import render
from support.training_images import settings


def tissues(seed: int, shape: tuple[int, ...] = (56, 60, 64)) -> torch.Tensor:
    return torch.from_numpy(anatomy(seed, shape))


def pair(first: torch.Tensor, second: torch.Tensor, *, name: str = "a") -> AlignedPair:
    """Render two anatomies in two contrasts."""
    images = [torch.from_numpy(image) for image in render(first.numpy(), second.numpy())]
    return AlignedPair(images=torch.stack(images), spacing=1.5, name=f"{name}.nii", label=name)


def subject(seed: int) -> AlignedPair:
    return pair(tissues(seed), tissues(seed), name=f"subject{seed}")


@pytest.fixture(scope="module")
def aligned() -> list[AlignedPair]:
    return [subject(seed) for seed in range(3)]


def test_aligned_pairs_are_left_alone(aligned: list[AlignedPair]) -> None:
    assert describe_misaligned(aligned) == {}
    alignment = measure(aligned[0])
    assert alignment is not None
    assert (alignment.shift, alignment.gain) == (0, 1)
    assert alignment.sharpness > 0.5


@pytest.mark.parametrize(
    ("axis", "voxels", "told"),
    [(0, 6, "moved by about 6 voxels (9 mm) along z"), (2, -3, "about 3 voxels (4.5 mm) along x")],
)
def test_a_shifted_image_is_found_with_axis_and_length(
    aligned: list[AlignedPair], axis: int, voxels: int, told: str
) -> None:
    shifted = pair(tissues(3), tissues(3).roll(voxels, axis))
    found = describe_misaligned([*aligned, shifted])
    assert list(found) == [3]
    assert told in found[3]
    alignment = measure(shifted)
    assert alignment is not None
    assert np.sign(alignment.shift) == -np.sign(voxels)  # back to where it was


@pytest.mark.parametrize("alone", [True, False])
def test_two_subjects_are_found(aligned: list[AlignedPair], alone: bool) -> None:
    swapped = pair(tissues(1), tissues(2))
    found = describe_misaligned([swapped] if alone else [*aligned, swapped])
    (told,) = found.values()
    assert "two subjects, or not registered" in told
    assert ("in the other pairs" in told) is not alone
    assert list(found) == [0 if alone else 3]


def test_two_slices_of_two_subjects_are_found_in_2d() -> None:
    first, second = tissues(1, (120, 130)), tissues(2, (120, 130))
    assert describe_misaligned([pair(first, first)]) == {}
    assert list(describe_misaligned([pair(first, second)])) == [0]


def test_small_images_are_not_judged() -> None:
    assert measure(pair(tissues(1, (20, 20, 20)), tissues(2, (20, 20, 20)))) is None
    assert describe_misaligned([pair(tissues(1, (20, 20, 20)), tissues(2, (20, 20, 20)))]) == {}


def test_voxels_outside_of_an_image_do_not_count(aligned: list[AlignedPair]) -> None:
    images = aligned[0].images.clone()
    images[1, :30] = torch.nan
    assert describe_misaligned([replace(aligned[0], images=images)]) == {}


def test_one_warning_or_error_names_all(aligned: list[AlignedPair]) -> None:
    wrong = [
        pair(tissues(6), tissues(6).roll(8, 1), name="b"),
        pair(tissues(6), tissues(7), name="c"),
    ]
    with pytest.warns(MisalignedPairsWarning, match=r"2 of 5 .*b \(b\.nii\).*c \(c\.nii\)") as told:
        assert check_pairs([*aligned, *wrong], strict=False) == ["b", "c"]
    assert len(told) == 1
    assert check_pairs([*aligned, *wrong], strict=False, tell=False) == ["b", "c"]
    with pytest.raises(DataError, match=r"b \(b\.nii\).*take them out of the table$"):
        check_pairs([*aligned, *wrong], strict=True)


def test_mutual_information_of_what_is_known() -> None:
    values = np.tile(np.linspace(0, 1, 32, dtype=np.float32), 8)
    assert normalised_mutual_information(values, 1 - values) == pytest.approx(1)
    assert normalised_mutual_information(values, np.repeat(values[:32], 8)) < 0.3
    assert normalised_mutual_information(values, np.zeros_like(values)) == 0


@pytest.mark.data
@pytest.mark.slow
def test_real_pairs_are_left_alone_and_two_subjects_are_found(data_folder: Path) -> None:
    chosen = settings(data_folder, crop_margin=12)
    files = read_pairs(data_folder / "train" / "pairs.csv", ("T1", "T2"))
    pairs = [load_pair(item, chosen) for item in files]
    assert len(pairs) == 9
    assert describe_misaligned(pairs) == {}

    def centred(images: torch.Tensor, edges: tuple[int, ...]) -> torch.Tensor:
        for axis, edge in enumerate(edges):
            images = images.narrow(axis, (images.shape[axis] - edge) // 2, edge)
        return images

    for first, second in ((0, 1), (3, 4), (4, 6), (7, 8)):
        both = pairs[first].images[0], pairs[second].images[1]
        edges = tuple(map(min, both[0].shape, both[1].shape))
        swapped = replace(
            pairs[first], images=torch.stack([centred(image, edges) for image in both])
        )
        assert list(describe_misaligned([*pairs, swapped])) == [9], pairs[second].name
