# SPDX-License-Identifier: Apache-2.0
"""From a table of image files to aligned pairs of arrays on a common, isotropic grid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.files.tables import read_table
from cnnmetric.images import warping
from cnnmetric.images.dicom import image_exists
from cnnmetric.images.dicom import names_series
from cnnmetric.images.dicom import series_files
from cnnmetric.images.files import read_image
from cnnmetric.images.parts import files_of
from cnnmetric.metric.modalities import ANY
from cnnmetric.metric.normalisation import normalise
from cnnmetric.metric.normalisation import quantile_range
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.ixi import find_ixi
from cnnmetric.training.presets import NO_CROP
from cnnmetric.training.settings import TrainingSettings
from cnnmetric.types import Image

# Voxels are taken as cubes up to this relative difference of their edges.
ISOTROPY_TOLERANCE = 0.01
# Grids are taken as the same up to this share of a voxel.
GRID_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PairFiles:
    """The two images of one subject.

    Attributes
    ----------
    names
        As in the table.
    paths
        Where they are.
    subject
        As in the table's first column, or the row's first name.
    label
        What to call the pair where no name may be seen, such as ``"pair 1"``.
    """

    names: tuple[str, str]
    paths: tuple[Path, Path]
    subject: str = ""
    label: str = ""


def read_pairs(table: Path, modalities: tuple[str, ...]) -> list[PairFiles]:
    """Read the table of training images, or look through a folder with the IXI data set.

    Rows in which one of the two modalities is empty are left out. With ``(ANY, ANY)``, any two
    images of a row are a pair.

    Raises
    ------
    DataError
        If the table cannot be read, a file does not exist, the table lacks a modality (choose with
        ``--modalities``), or no row has both.
    """
    if table.is_dir():
        return [
            PairFiles(
                names=(first.name, second.name),
                paths=(first, second),
                subject=first.name.rpartition("-")[0],
            )
            for first, second in find_ixi(table, modalities)
        ]
    pairs = []
    every = modalities == (ANY, ANY)
    for row in read_table(table, role="pairs", columns=() if every else modalities):
        head = next(iter(row))
        columns = list(row)[1:] if every else modalities
        cells = [row[name] for name in columns if row[name]]
        subject = (row[head] if head not in columns else "") or next(iter(cells), "")
        pairs += [_files(table, *names, subject=subject) for names in combinations(cells, 2)]
    if not pairs:
        wanted = "two images" if every else f"both {modalities[0]} and {modalities[1]}"
        msg = f"{table} has no row with {wanted}; add at least one"
        raise DataError(msg)
    _check_files(table, pairs)
    return pairs


def read_images(table: Path, modalities: tuple[str, ...]) -> list[PairFiles]:
    """Read the table of single images, each of which is paired with itself.

    Images are those of the two columns of the modalities, as far as the table has them; with
    ``(ANY, ANY)``, of all columns but the first.

    Raises
    ------
    DataError
        If the table cannot be read, a file does not exist, or there is no image.
    """
    every = modalities == (ANY, ANY)
    pairs = []
    for row in read_table(table, role="images"):
        columns = list(row)[1:] if every else [name for name in modalities if name in row]
        pairs += [_files(table, row[name], row[name]) for name in columns if row[name]]
    if not pairs:
        wanted = "any column but the first" if every else " or ".join(modalities)
        msg = f"{table} has no image in {wanted}; add at least one, or change --modalities"
        raise DataError(msg)
    _check_files(table, pairs)
    return pairs


def _files(table: Path, first: str, second: str, subject: str = "") -> PairFiles:
    return PairFiles(
        names=(first, second),
        paths=(table.parent / first, table.parent / second),
        subject=subject or first,
    )


def _check_files(table: Path, pairs: list[PairFiles]) -> None:
    missing = {str(path): None for pair in pairs for path in pair.paths if not image_exists(path)}
    if missing:
        msg = f"{table} names files that do not exist: {', '.join(missing)}; correct the table"
        raise DataError(msg)


def sha256(path: Path) -> str:
    """Return the SHA-256 of all files of an image.

    These are a header and its voxels, or the files of a series in the order of their names.
    """
    files = sorted(map(Path, series_files(path))) if names_series(path) else files_of(path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def load_pair(files: PairFiles, settings: TrainingSettings) -> AlignedPair:
    """Read, normalise and align one pair; orientation and position come from the headers.

    Raises
    ------
    DataError
        If an image cannot be read, has another dimension than the network, cannot be
        normalised, or cannot be aligned with the other one.
    """
    unique = {path: _read_normalised(path, settings) for path in dict.fromkeys(files.paths)}
    images = [unique[path] for path in files.paths]
    first, second = images
    _check_headers(first, second, files)
    grid = isotropic_grid(first)
    arrays = [_on_grid(image, grid) for image in images]
    both = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
    if both.mean() < 0.05:
        msg = (
            f"{files.paths[0]} and {files.paths[1]} hardly overlap ({both.mean():.0%} of the "
            "first) according to their headers; training needs aligned pairs: correct the headers"
        )
        raise DataError(msg)
    stack = np.stack(arrays)
    if settings.crop_margin != NO_CROP:
        stack = stack[(slice(None), *content_box(stack, settings.crop_margin))]
    spacing = float(np.mean(grid.GetSpacing()))
    return AlignedPair(
        images=torch.from_numpy(np.ascontiguousarray(stack)),
        spacing=spacing,
        name=files.names[0],
        label=files.label,
    )


def _read_normalised(path: Path, settings: TrainingSettings) -> Any:
    """Return the image with intensities in [0, 1]; quantiles are of the file's own voxels."""
    try:
        image = read_image(path, dimensions=(2, 3, 4))
    except (RuntimeError, TypeError, KeyError, OSError) as error:
        msg = f"cannot read the image {path}: {error}"
        raise DataError(msg) from error
    if image.GetImageDimension() != settings.dimension:
        msg = (
            f"{path} is {image.GetImageDimension()}-dimensional, but --dimension is "
            f"{settings.dimension}"
        )
        raise DataError(msg)
    array = itk.array_view_from_image(image)
    low, high = quantile_range(
        array, lower=settings.lower_quantile, upper=settings.upper_quantile, name=str(path)
    )
    array[...] = normalise(array, low=low, high=high)
    return image


def _check_headers(first: Any, second: Any, files: PairFiles) -> None:
    sizes = [tuple(itk.size(image)) for image in (first, second)]
    if sizes[0] != sizes[1] and _has_no_position(first) and _has_no_position(second):
        msg = (
            f"{files.paths[0]} has {_times(sizes[0])} voxels and {files.paths[1]} "
            f"{_times(sizes[1])}, and neither has a header with spacing, origin or direction to "
            "align them by: write them with headers, or on the same grid"
        )
        raise DataError(msg)


def _has_no_position(image: Image) -> bool:
    identity = np.eye(image.GetImageDimension())
    return bool(
        np.allclose(image.GetSpacing(), 1)
        and np.allclose(image.GetOrigin(), 0)
        and np.allclose(itk.array_from_matrix(image.GetDirection()), identity)
    )


def isotropic_grid(image: Image) -> Any:
    """Return an image that spans the same field of view with cubic voxels, itself if it does."""
    spacing = np.array(image.GetSpacing())
    if spacing.max() <= spacing.min() * (1 + ISOTROPY_TOLERANCE):
        return image
    edge = float(np.median(spacing))
    extent = (np.array(itk.size(image)) - 1) * spacing
    # Half a tolerance is added so that an extent of whole voxels is not cut by rounding.
    size = np.floor(extent / edge + GRID_TOLERANCE).astype(int) + 1
    grid = type(image).New()
    grid.SetRegions([int(n) for n in size])
    grid.SetSpacing([edge] * len(size))
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    return grid


def _on_grid(image: Image, grid: Any) -> NDArray[np.float32]:
    """Return the image's voxels on the grid, ``(nz, ny, nx)``, NaN outside its field of view."""
    if not _same_grid(image, grid):
        image = warping.resample_image(image, grid, outside=float("nan"))
    return np.array(itk.array_view_from_image(image), dtype=np.float32)


def _same_grid(image: Image, grid: Any) -> bool:
    tolerance = GRID_TOLERANCE * min(grid.GetSpacing())
    corner = [int(n) - 1 for n in itk.size(grid)]
    far = [np.array(item.TransformIndexToPhysicalPoint(corner)) for item in (image, grid)]
    directions = [itk.array_from_matrix(item.GetDirection()) for item in (image, grid)]
    return bool(
        tuple(itk.size(image)) == tuple(itk.size(grid))
        and np.allclose(directions[0], directions[1], atol=GRID_TOLERANCE)
        and np.allclose(image.GetOrigin(), grid.GetOrigin(), rtol=0, atol=tolerance)
        and np.allclose(far[0], far[1], rtol=0, atol=tolerance)
    )


def content_box(stack: NDArray[np.float32], margin: int) -> tuple[slice, ...]:
    """Return the bounding box of voxels above 0 in either channel, widened by a margin."""
    content: NDArray[np.bool_] = np.any(stack > 0, axis=0)
    if not content.any():
        return tuple(slice(None) for _ in range(content.ndim))
    box = []
    for axis in range(content.ndim):
        others = tuple(other for other in range(content.ndim) if other != axis)
        inside = np.flatnonzero(content.any(axis=others))
        box.append(slice(max(int(inside[0]) - margin, 0), int(inside[-1]) + margin + 1))
    return tuple(box)


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in size)
