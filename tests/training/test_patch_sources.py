# SPDX-License-Identifier: Apache-2.0
"""Patches of several sources: pairs of images, and pairs made from label maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.data import DataLoader

from cnnmetric.errors import DataError
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.label_maps import load_label_map
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.rendered import SLOTS
from cnnmetric.training.data.rendered import RenderedPairs
from cnnmetric.training.data.rendered import rendered_of
from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.data.sampling import RENDER_EVERY
from cnnmetric.training.data.sampling import Batch
from cnnmetric.training.data.sampling import PatchSampler
from cnnmetric.training.loop import train
from support.training_images import anatomy
from support.training_images import render
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_label_map
from support.training_images import write_pairs

EDGE = 5
BATCH = 200
CPU = torch.device("cpu")

both = pytest.mark.parametrize("kind", ["host", "resident"])


def batch(
    kind: str, materials: list[Material], folder: Path, step: int = 0, **changes: Any
) -> Batch:
    """Return the batch of a step by one of the two samplers, which have the same distribution."""
    chosen = settings(folder, **{"batch_size": BATCH, "steps": 2000, "seed": 3, **changes})
    if kind == "host":
        return PatchSampler(materials, chosen, edge=EDGE)[step]
    sampler = ResidentSampler(materials, chosen, edge=EDGE, device=CPU)
    sampler.render(step)
    return sampler.draw(torch.Generator().manual_seed(3))


def maps(folder: Path, **changes: Any) -> Material:
    """Return a source of one label map."""
    labels = load_label_map(write_label_map(folder))
    return Material(kind="synthetic", label_maps=[labels], **changes)


def level(value: float, name: str = "even", **changes: Any) -> Material:
    """Return a source of a pair of one intensity."""
    images = torch.full((2, 20, 20, 20), value)
    pair = AlignedPair(images=images, spacing=1.0, name=name)
    return Material(kind="real", pairs=[pair], **changes)


@both
def test_sources_are_chosen_by_their_weights(kind: str, tmp_path: Path) -> None:
    materials = [level(0.25, weight=3), level(0.75, weight=1)]
    patches, _ = batch(kind, materials, tmp_path, batch_size=1000)
    assert 0.70 < float((patches[:, 0].flatten(1)[:, 0] < 0.5).float().mean()) < 0.80


@both
def test_label_maps_give_aligned_patches_of_two_contrasts(kind: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"patch_centres": "anatomy", "scale": (0.8, 0.8)}
    patches, labels = batch(kind, [maps(tmp_path)], tmp_path, **changes)
    assert patches.min() > -1e-6
    assert patches.max() < 1 + 1e-6
    aligned, other = (patches[labels == label] for label in (-1, 1))
    assert not torch.allclose(aligned[:, 0], aligned[:, 1], atol=0.1)
    # Where one image of an aligned patch has a border, so has the other.
    together, apart = (
        float(torch.corrcoef(pair.flatten(2).std(2).T)[0, 1]) for pair in (aligned, other)
    )
    assert together > apart + 0.3


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    materials = [level(0.5), maps(tmp_path)]
    chosen = settings(tmp_path, batch_size=20, steps=2000)
    steps = [0, RENDER_EVERY - 1, RENDER_EVERY, 6 * RENDER_EVERY]
    forwards, backwards = (PatchSampler(materials, chosen, edge=EDGE) for _ in range(2))
    batches = [forwards[step][0] for step in steps]
    for step, expected in zip(reversed(steps), reversed(batches), strict=True):
        assert torch.equal(backwards[step][0], expected)
    workers = DataLoader(forwards, batch_size=None, sampler=steps, num_workers=2)
    assert all(
        torch.equal(found, expected) for (found, _), expected in zip(workers, batches, strict=True)
    )


def test_one_pair_of_six_is_replaced_at_a_time(tmp_path: Path) -> None:
    def rendered() -> RenderedPairs[torch.Tensor]:
        made = rendered_of([maps(tmp_path)], seed=3, every=10, prepare=lambda images: images)
        return made[0]

    kept, passed_on = rendered(), rendered()
    shown = [kept.at(0, slot) for slot in range(SLOTS)]
    assert not any(map(torch.equal, shown, shown[1:]))
    assert len(list(passed_on.changed(0))) == SLOTS
    assert not list(passed_on.changed(9))
    for step in range(10, 61, 10):
        now = [kept.at(step, slot) for slot in range(SLOTS)]
        new = [slot for slot in range(SLOTS) if not torch.equal(now[slot], shown[slot])]
        assert len(new) == 1
        ((slot, images),) = passed_on.changed(step)
        assert [slot] == new
        assert torch.equal(images, now[slot])
        shown = now
    again = rendered()
    assert all(torch.equal(again.at(60, slot), shown[slot]) for slot in range(SLOTS))


def test_patches_on_the_device_are_of_the_pairs_shown(tmp_path: Path) -> None:
    patches = [
        batch("resident", [maps(tmp_path)], tmp_path, step)[0]
        for step in (0, RENDER_EVERY - 1, RENDER_EVERY)
    ]
    assert torch.equal(patches[0], patches[1])
    changed = (patches[2] != patches[0]).flatten(1).any(1)
    assert 0 < changed.float().mean() < 0.5  # those of one slot in six


def test_both_samplers_draw_the_same_distribution(tmp_path: Path) -> None:
    tissues = anatomy(1, (24, 25, 26))
    images = torch.from_numpy(np.stack(render(tissues, tissues)))
    pair = AlignedPair(images=images, spacing=1.0, name="pair")
    materials = [Material(kind="real", pairs=[pair]), maps(tmp_path, weight=2)]
    found = []
    for kind in ("host", "resident"):
        patches, labels = batch(kind, materials, tmp_path, batch_size=4000)
        flat = patches.flatten(2)
        measures = [*flat.mean(2).T, *flat.std(2).T, *flat.diff(dim=2).std(2).T]
        found.append(torch.stack([*measures, *(item * (labels > 0) for item in measures)], 1))
    levels = torch.linspace(0.1, 0.9, 9)
    for host, resident in zip(*(item.T for item in found), strict=True):
        shares = [
            (item[:, None] <= host.quantile(levels)).float().mean(0) for item in (host, resident)
        ]
        torch.testing.assert_close(*shares, atol=0.05, rtol=0)


def test_a_label_map_without_room_is_named(tmp_path: Path) -> None:
    small = Material(kind="synthetic", label_maps=[np.ones((30, 30, 3), np.int16)])
    with pytest.raises(DataError, match=r"the pair of label map 1 \(3 x 30 x 30 voxels\)"):
        batch("host", [small], tmp_path, scale=(1.0, 1.0))


def test_the_papers_network_trains_on_label_maps(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(24, 25, 26))
    (tmp_path / "maps").mkdir()
    write_label_map(tmp_path / "maps", "a.nii.gz")
    sources = (f"synthetic={tmp_path / 'maps'}:0.5",)
    chosen = settings(tmp_path, steps=3, source=sources)
    progress = train(chosen)
    assert progress.step == 3
    assert "a.nii.gz" in progress.hashes
    session = onnxruntime.InferenceSession(str(chosen.out), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["cnnmetric.modalities"] == "T1,T2"


def test_label_maps_of_thick_slices_are_made_of_cubes(tmp_path: Path) -> None:
    labels = np.zeros((12, 30, 30), np.int16)
    labels[3:9, 8:23, 8:23] = 2
    labels[5:7, 8:23, 8:23] = 10
    path = write_image(tmp_path / "thick.nii.gz", labels, spacing=(0.8, 0.8, 2.4))
    found = load_label_map(path)
    # All that is there is as thick as in the file, in voxels of 0.8 mm.
    assert np.unique(found).tolist() == [0, 2, 10]
    assert (found == 10).any((1, 2)).sum() == pytest.approx(6, abs=1)
    assert (found > 0).any((1, 2)).sum() == pytest.approx(18, abs=1)
    assert (found > 0).any((0, 2)).sum() == 15


def test_parts_of_the_cortex_are_cortex_and_sides_are_alike(tmp_path: Path) -> None:
    labels = np.zeros((20, 20, 20), np.int16)
    parts = (1000, 1035, 2035, 12175, 3, 42, 31, 63, 510)
    for place, label in enumerate(parts, 5):
        labels[place, 5:15, 5:15] = label
    found = load_label_map(write_image(tmp_path / "aparc.nii.gz", labels))
    assert found[5:14, 10, 10].tolist() == [3, 3, 3, 3, 3, 3, 31, 31, 510]
