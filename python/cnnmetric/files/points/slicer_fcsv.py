# SPDX-License-Identifier: Apache-2.0
"""Lists of points of 3D Slicer as comma-separated text (``.fcsv``)."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.files.points.point_set import AXES
from cnnmetric.files.points.point_set import SIGNS
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.files.points.point_set import numbers
from cnnmetric.files.points.point_set import point_set
from cnnmetric.files.points.point_set import three_dimensional
from cnnmetric.files.points.point_set import written
from cnnmetric.types import Image

SUFFIXES = (".fcsv",)
# Older Slicer writes numbers.
_SYSTEMS = {"LPS": "LPS", "RAS": "RAS", "0": "RAS", "1": "LPS"}
_COLUMNS = [
    *("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock"),
    *("label", "desc", "associatedNodeID"),
]
_HEAD = (
    "# Markups fiducial file version = 5.6",
    "# CoordinateSystem = LPS",
    f"# columns = {','.join(_COLUMNS)}",
)


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The file as it was read: comments, and rows of cells."""

    head: tuple[str, ...]
    columns: list[str]
    rows: list[list[str]]
    sign: NDArray[np.float64]


def read(text: str, *, place: str, grid: Image | None) -> PointSet:
    """Read points and labels.

    As `Format.read` says; a `DataError` also if the file does not say whether it is LPS or RAS.
    """
    del grid
    lines = list(enumerate(text.splitlines(), start=1))
    head = tuple(line for _, line in lines if line.startswith("#"))
    system = _entry(head, "CoordinateSystem")
    if system not in _SYSTEMS:
        msg = (
            f"{place} has the CoordinateSystem {system!r}; its head must have the line "
            "'# CoordinateSystem = LPS' or '# CoordinateSystem = RAS'"
        )
        raise DataError(msg)
    sign = SIGNS[_SYSTEMS[system]]
    listed = _entry(head, "columns")
    columns = [name.strip() for name in listed.split(",")] if listed else _COLUMNS
    missing = [axis for axis in AXES if axis not in columns]
    if missing:
        msg = f"{place} has no column {' and no column '.join(missing)} in its line '# columns'"
        raise DataError(msg)
    rows, positions, labels = [], [], []
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        row = next(csv.reader([line]))
        where = f"{place}, line {number}"
        if len(row) <= max(map(columns.index, AXES)):
            msg = f"{where}, has {len(row)} cells; x, y and z are not among them"
            raise DataError(msg)
        cells = dict(zip(columns, row, strict=False))
        positions.append((sign * numbers([cells[axis] for axis in AXES], place=where)).tolist())
        labels.append(cells.get("label", ""))
        rows.append(row)
    document = _Document(head=head, columns=columns, rows=rows, sign=sign)
    return point_set(positions, place=place, labels=labels, document=document)


def write(points: PointSet) -> str:
    """Return the text of a file: the one that was read, at new positions, or a new list."""
    positions = three_dimensional(points, suffix=SUFFIXES[0])
    document = points.document if isinstance(points.document, _Document) else _new(points)
    stream = io.StringIO()
    stream.writelines(f"{line}\n" for line in document.head)
    writer = csv.writer(stream, lineterminator="\n")
    for row, position in zip(document.rows, positions, strict=True):
        cells = list(row)
        for axis, value in zip(AXES, written(document.sign * position), strict=True):
            cells[document.columns.index(axis)] = value
        writer.writerow(cells)
    return stream.getvalue()


def _new(points: PointSet) -> _Document:
    rows = [
        [str(number), *"000", *"0001", *"110", label, "", ""]
        for number, label in enumerate(points.labels, start=1)
    ]
    return _Document(head=_HEAD, columns=_COLUMNS, rows=rows, sign=SIGNS["LPS"])


def _entry(head: tuple[str, ...], name: str) -> str:
    found = re.search(rf"^#\s*{name}\s*=\s*(.*?)\s*$", "\n".join(head), re.MULTILINE)
    return found[1] if found else ""
