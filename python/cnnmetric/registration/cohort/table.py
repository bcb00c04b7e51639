# SPDX-License-Identifier: Apache-2.0
"""The table of the pairs to register, checked whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.files.tables import Row
from cnnmetric.files.tables import read_table
from cnnmetric.images.dicom import image_exists
from cnnmetric.images.dicom import without_series

_NAME, _MODALITY = "name", "fixed_modality"
_REQUIRED = ("fixed", "moving")
_INITIAL = "initial"
_FILES = (*_REQUIRED, "fixed_mask", "moving_mask", _INITIAL)
_COLUMNS = (_NAME, *_FILES, _MODALITY)
# Of folders; and what else lies beside them.
_FOLDER_NAME = re.compile(r"[^\W_](?:[\w .+=,@()-]*[^\W])?")
_TAKEN = ("index.html", "results.csv", "results.jsonl", "settings.json")
_FAULTS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row of the table.

    Attributes
    ----------
    name
        Of the pair's folder.
    line
        Of the table.
    fixed, moving, fixed_mask, moving_mask, initial
        Absolute paths; None for what the row leaves out.
    fixed_modality
        What the fixed image shows; empty for what holds for all pairs.
    """

    name: str
    line: int
    fixed: Path
    moving: Path
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    initial: Path | None = None
    fixed_modality: str = ""

    def inputs(self) -> dict[str, str]:
        """Return everything but name and line as texts; empty for what is left out."""
        names = (*_FILES, _MODALITY)
        return {name: str(getattr(self, name) or "") for name in names}


def read_pairs(table: Path) -> list[Pair]:
    """Read a table of pairs.

    Parameters
    ----------
    table
        CSV with the columns ``fixed`` and ``moving``, and, where wanted, ``name``,
        ``fixed_modality``, ``fixed_mask``, ``moving_mask`` and ``initial``. Files are relative to
        the table. Without a name, a pair is called after its files.

    Raises
    ------
    DataError
        If the table cannot be read, has other columns, lacks a cell, names a file that does not
        exist, or gives two pairs one name. The message has all of the faults, with their lines.
    """
    rows = read_table(table, role="pairs", columns=_REQUIRED)
    unknown = [column for column in rows[0] if column not in _COLUMNS]
    if unknown:
        msg = (
            f"{table} has the column {' and the column '.join(unknown)}, which means nothing; "
            f"known are {', '.join(_COLUMNS)}"
        )
        raise DataError(msg)
    pairs = [_pair(row, table) for row in rows]
    faults = [fault for pair in pairs for fault in _faults(pair, pairs)]
    if faults:
        shown = faults[:_FAULTS_SHOWN]
        more = len(faults) - len(shown)
        rest = [f"and {more} more"] if more else []
        msg = f"{table} cannot be used: {'; '.join([*shown, *rest])}"
        raise DataError(msg)
    return pairs


def _pair(row: Row, table: Path) -> Pair:
    files = {
        name: (table.parent / row[name]).resolve() if row.get(name) else None for name in _FILES
    }
    fixed, moving = (files.pop(name) or Path() for name in _REQUIRED)
    return Pair(
        name=row.get(_NAME) or f"{_stem(moving)}_to_{_stem(fixed)}",
        line=row.line,
        fixed=fixed,
        moving=moving,
        fixed_modality=row.get(_MODALITY, ""),
        **files,
    )


def _faults(pair: Pair, pairs: list[Pair]) -> Iterator[str]:
    place = f"line {pair.line}"
    incomplete = [name for name in _REQUIRED if getattr(pair, name) == Path()]
    if incomplete:
        yield f"{place} has no {' and no '.join(incomplete)} image"
        return
    for name in _FILES:
        file = getattr(pair, name)
        # A transform is no image, of which a folder may hold several.
        there = Path.exists if name == _INITIAL else image_exists
        if file is not None and not there(file):
            yield f"{place}, {name}: there is no file {file}"
    if not _FOLDER_NAME.fullmatch(pair.name) or pair.name.lower() in _TAKEN:
        yield (
            f"{place}: {pair.name!r} cannot be the name of a folder; give letters, digits and "
            "-+=.,@() in the column name"
        )
    first = next(other for other in pairs if other.name.casefold() == pair.name.casefold())
    if first is not pair:
        yield (
            f"lines {first.line} and {pair.line} both have the name {pair.name}; give each pair "
            "its own in the column name"
        )


def _stem(file: Path) -> str:
    return Path(without_series(file).name.removesuffix(".gz")).stem
