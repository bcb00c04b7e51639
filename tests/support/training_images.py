# SPDX-License-Identifier: Apache-2.0
"""Small synthetic training images and settings shared by the training tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.settings import DEFAULTS
from cnnmetric.training.settings import TrainingSettings

SMALL_NETWORK: dict[str, Any] = {
    "channels": (6, 8),
    "kernels": (3, 3, 1),
    "strides": (2, 1, 1),
}


def self_similarity_layers() -> tuple[Layer, ...]:
    """Return the default learned layers of that architecture."""
    values = DEFAULTS["self-similarity"]
    return tuple(map(Layer, values["channels"], values["kernels"], values["strides"]))


def blobs(shape: Sequence[int], *, seed: int = 0) -> NDArray[np.float32]:
    """Return a random image of bright and dark regions around 150, axes (z, y, x)."""
    noise = np.random.default_rng(seed).standard_normal(tuple(shape))
    for axis in range(noise.ndim):
        noise = np.roll(noise, -1, axis) + noise + np.roll(noise, 1, axis)
    return np.asarray(np.where(noise > 0, 200, 100) + 3 * noise, dtype=np.float32)


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


def write_series(
    folder: Path,
    array: NDArray[Any],
    *,
    spacing: Sequence[float],
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    uid: str = "1.2.826.0.1.3680043.2.1125.7",
    description: str = "",
) -> Path:
    """Write an image as a DICOM series of MR slices; spacing and origin in ITK order (x, y, z)."""
    folder.mkdir(exist_ok=True)
    for number, values in enumerate(array):
        image = itk.image_from_array(values[None].astype(np.int16))
        position = [origin[0], origin[1], origin[2] + number * spacing[2]]
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


def settings(folder: Path, **changes: Any) -> TrainingSettings:
    """Return settings of a run that takes a second."""
    values: dict[str, Any] = {
        "pairs": folder / "pairs.csv",
        "modalities": "T1,T2",
        "out": folder / "model.onnx",
        **SMALL_NETWORK,
        "batch_size": 8,
        "steps": 6,
        "workers": 0,
        "device": "cpu",
        "threads": 1,
    }
    return TrainingSettings(**(values | changes))
