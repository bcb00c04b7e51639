# SPDX-License-Identifier: Apache-2.0
"""Markups of 3D Slicer as JSON (``.mrk.json``)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.files.points.point_set import SIGNS
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.files.points.point_set import numbers
from cnnmetric.files.points.point_set import point_set
from cnnmetric.files.points.point_set import three_dimensional
from cnnmetric.types import Image

SUFFIXES = (".mrk.json",)
# Of these the control points are all that places them; planes and regions have a frame besides.
_TYPES = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve")
_DEFAULT_SYSTEM = "LPS"  # Slicer's own
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The JSON as it was read."""

    content: dict[str, Any]


def read(text: str, *, place: str, grid: Image | None) -> PointSet:
    """Read the control points of all markups of a file.

    Points that are not placed yet (``positionStatus``) are left out, and stay in the file as they
    are.

    As `Format.read` says; a `DataError` also if there are markups that are more than their points.
    """
    del grid
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{place} is no JSON ({error}); save the markups in 3D Slicer once more"
        raise DataError(msg) from error
    positions, labels = [], []
    for where, sign, point in _control_points(content, place):
        found = point.get("position")
        if not isinstance(found, list) or len(found) != 3:
            msg = f"{where} has the position {found!r}; give three coordinates"
            raise DataError(msg)
        positions.append((sign * numbers(found, place=where)).tolist())
        labels.append(str(point.get("label") or ""))
    document = _Document(content=content)
    return point_set(positions, place=place, labels=labels, document=document)


def write(points: PointSet) -> str:
    """Return the text of a file: the one that was read, at new positions, or a new list."""
    positions = three_dimensional(points, suffix=SUFFIXES[0])
    if isinstance(points.document, _Document):
        content = copy.deepcopy(points.document.content)
    else:
        control_points = [
            {"id": str(number), "label": label, "position": []}
            for number, label in enumerate(points.labels, start=1)
        ]
        markup = {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "coordinateUnits": "mm",
            "controlPoints": control_points,
        }
        content = {"@schema": _SCHEMA, "markups": [markup]}
    targets = _control_points(content, "the markups")
    for (_, sign, point), position in zip(targets, positions, strict=True):
        point["position"] = (sign * position + 0.0).tolist()
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def _control_points(
    content: Any, place: str
) -> Iterator[tuple[str, NDArray[np.float64], dict[str, Any]]]:
    """Yield the name, the signs that lead to and from LPS, and the JSON of every placed point."""
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(item, dict) for item in markups):
        msg = f"{place} is no file of markups of 3D Slicer: it has no list 'markups'"
        raise DataError(msg)
    for number, markup in enumerate(markups, start=1):
        where = f"{place}, markup {number}"
        sign = _sign(markup, where)
        points = markup.get("controlPoints", [])
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
            msg = f"{where} has no list 'controlPoints'; save the markups in 3D Slicer once more"
            raise DataError(msg)
        for index, point in enumerate(points, start=1):
            if point.get("positionStatus", "defined") == "defined":
                yield f"{where}, point {index}", sign, point


def _sign(markup: dict[str, Any], where: str) -> NDArray[np.float64]:
    if markup.get("type") not in _TYPES:
        msg = (
            f"{where} is of the type {markup.get('type')!r}; points are taken from "
            f"{', '.join(_TYPES)}: save the others in a file of their own"
        )
        raise DataError(msg)
    system = markup.get("coordinateSystem", _DEFAULT_SYSTEM)
    if not isinstance(system, str) or system not in SIGNS:
        msg = f"{where} has the coordinateSystem {system!r}; it must be LPS or RAS"
        raise DataError(msg)
    unit = markup.get("coordinateUnits", "mm")
    if unit not in ("mm", "[mm]"):
        msg = f"{where} has coordinateUnits {unit!r}; save the markups in mm"
        raise DataError(msg)
    return SIGNS[system]
