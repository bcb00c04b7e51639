# SPDX-License-Identifier: Apache-2.0
"""Tables that users write: comma-separated, with a header row."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from cnnmetric.errors import DataError


def read_table(table: Path, *, role: str, columns: Iterable[str] = ()) -> list[dict[str, str]]:
    """Read a table as one dictionary per row; cells that are missing are empty.

    Parameters
    ----------
    table
        The file; a byte order mark is skipped.
    role
        What the table lists, for messages, for example ``"pairs"``.
    columns
        Columns it must have.

    Raises
    ------
    DataError
        If the table cannot be read, has fewer than two columns or no row, or lacks a column.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            found = list(reader.fieldnames or [])
            rows = [
                {name: (value or "").strip() for name, value in row.items() if name}
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read the table of {role} {table}: {error}"
        raise DataError(msg) from error
    if len(found) < 2:
        msg = (
            f"{table} has a single column ({', '.join(found) or 'empty'}); it needs a header row "
            "and one column per quantity, separated by commas"
        )
        raise DataError(msg)
    unknown = [name for name in columns if name not in found]
    if unknown:
        msg = (
            f"{table} has no column {' and no column '.join(unknown)}; "
            f"its columns are {', '.join(found)}: correct the table, or ask for another column"
        )
        raise DataError(msg)
    if not rows:
        msg = f"the table of {role} {table} has a header and no row; add at least one"
        raise DataError(msg)
    return rows
