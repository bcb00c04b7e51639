# SPDX-License-Identifier: Apache-2.0
"""Read and write points by the name of the file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Protocol

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import check_new
from cnnmetric.files.paths import as_path
from cnnmetric.files.points import csv_table
from cnnmetric.files.points import elastix_points
from cnnmetric.files.points import slicer_fcsv
from cnnmetric.files.points import slicer_markups
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.types import Image


class Format(Protocol):
    """What a module knows of its format."""

    @property
    def SUFFIXES(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the module)
        """What names of files end with."""

    def read(self, text: str, *, place: str, grid: Image | None) -> PointSet:
        """Return the points of a file.

        Parameters
        ----------
        text
            Of the file.
        place
            The file, for messages.
        grid
            The image that voxel indices count; only elastix's files hold such.

        Raises
        ------
        DataError
            If the file has another form.
        """

    def write(self, points: PointSet) -> str:
        """Return the text of a file: the one that was read, at new positions, or a new one."""


_MODULES: tuple[Format, ...] = (elastix_points, slicer_markups, slicer_fcsv, csv_table)
_FORMATS = {suffix: module for module in _MODULES for suffix in module.SUFFIXES}
KNOWN = ", ".join(_FORMATS)


def is_points_file(file: Path) -> bool:
    """Tell whether a file has the name of a file of points."""
    return _suffix(file) is not None


def read_points(file: str | Path, *, grid: Image | None = None) -> PointSet:
    """Read points from a file.

    Parameters
    ----------
    file
        Of elastix (``.txt``, ``.pts``), of 3D Slicer (``.mrk.json``, ``.fcsv``), or a table
        (``.csv``) with the columns x, y, z. What is RAS in the file is LPS in the result.
    grid
        Image whose voxels a file of elastix counts, if it holds indices.

    Raises
    ------
    DataError
        If the file is missing or has another form.
    SettingsError
        If it is not the name of a file.
    """
    path = as_path("file", file)
    suffix = _suffix(path)
    if suffix is None:
        msg = f"{path} has not the name of a file of points; known are {KNOWN}"
        raise DataError(msg)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path} cannot be read as points ({error}); save it as text in UTF-8"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read as points: {error.strerror or error}"
        raise DataError(msg) from error
    try:
        return _FORMATS[suffix].read(text, place=str(path), grid=grid)
    except csv.Error as error:
        msg = f"{path} cannot be read as comma-separated text: {error}"
        raise DataError(msg) from error


def check_points_file(file: Path, *, overwrite: bool) -> str:
    """Return the suffix of a file that points may be written to, and refuse others.

    Raises
    ------
    SettingsError
        If the file exists and may not be replaced, or its name is of no known format.
    """
    suffix = _suffix(file)
    if suffix is None:
        msg = f"points cannot be written to {file}; name a file that ends in one of {KNOWN}"
        raise SettingsError(msg)
    check_new(file, overwrite=overwrite)
    return suffix


def write_points(points: PointSet, file: str | Path, *, overwrite: bool = False) -> None:
    """Write points to a file, whole or not at all.

    In the format that they were read from, everything else of that file is written, too; in
    another one, positions and labels are, where it has labels.

    Parameters
    ----------
    points
        As of :func:`read_points`.
    file
        Named as there.
    overwrite
        Replace a file that exists.

    Raises
    ------
    SettingsError
        As :func:`check_points_file`.
    DataError
        If the format does not hold such points, or the file cannot be written.
    """
    path = as_path("file", file)
    suffix = check_points_file(path, overwrite=overwrite)
    text = _FORMATS[suffix].write(points)
    try:
        with atomic_path(path) as replacement:
            replacement.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise DataError(msg) from error


def _suffix(file: Path) -> str | None:
    name = file.name.lower()
    return next((suffix for suffix in _FORMATS if name.endswith(suffix)), None)
