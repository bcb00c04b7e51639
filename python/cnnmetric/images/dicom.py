# SPDX-License-Identifier: Apache-2.0
"""Read a series of DICOM files from a folder, and refuse what is none or more than one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import itk

from cnnmetric.errors import DataError
from cnnmetric.types import Image

_PICK = "#"  # between a folder and the series meant
_DESCRIPTION, _MODALITY = "0008|103e", "0008|0060"
# Left by ITK where slices are not evenly spaced: the largest deviation, in mm.
_UNEVEN = "ITK_non_uniform_sampling_deviation"
_MOST_UNEVEN = 0.1  # mm


def names_series(path: Path) -> bool:
    """Tell whether a path is a folder, or a folder and a series of it, as ``scans#1.2.840``."""
    return without_series(path).is_dir()


def image_exists(path: Path) -> bool:
    """Tell whether there is a file, a folder, or the folder of a series that a path names."""
    return path.exists() or names_series(path)


def without_series(path: Path) -> Path:
    """Return the folder of a path that names a series of it; any other path as it is."""
    return _split(path)[0]


def read_series(path: Path, pixel_type: Any) -> Image:
    """Read the only series in a folder, or the one that is named after a ``#``.

    Parameters
    ----------
    path
        The folder, with ``#`` and a beginning of the series' identifier where it holds several.
    pixel_type
        Of ITK.

    Returns
    -------
    Image
        3D, of all slices.

    Raises
    ------
    DataError
        If there is no series or another than that named, if there are several, or if a slice is
        missing.
    """
    return _read(path, series_files(path), pixel_type)


def series_files(path: Path) -> list[str]:
    """Return the files of the series that :func:`read_series` reads, slice by slice.

    Raises
    ------
    DataError
        If there is no series or another than that named, or if there are several.
    """
    folder, wanted = _split(path)
    names = itk.GDCMSeriesFileNames.New()
    names.SetUseSeriesDetails(True)  # an image per contrast, orientation and size
    with _without_warnings():  # that there is none, which is refused below
        names.SetDirectory(str(folder))
        uids = names.GetSeriesUIDs()
    series = {uid: list(names.GetFileNames(uid)) for uid in uids}
    if not series:
        msg = f"the folder {folder} holds no DICOM series; name an image file, or another folder"
        raise DataError(msg)
    chosen = [uid for uid in series if uid.startswith(wanted)]
    if len(chosen) != 1:
        which = f"of which {len(chosen)} begin with {wanted}" if wanted else "of which one is meant"
        listed = ", ".join(
            f"{uid} ({_description(files[0])}, {len(files)} files)" for uid, files in series.items()
        )
        msg = (
            f"the folder {folder} holds {len(series)} DICOM series, {which}: {listed}; name one as "
            f"'{folder}{_PICK}{next(iter(series))}'"
        )
        raise DataError(msg)
    return series[chosen[0]]


def _split(path: Path) -> tuple[Path, str]:
    if path.exists():
        return path, ""
    folder, _, wanted = str(path).rpartition(_PICK)
    return (Path(folder), wanted) if folder else (path, "")


def _read(path: Path, files: list[str], pixel_type: Any) -> Image:
    reader = itk.ImageSeriesReader[itk.Image[pixel_type, 3]].New()
    reader.SetImageIO(itk.GDCMImageIO.New())
    reader.SetFileNames(files)
    reader.ForceOrthogonalDirectionOff()
    try:
        components = _header(files[0]).GetNumberOfComponents()
        with _without_warnings():  # of uneven slices, which are refused below
            reader.Update()
    except RuntimeError as error:
        msg = f"{path} cannot be read: {str(error).strip().splitlines()[-1]}"
        raise DataError(msg) from error
    if components != 1:
        msg = f"{path} has {components} values a voxel; an image with one number a voxel is needed"
        raise DataError(msg)
    image = reader.GetOutput()
    found = image.GetMetaDataDictionary()
    if found.HasKey(_UNEVEN) and found[_UNEVEN] > _MOST_UNEVEN:
        msg = (
            f"the slices of {path} are not evenly spaced, by up to {found[_UNEVEN]:.2f} mm: is a "
            "file missing? Copy the series anew, or convert it with a tool that fills the gap"
        )
        raise DataError(msg)
    return image


@contextmanager
def _without_warnings() -> Iterator[None]:
    before = itk.Object.GetGlobalWarningDisplay()
    itk.Object.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        itk.Object.SetGlobalWarningDisplay(before)


def _header(file: str) -> Any:
    header = itk.GDCMImageIO.New()
    header.SetFileName(file)
    header.ReadImageInformation()
    return header


def _description(file: str) -> str:
    """Return what a series is called by whoever made it."""
    header = _header(file)  # kept, because the dictionary is a part of it
    found = header.GetMetaDataDictionary()
    words = [str(found[tag]).strip() for tag in (_MODALITY, _DESCRIPTION) if found.HasKey(tag)]
    return " ".join(filter(None, words)) or "without description"
