# SPDX-License-Identifier: Apache-2.0
"""The files that an image lies in: one, or a header and its voxels."""

from __future__ import annotations

import re
from pathlib import Path

PAIR = (".hdr", ".img")
# Where the headers of two formats name the files with the voxels.
_VOXELS = {
    ".mhd": re.compile(r"^ElementDataFile\s*=\s*(.*)$", re.MULTILINE),
    ".nhdr": re.compile(r"^data ?file:\s*(.*)$", re.MULTILINE | re.IGNORECASE),
}
_NUMBERED = re.compile(
    r"(?P<name>[^%]*%\d*d[^%]*?)\s+(?P<first>\d+)\s+(?P<last>\d+)\s+(?P<step>\d+)(\s+\d+)?"
)


def files_of(file: Path) -> list[Path]:
    """Return all files that an image lies in: itself, or a header and its voxels.

    Those that are not there are left out.
    """
    name = file.name.removesuffix(".gz")
    suffix = Path(name).suffix.lower()
    if suffix in PAIR:
        stem = name[: -len(suffix)]
        candidates = [file.with_name(stem + end + gz) for end in PAIR for gz in ("", ".gz")]
        return [path for path in candidates if path.exists()]
    named = _VOXELS.get(suffix)
    if not named:
        return [file]
    header = file.read_text(encoding="utf-8", errors="replace")
    match = named.search(header)
    if not match:
        return [file]
    paths = [file.parent / name for name in _names(match[1].strip(), header[match.end() :])]
    return [file, *(path for path in paths if path.is_file())]


def _names(value: str, following: str) -> list[str]:
    """Return the files that a header names, one, in a numbered row, or in the lines after it."""
    if value.startswith("LIST"):
        return following.splitlines()[1:]
    row = _NUMBERED.fullmatch(value)
    if row:
        first, last, step = (int(row[name]) for name in ("first", "last", "step"))
        return [row["name"] % number for number in range(first, last + 1, max(step, 1))]
    return [value]
