# SPDX-License-Identifier: Apache-2.0
"""Find image files that end too early, of the formats where ITK fills the rest with zeros.

These are NIfTI, Analyze, GIPL and VTK, compressed or not. For the others, ITK fails by itself.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.images.parts import PAIR
from cnnmetric.images.parts import files_of

_GIPL_HEADER, _GIPL_BITS = 256, {1: 1, 7: 8, 8: 8, 15: 16, 16: 16, 31: 32, 32: 32, 64: 32, 65: 64}
_BUFFER = 1 << 20
_HEAD = 1024


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


def _parts(file: Path) -> list[Path]:
    """Return the file, or the two of a pair of header and voxels; none of another format."""
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    is_known = suffix in (".nii", ".gipl", ".vtk", *PAIR) or file.name.endswith(".gz")
    return files_of(file) if is_known else []


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
