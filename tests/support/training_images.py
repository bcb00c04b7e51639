# SPDX-License-Identifier: Apache-2.0
"""Small synthetic training images and settings shared by the training tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import sha256
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.presets import ARCHITECTURES
from cnnmetric.training.presets import PAPER_PRESET
from cnnmetric.training.presets import defaults
from cnnmetric.training.settings import TrainingSettings

SMALL_NETWORK: dict[str, Any] = {
    "channels": (6, 8),
    "kernels": (3, 3, 1),
    "strides": (2, 1, 1),
}


def self_similarity_layers() -> tuple[Layer, ...]:
    """Return the default learned layers of that architecture."""
    values = ARCHITECTURES["self-similarity"]
    return tuple(map(Layer, values["channels"], values["kernels"], values["strides"]))


def blobs(shape: Sequence[int], *, seed: int = 0) -> NDArray[np.float32]:
    """Return a random image of bright and dark regions around 150, axes (z, y, x)."""
    noise = np.random.default_rng(seed).standard_normal(tuple(shape))
    for axis in range(noise.ndim):
        noise = np.roll(noise, -1, axis) + noise + np.roll(noise, 1, axis)
    return np.asarray(np.where(noise > 0, 200, 100) + 3 * noise, dtype=np.float32)


def anatomy(seed: int, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return tissues 1 to 3 in an uneven ellipsoid; another seed is another subject."""
    rng = np.random.default_rng(seed)
    rough = gaussian_filter(rng.standard_normal(shape), 2)
    axes = np.meshgrid(*[np.linspace(-1.3, 1.3, n) for n in shape], indexing="ij")
    wavy = gaussian_filter(rng.standard_normal(shape), 7)
    inside = sum(axis**2 for axis in axes) < 1 + 0.15 * wavy / wavy.std()
    tissues = 1 + np.digitize(rough, np.quantile(rough[inside], [1 / 3, 2 / 3]))
    return np.where(inside, tissues, 0)


def render(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return images in [0, 1] of two anatomies, in two contrasts."""
    rng = np.random.default_rng(9)

    def image(tissues: NDArray[np.int64], contrast: Sequence[float]) -> NDArray[np.float32]:
        noise = rng.normal(0, 0.02, tissues.shape) * (tissues > 0)
        return np.clip(np.array(contrast)[tissues] + noise, 0, 1).astype(np.float32)

    return image(first, (0, 0.3, 0.6, 0.9)), image(second, (0, 0.9, 0.5, 0.2))


def write_image(
    path: Path,
    array: NDArray[Any],
    *,
    spacing: Sequence[float] | None = None,
    origin: Sequence[float] | None = None,
    direction: NDArray[np.float64] | None = None,
) -> Path:
    """Write an image; spacing, origin and direction in ITK order (x, y, z)."""
    image = itk.image_from_array(array)
    if spacing is not None:
        image.SetSpacing([float(value) for value in spacing])
    if origin is not None:
        image.SetOrigin([float(value) for value in origin])
    if direction is not None:
        image.SetDirection(itk.matrix_from_array(direction))
    itk.imwrite(image, str(path))
    return path


def write_label_map(folder: Path, name: str = "labels.nii.gz") -> Path:
    """Write a head: outside 510, brain of a left and a right half and something in the middle."""
    labels = np.zeros((40, 42, 44), dtype=np.int16)
    labels[6:34, 6:36, 6:38] = 510
    labels[10:30, 10:32, 10:34] = 2
    labels[10:30, 10:32, 22:34] = 41
    labels[16:24, 16:24, 16:28] = 10
    return write_image(folder / name, labels)


def write_series(
    folder: Path,
    array: NDArray[Any],
    *,
    spacing: Sequence[float],
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    uid: str = "1.2.826.0.1.3680043.2.1125.7",
    description: str = "",
    shift: float = 0.0,
) -> Path:
    """Write an image as a DICOM series of MR slices; spacing and origin in ITK order (x, y, z).

    Every slice lies a shift (mm, along y) from the one before, as with a tilted gantry.
    """
    folder.mkdir(exist_ok=True)
    for number, values in enumerate(array):
        image = itk.image_from_array(values[None].astype(np.int16))
        position = [origin[0], origin[1] + number * shift, origin[2] + number * spacing[2]]
        image.SetSpacing([float(value) for value in spacing])
        image.SetOrigin([float(value) for value in position])
        tags = {
            "0008|0021": "20260101",  # series date
            "0008|0060": "MR",
            "0008|103e": description,
            "0018|0088": str(spacing[2]),
            "0020|000d": f"{uid}.1",  # study
            "0020|000e": uid,  # series
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(map(str, position)),
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.GetMetaDataDictionary()[tag] = value
        writer = itk.GDCMImageIO.New()
        writer.KeepOriginalUIDOn()
        itk.imwrite(image, str(folder / f"{uid}.{number:03}.dcm"), imageio=writer)
    return folder


def write_pairs(folder: Path, *, count: int = 2, shape: Sequence[int] = (14, 15, 16)) -> Path:
    """Write pairs whose second modality is the negative of the first, and their table."""
    rows = ["subject,T1,T2"]
    for index in range(count):
        first = blobs(shape, seed=index)
        spacing = [1.5] * len(shape)
        for name, array in (("T1", first), ("T2", 300 - first)):
            write_image(folder / f"{index}_{name}.nii.gz", array, spacing=spacing)
        rows.append(f"s{index},{index}_T1.nii.gz,{index}_T2.nii.gz")
    table = folder / "pairs.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def hashes(pairs: Sequence[PairFiles]) -> dict[Path, str]:
    """Return the SHA-256 of every image file."""
    return {path: sha256(path) for pair in pairs for path in pair.paths}


def settings(folder: Path, **changes: Any) -> TrainingSettings:
    """Return settings of a run that takes a second, of the paper's preset with all pairs."""
    held_out = changes.keys() & {"training_pairs", "validation"}
    goes_on = changes.keys() & {"resume", "export_only"}
    preset = changes.get("preset", PAPER_PRESET)
    architecture = defaults(preset, changes.get("architecture"))["architecture"]
    values: dict[str, Any] = {
        "preset": PAPER_PRESET,
        "hold_out": None if held_out else "none",
        "overwrite": not goes_on,
        "pairs": folder / "pairs.csv",
        "modalities": "T1,T2",
        "out": folder / "model.onnx",
        **SMALL_NETWORK,
        **({} if architecture == "self-similarity" else {"batch_size": 8}),
        "steps": 6,
        "workers": 0,
        "device": "cpu",
        "threads": 1,
    }
    return TrainingSettings(**(values | changes))
