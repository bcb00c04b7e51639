# SPDX-License-Identifier: Apache-2.0
"""Points as comma-separated text with a header row.

The columns are x, y, z (ITK's, that is LPS), l, p, s or r, a, s, as in tables that 3D Slicer
exports; in 2D, x and y. Further columns stay as they are.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.files.points.point_set import AXES
from cnnmetric.files.points.point_set import SIGNS
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.files.points.point_set import numbers
from cnnmetric.files.points.point_set import point_set
from cnnmetric.files.points.point_set import written
from cnnmetric.types import Image

SUFFIXES = (".csv",)
_SYSTEMS = {"xyz": "LPS", "lps": "LPS", "ras": "RAS", "xy": "LPS"}
_LABEL = "label"


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The table as it was read."""

    header: list[str]
    rows: list[list[str]]
    places: list[int]
    sign: NDArray[np.float64]


def read(text: str, *, place: str, grid: Image | None) -> PointSet:
    """Read points, and labels from a column ``label``.

    As `Format.read` says.
    """
    del grid
    reader = csv.reader(io.StringIO(text, newline=""))
    header, rows, positions, labels = next(reader, []), [], [], []
    places, sign = _columns(header, place)
    label = header.index(_LABEL) if _LABEL in header else None
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{place}, line {reader.line_num}"
        if len(row) != len(header):
            msg = f"{where}, has {len(row)} cells and the header {len(header)}; correct the line"
            raise DataError(msg)
        positions.append((sign * numbers([row[at] for at in places], place=where)).tolist())
        labels.append("" if label is None else row[label])
        rows.append(row)
    document = _Document(header=header, rows=rows, places=places, sign=sign)
    return point_set(positions, place=place, labels=labels, document=document)


def write(points: PointSet) -> str:
    """Return the text of a file: the one that was read, at new positions, or a new table."""
    document = points.document if isinstance(points.document, _Document) else _new(points)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(document.header)
    for row, position in zip(document.rows, points.positions, strict=True):
        cells = list(row)
        for at, value in zip(document.places, written(document.sign * position), strict=True):
            cells[at] = value
        writer.writerow(cells)
    return stream.getvalue()


def _columns(header: list[str], place: str) -> tuple[list[int], NDArray[np.float64]]:
    """Return where the coordinates stand, and the signs that lead to and from LPS."""
    names = [name.strip().lower() for name in header]
    for axes, system in _SYSTEMS.items():
        if all(names.count(axis) == 1 for axis in axes):
            return [names.index(axis) for axis in axes], SIGNS[system][: len(axes)]
    msg = (
        f"{place} has the columns {', '.join(header) or 'of an empty file'}; points need the "
        "columns x, y, z (or l, p, s, or r, a, s; in 2D x, y), each once, in a header row"
    )
    raise DataError(msg)


def _new(points: PointSet) -> _Document:
    axes = list(AXES[: points.dimension])
    labelled = any(points.labels)
    rows = [[*([label] if labelled else []), *("",) * len(axes)] for label in points.labels]
    header = [*([_LABEL] if labelled else []), *axes]
    places = list(map(header.index, axes))
    return _Document(header=header, rows=rows, places=places, sign=SIGNS["LPS"][: points.dimension])
