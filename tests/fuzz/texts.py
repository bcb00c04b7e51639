# SPDX-License-Identifier: Apache-2.0
"""Files of text and words of command lines, and ways to damage them."""

from __future__ import annotations

import json

from fuzz.trial import Random
from fuzz.trial import one_of

# Those that start no long work by themselves: `demo` and `doctor` do.
SUBCOMMANDS = ("register", "transform", "models", "train", "evaluate", "plausibility", "completion")
OPTIONS = (
    *("-o", "--out", "--model", "--deformation", "--grid-spacing", "--seed", "--device", "--table"),
    *("--threads", "--workers", "--json", "--quiet", "--verbose", "--overwrite", "-p", "-t0"),
    *("--fixed-modality", "-fMask", "--bids", "--name", "add", "--labels", "--inverse", "--steps"),
    *("--modalities", "--methods", "--subjects", "--dimension", "--points", "--help", "--", "-x"),
    *("--no-report", "--resume", "--channels", "--kernels", "--strides", "--batch-size", "=", "-"),
)
WORDS = (
    *("", "x", "0", "-1", "1", "nan", "inf", "1e400", "99999999999999999999", "1.5", "T1,T2", ","),
    *("none.csv", "none.nii.gz", ".", "..", "/dev/null", "/dev/full", "/", "\xe9", "\udcff", "a b"),
    *("cpu", "cuda:0", "gpu", "t1t2-fast", "{result}", "field", "bash", "--", "x" * 500, "%s"),
)

_MARKUPS = {
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "coordinateUnits": "mm",
            "controlPoints": [
                {"id": "1", "label": "a", "position": [1.0, 2.0, 3.0], "positionStatus": "defined"},
                {"id": "2", "label": "b", "position": [4, 5, -6], "positionStatus": "defined"},
            ],
        }
    ]
}
POINTS = {
    ".csv": b"label,x,y,z\na,1,2,3\nb,4.5,-5,6e0\n",
    ".txt": b"point\n2\n1 2 3\n4.5 -5 6\n",
    ".pts": b"index\n2\n1 2 3\n4 5 6\n",
    ".fcsv": (
        b"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
        b"# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        b"1,1,2,3,0,0,0,1,1,1,0,a,,\n2,4,5,6,0,0,0,1,1,1,0,b,,\n"
    ),
    ".mrk.json": json.dumps(_MARKUPS).encode(),
}
PAIRS = b"name,fixed,moving,fixed_modality\none,a.mha,a.mha,T1\ntwo,a.mha,a.mha,\n"

_BYTES = (
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b'"',
        b"'",
        b",",
    ),
    *(
        b"\n",
        b"\r",
        b";",
        b"\t",
        b"(",
        b")",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"true",
        b"\\",
        b"//",
    ),
    *(b"99999999999999999999", b"9" * 5000, b"\xc3", b"\xe2\x80\xa8", b"a" * 2000, b"[" * 2000),
    *(b"#", b"%s", b"../../x", b"/dev/zero", b"CNNMetric", b"0", b"NaN", b"Infinity", b"-0.0"),
)


def changed(random: Random, content: bytes, *, times: int = 1) -> bytes:
    """Return a content with some changes: of bytes, of words and of lines."""
    if random.random() < 0.03:
        return one_of(random, _BYTES)
    for _ in range(times if random.random() < 0.5 else int(random.integers(1, 4))):
        content = one_of(random, _WAYS)(random, content)
    return content


def _replaced_word(random: Random, content: bytes) -> bytes:
    """Put something else into the place of what is between two separators."""
    ends = [i for i, byte in enumerate(content[:100000]) if byte in b' ,\n":()[]{}=']
    if len(ends) < 2:
        return one_of(random, _BYTES)
    place = int(random.integers(len(ends) - 1))
    return content[: ends[place] + 1] + one_of(random, _BYTES) + content[ends[place + 1] :]


def _inserted(random: Random, content: bytes) -> bytes:
    place = int(random.integers(len(content) + 1))
    return content[:place] + one_of(random, _BYTES) + content[place:]


def _cut(random: Random, content: bytes) -> bytes:
    return content[: int(random.integers(len(content) + 1))]


def _without_piece(random: Random, content: bytes) -> bytes:
    place = int(random.integers(len(content) + 1))
    return content[:place] + content[place + int(random.integers(1, 30)) :]


def _flipped(random: Random, content: bytes) -> bytes:
    changed_ = bytearray(content)
    if changed_:
        changed_[int(random.integers(min(len(changed_), 2000)))] ^= 1 << int(random.integers(8))
    return bytes(changed_)


def _line(random: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    if random.random() < 0.5:
        lines.insert(place, lines[int(random.integers(len(lines)))])
    else:
        lines.pop(place)
    return b"\n".join(lines)


_WAYS = [*[_replaced_word] * 3, _inserted, _cut, _without_piece, _flipped, _line]
