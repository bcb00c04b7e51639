# SPDX-License-Identifier: Apache-2.0
"""Tables that users write: comma-separated, with a header row."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path

from cnnmetric.errors import DataError


class Row(dict[str, str]):
    """The cells of a row by their columns.

    Attributes
    ----------
    line
        Of the file, where the row ends: empty lines count, and a quoted cell may span several.
    """

    def __init__(self, cells: Mapping[str, str], line: int) -> None:
        super().__init__(cells)
        self.line = line


def read_table(table: Path, *, role: str, columns: Iterable[str] = ()) -> list[Row]:
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
        If the table cannot be read, has fewer than two columns or no row, lacks a column or has it
        twice, or has a row with more cells than columns or with what is no text.
    """
    too_long: list[int] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            found = list(reader.fieldnames or [])
            rows = []
            for row in reader:
                beyond: Iterable[str] = row.pop(None, ())
                if any(cell.strip() for cell in beyond):
                    too_long.append(reader.line_num)
                if any("\0" in (value or "") for value in row.values()):
                    msg = (
                        f"{table}, line {reader.line_num}, holds a character of number 0, as files "
                        "do that are no text; save it as text in UTF-8"
                    )
                    raise DataError(msg)
                cells = {name: (value or "").strip() for name, value in row.items() if name}
                rows.append(Row(cells, reader.line_num))
    except UnicodeDecodeError as error:
        msg = f"cannot read the table of {role} {table} ({error}); save it as text in UTF-8"
        raise DataError(msg) from error
    except (OSError, csv.Error) as error:
        msg = f"cannot read the table of {role} {table}: {error}"
        raise DataError(msg) from error
    if len(found) < 2:
        msg = (
            f"{table} has a single column ({', '.join(found) or 'empty'}); it needs a header row "
            "and one column per quantity, separated by commas"
        )
        raise DataError(msg)
    twice = sorted({name for name in found if name and found.count(name) > 1})
    if twice:
        msg = f"{table} has several columns {' and several '.join(twice)}; remove or rename them"
        raise DataError(msg)
    if too_long:
        msg = (
            f"{table}, line {too_long[0]}, has more cells than the header; put a cell with a comma "
            "in quotes"
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
