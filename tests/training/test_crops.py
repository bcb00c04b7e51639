# SPDX-License-Identifier: Apache-2.0
"""Crops, images made from label maps, and the contrastive training of descriptors."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.utils.data import DataLoader

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.crops import RENDER_EVERY
from cnnmetric.training.data.crops import CropSampler
from cnnmetric.training.data.label_maps import find_label_maps
from cnnmetric.training.data.label_maps import load_label_map
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.pairs import read_images
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.data.rendering import BLUR_ENDS
from cnnmetric.training.data.rendering import blurred_by_convolutions
from cnnmetric.training.data.rendering import render_pair
from cnnmetric.training.data.resident_crops import ResidentCrops
from cnnmetric.training.data.sources import Kind
from cnnmetric.training.loop import train
from cnnmetric.training.loss import contrastive_loss
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from cnnmetric.training.networks.similarities import NOISE_FLOOR
from cnnmetric.training.networks.similarities import STRONG
from cnnmetric.training.networks.similarities import Similarities
from cnnmetric.training.networks.similarity_names import SIMILARITIES
from cnnmetric.training.settings import TrainingSettings
from support.training_images import blobs
from support.training_images import self_similarity_layers
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_label_map
from support.training_images import write_pairs

PLAIN: dict[str, Any] = {"remap_probability": 0.0, "max_noise": 0.0, "scale": (1.0, 1.0)}


def learner(folder: Path, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "architecture": "self-similarity",
        "channels": (8, 8),
        "kernels": (3, 1),
        "strides": (2, 1),
        "crops": 2,
        "crop_edge": 27,
        "steps": 4,
    }
    return settings(folder, **(values | changes))


def real(kind: Kind = "real", **changes: Any) -> Material:
    """Return one pair, whose images are the same."""
    image = torch.from_numpy(blobs((40, 40, 40)) / 300)
    pair = AlignedPair(images=torch.stack([image, image]), spacing=1.0, name="same")
    return Material(kind=kind, pairs=[pair], **changes)


def drawn(kind: str, materials: list[Material], chosen: TrainingSettings) -> torch.Tensor:
    """Return the first batch, sampled on the host or where the network is."""
    if kind == "host":
        return CropSampler(materials, chosen)[0]
    sampler = ResidentCrops(materials, chosen, device=torch.device("cpu"))
    sampler.render(0)
    return sampler.draw(torch.Generator().manual_seed(chosen.seed))


both = pytest.mark.parametrize("kind", ["host", "resident"])


@both
def test_crops_of_one_place_are_aligned_and_the_third_is_shifted(kind: str, tmp_path: Path) -> None:
    crops = drawn(kind, [real()], learner(tmp_path, **PLAIN))
    assert crops.shape == (2, 3, 27, 27, 27)
    torch.testing.assert_close(crops[:, 0], crops[:, 1])
    assert ((crops[:, 1] - crops[:, 2]).abs().flatten(1).mean(1) > 0.01).all()


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    write_label_map(tmp_path)
    maps = [load_label_map(tmp_path / "labels.nii.gz")]
    mixed = [Material(kind="synthetic", label_maps=maps), real()]
    chosen = learner(tmp_path, steps=30, crops=1)
    forwards = CropSampler(mixed, chosen)
    batches = [forwards[step] for step in range(30)]
    backwards = CropSampler(mixed, chosen)
    for step in (29, 14, 3):
        assert torch.equal(backwards[step], batches[step])
    workers = DataLoader(forwards, batch_size=None, sampler=range(30), num_workers=2)
    assert all(map(torch.equal, workers, batches))
    other = CropSampler(mixed, learner(tmp_path, steps=30, seed=2, crops=1))
    assert not torch.equal(other[0], batches[0])


@both
def test_an_image_by_itself_gets_a_second_contrast(kind: str, tmp_path: Path) -> None:
    crops = drawn(kind, [real("contrast")], learner(tmp_path, **PLAIN))
    assert ((crops[:, 0] - crops[:, 1]).abs().flatten(1).mean(1) > 0.01).all()
    for first, second in zip(crops[:, 0], crops[:, 1], strict=True):
        order = first.flatten().argsort()
        steps = second.flatten()[order].diff().abs()
        assert steps.max() < 0.05  # a continuous function of the first image


def test_saturated_voxels_are_remapped_as_their_neighbours(tmp_path: Path) -> None:
    """Whatever the number of knots, the function does not jump at its end."""
    sampler = ResidentCrops([real()], learner(tmp_path), device=torch.device("cpu"))
    intensities = torch.tensor([0.0, 1 - 1e-6, 1.0]).expand(200, 3, -1)
    remapped = sampler._remapped(torch.Generator().manual_seed(1), intensities)
    torch.testing.assert_close(remapped[..., 1], remapped[..., 2], atol=0.01, rtol=0)
    assert (remapped[..., 0] == 0).all()
    assert remapped[..., 2].std() > 0.2  # all over the range


@both
def test_sources_are_chosen_by_their_weights(kind: str, tmp_path: Path) -> None:
    dark = AlignedPair(images=torch.zeros(2, 40, 40, 40), spacing=1.0, name="dark")
    materials = [Material(kind="real", pairs=[dark], weight=3), real(weight=1)]
    crops = drawn(kind, materials, learner(tmp_path, crops=200, crop_edge=25, **PLAIN))
    share = float((crops.flatten(1).amax(1) == 0).float().mean())
    assert 0.65 < share < 0.85


@pytest.mark.parametrize(
    "changes",
    [
        {"remap_probability": 0.0, "max_noise": 0.0, "max_gamma": 1.0, "max_gain": 1.0},
        {"remap_probability": 1.0, "max_noise": 0.1, "max_gamma": 2.0, "max_gain": 1.5},
        {"dimension": 2, "mirroring": False, "rotation": 20.0},
    ],
)
def test_both_samplers_draw_the_same_distribution(tmp_path: Path, changes: dict[str, Any]) -> None:
    """By the means, spreads and differences of crops, of which many are drawn."""
    chosen = learner(tmp_path, crops=250, crop_edge=25, **({"scale": (0.6, 2.0)} | changes))
    shape = (26, 30, 34)[: chosen.dimension]
    pairs = []
    for number in range(2):
        images = [torch.from_numpy(blobs(shape, seed=number + extra) / 300) for extra in (0, 5)]
        images[1][2:5] = torch.nan  # beyond a field of view
        pairs.append(AlignedPair(images=torch.stack(images), spacing=1.0, name=str(number)))
    materials = [Material(kind="real", pairs=pairs)]
    measured = []
    for kind in ("host", "resident"):
        crops = drawn(kind, materials, chosen)
        assert crops.isfinite().all()
        channels = crops.flatten(2)
        shift = (channels[:, 1] - channels[:, 2]).abs().mean(1)
        dark = (channels < 0.02).float().mean(2)
        measured.append(torch.cat([channels.mean(2), channels.std(2), dark, shift[:, None]], 1))
    levels = torch.linspace(0.1, 0.9, 9)
    for host, resident in zip(*(item.T for item in measured), strict=True):
        limits = host.quantile(levels)
        shares = [(item[:, None] <= limits).float().mean(0) for item in (host, resident)]
        torch.testing.assert_close(*shares, atol=0.13, rtol=0)


def test_pairs_of_label_maps_change_as_those_of_the_host_do(tmp_path: Path) -> None:
    maps = [load_label_map(write_label_map(tmp_path))]
    materials = [Material(kind="synthetic", label_maps=maps)]
    chosen = learner(tmp_path, crops=40, crop_edge=25, **PLAIN)
    sampler = ResidentCrops(materials, chosen, device=torch.device("cpu"))

    def crops(step: int) -> torch.Tensor:
        sampler.render(step)
        return sampler.draw(torch.Generator().manual_seed(5))

    first = crops(0)
    assert torch.equal(crops(RENDER_EVERY - 1), first)
    changed = (crops(RENDER_EVERY) != first).flatten(1).any(1)
    assert 0 < changed.float().mean() < 0.5  # those of one slot in six
    assert torch.equal(crops(0), first)


def test_label_maps_become_two_contrasts_of_one_anatomy(tmp_path: Path) -> None:
    labels = load_label_map(write_label_map(tmp_path))
    assert set(np.unique(labels)) == {0, 2, 10, 510}  # 41, on the right, is 2
    rng = np.random.default_rng(0)
    stripped = 0
    for _ in range(12):
        images = render_pair(torch.from_numpy(labels), rng)
        assert images.shape == (2, *labels.shape)
        assert images.min() >= 0
        assert images.max() <= 1
        assert (images[:, labels == 2].mean(1) > 0.01).all()
        stripped += bool(images[:, 4, 20, 20].max() == 0)
    assert 0 < stripped < 12
    assert not torch.allclose(images[0], images[1], atol=0.05)


@pytest.mark.parametrize("width", [0.3, 0.7, 1.1])
def test_images_are_blurred_alike_on_every_device(width: float) -> None:
    image = np.random.default_rng(0).random((12, 13, 14), dtype=np.float32)
    expected = gaussian_filter(image, width, mode="constant", truncate=BLUR_ENDS)
    found = blurred_by_convolutions(torch.from_numpy(image), width)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_label_maps_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"--source synthetic: .*nowhere is not a folder with images"
    ):
        find_label_maps(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"--source synthetic: .*empty is not a folder with images"):
        find_label_maps(tmp_path / "empty")
    outside = write_image(tmp_path / "outside.nii.gz", np.full((4, 4, 4), 600, np.int16))
    with pytest.raises(DataError, match=r"outside\.nii\.gz has no label between"):
        load_label_map(outside)
    negative = write_image(tmp_path / "negative.nii.gz", np.array([[[2, -7]]], np.int16))
    with pytest.raises(DataError, match=r"negative\.nii\.gz has the label -7; give numbers"):
        load_label_map(negative)
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken.* cannot be read as an image"):
        load_label_map(tmp_path / "broken.nii.gz")


def test_contrastive_loss_of_perfect_and_of_wrong_descriptors() -> None:
    vectors = torch.eye(6)[None]
    content = torch.ones(1, 6, dtype=torch.bool)
    other = torch.zeros_like(vectors)
    loss, accuracy = contrastive_loss(vectors, vectors, other, content, temperature=0.05)
    assert float(accuracy) == 1
    assert float(loss) < 1e-6
    wrong, misses = contrastive_loss(vectors, vectors.flip(2), other, content, temperature=0.05)
    assert float(misses) == 0
    assert float(wrong) == pytest.approx(20, rel=1e-3)
    content[:] = False
    nothing, _ = contrastive_loss(vectors, vectors, other, content, temperature=0.05)
    assert float(nothing) == 0


@pytest.mark.parametrize("similarities", [("context",), SIMILARITIES])
def test_inverted_contrast_changes_nothing(similarities: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    network = SelfSimilarityNetwork(self_similarity_layers(), similarities=similarities)
    image = torch.from_numpy(blobs((31, 31, 31)) / 300)[None, None]
    other = torch.from_numpy(blobs((31, 31, 31), seed=1) / 300)[None, None]
    same = network(torch.cat([image, 1 - image], dim=1))
    different = network(torch.cat([image, 1 - other], dim=1))
    torch.testing.assert_close(same, network(torch.cat([image, image], dim=1)))
    assert different.mean() > same.mean() + 0.1


def test_similarities_are_of_the_neighbours_that_they_are_named_after() -> None:
    image = np.random.default_rng(0).random((7, 7, 7)).astype(np.float32)
    layers = Similarities(SIMILARITIES, 3)
    found = layers(torch.from_numpy(image)[None, None]).split(layers.channels, dim=1)
    names: tuple[str, ...] = SIMILARITIES
    groups = {name: group.numpy().ravel() for name, group in zip(names, found, strict=True)}
    box = np.stack(np.meshgrid(*[[2, 3, 4]] * 3), axis=-1).reshape(-1, 3)

    def at(offset: NDArray[np.intp]) -> NDArray[np.float32]:
        values: NDArray[np.float32] = image[tuple((box + offset).T)]
        return values

    faces = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    around = [(a, b) for a, b in combinations(faces, 2) if (a + b).any()]
    centre = [(face, 0 * face) for face in faces]
    for name, pairs, step in (
        ("context", around, 2),
        ("near-context", around, 1),
        ("centre", centre, 2),
        ("near-centre", centre, 1),
    ):
        distances = np.array([((at(a * step) - at(b * step)) ** 2).mean() for a, b in pairs])
        expected = np.exp(-distances / (distances.mean() + NOISE_FLOOR))
        np.testing.assert_allclose(sorted(groups[name]), sorted(expected), rtol=1e-4)
        if name == "context":
            strength = np.sqrt(distances.mean() + NOISE_FLOOR) / STRONG
    np.testing.assert_allclose(groups["strength"], [strength], rtol=1e-4)


def test_training_finds_partners_and_its_model_agrees(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(40, 41, 42))
    (tmp_path / "maps").mkdir()
    write_label_map(tmp_path / "maps", "a.nii.gz")
    sources = (f"synthetic={tmp_path / 'maps'}:0.5",)
    chosen = learner(tmp_path, steps=80, source=sources, learning_rate=0.005, **PLAIN)
    progress = train(chosen)
    assert np.mean(progress.losses[-20:]) < 0.85 * np.mean(progress.losses[:10])
    assert "a.nii.gz" in progress.hashes
    assert chosen.as_record()["source"] == ["synthetic=maps:0.5", "real=pairs.csv:1"]
    session = onnxruntime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    assert session.get_modelmeta().custom_metadata_map["cnnmetric.receptive_field"] == "11"


def test_a_model_for_any_modality_needs_no_pair(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(40, 41, 42))
    images = tmp_path / "images.csv"
    images.write_text("subject,T1\na,0_T1.nii.gz\nb,1_T1.nii.gz\n")
    for file in tmp_path.glob("*_T2.nii.gz"):
        file.unlink()
    (tmp_path / "maps").mkdir()
    write_label_map(tmp_path / "maps", "a.nii.gz")
    sources = (f"contrast={images}", f"synthetic={tmp_path / 'maps'}")
    chosen = learner(tmp_path, pairs=None, source=sources, modalities="any", steps=2)
    progress = train(chosen)
    assert set(progress.hashes) == {"0_T1.nii.gz", "1_T1.nii.gz", "a.nii.gz"}
    network = DissimilarityNetwork(tmp_path / "model.onnx")
    assert network.modalities == ("any", "any")


def test_any_takes_all_pairs_of_a_table(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=1)
    write_image(tmp_path / "0_FLAIR.nii.gz", blobs((14, 15, 16), seed=5))
    table = tmp_path / "pairs.csv"
    table.write_text("subject,T1,T2,FLAIR\na,0_T1.nii.gz,0_T2.nii.gz,0_FLAIR.nii.gz\n")
    found = [pair.names for pair in read_pairs(table, ("any", "any"))]
    names = "0_T1.nii.gz", "0_T2.nii.gz", "0_FLAIR.nii.gz"
    assert found == [names[:2], (names[0], names[2]), names[1:]]
    table.write_text("subject,T1,T2\na,0_T1.nii.gz,\n")
    with pytest.raises(DataError, match="has no row with two images"):
        read_pairs(table, ("any", "any"))
    with pytest.raises(DataError, match="has no image in PD or FLAIR"):
        read_images(table, ("PD", "FLAIR"))


def test_resume_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnmetric.training import checkpoint

    write_pairs(tmp_path, shape=(30, 31, 32))
    chosen: dict[str, Any] = {"checkpoint_every": 2, "schedule": "one-cycle"}
    expected = train(learner(tmp_path, **chosen)).losses
    save = checkpoint.save

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(learner(tmp_path, **chosen))
    assert train(learner(tmp_path, **chosen, resume=True, workers=1)).losses == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"architecture": "two-channel", "source": ("contrast=images.csv",)},
            "contrast needs --architecture self",
        ),
        ({"architecture": "two-channel", "modalities": "any"}, "any needs --architecture self"),
        ({"source": ("synthetic=maps",), "dimension": 2}, "synthetic needs --dimension 3"),
        ({"source": ("synthetic=maps",), "pairs": None}, "--spacing is needed"),
        ({"source": ("drawn=maps",)}, "--source drawn=maps must be KIND=PATH"),
        ({"source": ("real=",)}, "--source real= must be KIND=PATH"),
        ({"source": ("real=a.csv:0",)}, "a number above 0"),
        ({"source": ("real=a.csv",), "training_pairs": 1}, "needs one table of real pairs"),
        ({"pairs": None}, "a table of pairs or a --source is needed"),
        ({"modalities": "any,T1"}, "--modalities must be two different"),
        (
            {"architecture": "unheard-of"},
            "--architecture is unheard-of; give two-channel or pse",
        ),
        ({"max_stretch": 1.2, "batch_size": 8}, "--max-stretch and --batch-size would change noth"),
        ({"kernels": (5, 7)}, "--crop-edge must be no shorter than the patch"),
        ({"crops": 0}, "--crops is 0; give 1 or more"),
        ({"crop_edge": 9}, "--crop-edge is 9; give 25 or more"),
        ({"shift": (2.0, 1.0)}, "--shift must have the smaller length first"),
        ({"temperature": 0.0}, r"--temperature is 0\.0; give more than 0"),
        ({"remap_probability": 1.5}, r"--remap-probability is 1\.5; give 0 to 1"),
        ({"max_noise": -1.0}, r"--max-noise is -1\.0; give 0 to 1"),
        ({"similarities": ("centre",)}, "--similarities must be context and any of near-context"),
        ({"similarities": ("context", "distant")}, "--similarities must be context and any of"),
        ({"similarities": ("context", "context")}, "--similarities must be .*, each once"),
        ({"channels": (8, 8, 8)}, "--kernels and --strides must have .* as many for self-sim"),
    ],
)
def test_settings_that_cannot_be_trained_with(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        learner(tmp_path, **changes)


def test_each_architecture_has_its_own_defaults(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"channels": (), "kernels": (), "strides": ()}
    assert settings(tmp_path, **nothing).channels == (96, 192, 256, 512)
    ours = settings(tmp_path, **nothing, architecture="self-similarity")
    assert (ours.channels, ours.learning_rate) == ((24, 64, 64, 32), 0.001)
