# SPDX-License-Identifier: Apache-2.0
"""Tables that users write."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnmetric.errors import DataError
from cnnmetric.files.tables import read_table


def test_empty_cells_beyond_the_header_are_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"subject,note,,\na,b,,\nc,d,,,,\n")
    assert read_table(file, role="things") == [
        {"subject": "a", "note": "b"},
        {"subject": "c", "note": "d"},
    ]


def test_reads_rows_by_column_as_a_spreadsheet_saves_them(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes("\ufeffsubject, note\r\na , x\r\nb\r\n".encode())
    with pytest.raises(DataError, match="no column note"):
        read_table(file, role="things", columns=("note",))
    file.write_bytes("\ufeffsubject,note\r\na , x\r\nb\r\n".encode())
    assert read_table(file, role="things", columns=("note",)) == [
        {"subject": "a", "note": "x"},
        {"subject": "b", "note": ""},
    ]


def test_rows_know_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text('subject,note\n\na,x\nb,"two\nlines"\n\n\nc,y\n')
    assert [row.line for row in read_table(file, role="things")] == [3, 5, 8]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the table of things"),
        (b"", "single column .empty."),
        (b"subject;note\na;b\n", "separated by commas"),
        (b"subject,note\n", "has a header and no row"),
        (b"\xff\xfe\x00,\x00", "cannot read the table of things .*save it as text in UTF-8"),
        (b"subject,note,note\na,b,c\n", "has several columns note; remove"),
        (b"subject,note\na,b\na,\x00\n", "line 3, holds a character of number 0"),
        (b"subject,note\na,b\na,b,c\n", "line 3, has more cells than the header"),
    ],
)
def test_tables_that_cannot_be_used(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(file, role="things")
