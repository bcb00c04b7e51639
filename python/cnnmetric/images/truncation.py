# SPDX-License-Identifier: Apache-2.0
"""The files that an image lies in, and those that end too early where ITK fills in zeros.

Zeros are filled in for NIfTI, Analyze, GIPL and VTK, compressed or not. For the others, ITK fails
by itself.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path

from cnnmetric.errors import DataError

_PAIR = (".hdr", ".img")
_GIPL_HEADER, _GIPL_BITS = 256, {1: 1, 7: 8, 8: 8, 15: 16, 16: 16, 31: 32, 32: 32, 64: 32, 65: 64}
_BUFFER = 1 << 20
_HEAD = 1024
# Where the headers of two formats name the files with the voxels.
_VOXELS = {
    ".mhd": re.compile(r"^ElementDataFile\s*=\s*(.*)$", re.MULTILINE),
    ".nhdr": re.compile(r"^data ?file:\s*(.*)$", re.MULTILINE | re.IGNORECASE),
}
_NUMBERED = re.compile(
    r"(?P<name>[^%]*%\d*d[^%]*?)\s+(?P<first>\d+)\s+(?P<last>\d+)\s+(?P<step>\d+)(\s+\d+)?"
)


def check_whole(file: Path, voxels: int) -> None:
    """Refuse a file that holds fewer bytes than its voxels take, or whose compression is cut off.

    Parameters
    ----------
    file
        That ITK has read.
    voxels
        How many the image has, each of one number.

    Raises
    ------
    DataError
        If something is missing.
    """
    try:
        for part in _parts(file):
            head, size = _head_and_size(part)
            needed = _size_of(part, head, voxels)
            if size < needed:
                msg = f"{part} ends after {size} bytes of {needed}; copy or make it anew"
                raise DataError(msg)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{part} is damaged or ends too early ({error}); copy or make it anew"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{part} cannot be read: {error}"
        raise DataError(msg) from error


def files_of(file: Path) -> list[Path]:
    """Return all files that an image lies in: itself, or a header and its voxels.

    Those that are not there are left out.
    """
    named = _VOXELS.get(file.suffix.lower())
    if not named:
        return _parts(file) or [file]
    header = file.read_text(encoding="utf-8", errors="replace")
    match = named.search(header)
    if not match:
        return [file]
    paths = [file.parent / name for name in _names(match[1].strip(), header[match.end() :])]
    return [file, *(path for path in paths if path.is_file())]


def _names(value: str, following: str) -> list[str]:
    """Return the files that a header names, one, in a numbered row, or in the lines after it."""
    if value.startswith("LIST"):
        return following.split("\n")[1:]
    row = _NUMBERED.fullmatch(value)
    if row:
        first, last, step = (int(row[name]) for name in ("first", "last", "step"))
        return [row["name"] % number for number in range(first, last + 1, max(step, 1))]
    return [value]


def _parts(file: Path) -> list[Path]:
    """Return the file, or the two of a pair of header and voxels; none of another format."""
    name = file.name.removesuffix(".gz")
    suffix = Path(name).suffix.lower()
    if suffix in _PAIR:
        stem = name[: -len(suffix)]
        candidates = [file.with_name(stem + end + gz) for end in _PAIR for gz in ("", ".gz")]
        return [path for path in candidates if path.exists()]
    is_known = suffix in (".nii", ".gipl", ".vtk") or file.name.endswith(".gz")
    return [file] if is_known else []


def _head_and_size(file: Path) -> tuple[bytes, int]:
    """Return how a file begins and its number of bytes, both without the compression."""
    with file.open("rb") as raw:
        head = raw.read(_HEAD)
        if not head.startswith(b"\x1f\x8b"):
            return head, file.stat().st_size
    size = 0
    head = b""
    with gzip.open(file) as stream:
        # To the end, where the checksum is.
        while block := stream.read(_BUFFER):
            head = head or block[:_HEAD]
            size += len(block)
    return head, size


def _size_of(file: Path, head: bytes, voxels: int) -> int:
    """Return how many bytes a file has to hold; 0 where it does not say."""
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".nii":
        offset, bits = _nifti(head)
    elif suffix == ".gipl" and len(head) >= 12:
        offset, bits = _GIPL_HEADER, _GIPL_BITS.get(struct.unpack_from(">H", head, 8)[0], 0)
    elif suffix == ".vtk" and b"\nBINARY" in head and b"LOOKUP_TABLE" in head:
        offset = head.index(b"\n", head.index(b"LOOKUP_TABLE")) + 1
        bits = _vtk_bits(head)
    elif suffix == ".img":
        header = next(path for path in _parts(file) if ".hdr" in path.name)
        _, bits = _nifti(_head_and_size(header)[0])
        offset = 0
    else:
        return 0
    return offset + (voxels * bits + 7) // 8


def _nifti(head: bytes) -> tuple[int, int]:
    """Return where the voxels begin and how many bits each has; of Analyze's header, too."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0] if len(head) >= 4 else 0
        if size == 348 and len(head) >= size:
            (bits,) = struct.unpack_from(f"{order}h", head, 72)
            (offset,) = struct.unpack_from(f"{order}f", head, 108)
            return int(offset), bits
        if size == 540 and len(head) >= size:
            (bits,) = struct.unpack_from(f"{order}h", head, 14)
            (offset,) = struct.unpack_from(f"{order}q", head, 168)
            return offset, bits
    return 0, 0


def _vtk_bits(head: bytes) -> int:
    kinds = {b"char": 8, b"short": 16, b"int": 32, b"float": 32, b"double": 64}
    words = head.split(b"SCALARS", 1)[-1].split()[:2]
    kind = words[1].removeprefix(b"unsigned_") if len(words) == 2 else b""
    return kinds.get(kind, 0)
