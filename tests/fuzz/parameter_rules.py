# SPDX-License-Identifier: Apache-2.0
"""What docs/reference/parameters.md says of each parameter: values to try, and which are right."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Verdict = Literal["right", "wrong", "unsaid"]
Pools = tuple[Sequence[str], Sequence[str]]

_TEXTS = (
    "",
    " ",
    "x",
    "NaN",
    "None",
    "\u0664",
    "\xe9\xe8",
    "a" * 300,
    "\t",
    "%s%n",
    "../..",
    "0x10",
)
_NUMBERS = (
    *("0", "-0", "-1", "-2147483648", "2147483647", "2147483648", "4294967295", "4294967296"),
    *("99999999999999999999", "1e3", "1.5", "nan", "-inf", "inf", "1e308", "1e-308", "1e400"),
    *(" 8", "8 ", "+8", "08", "8,", "8 9", "1_000", "--8", "0.0000001", "1024", "1025", "10001"),
)
_WHOLE = re.compile(r"-?[0-9]+")
_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?|nan|-?inf")


def _model(model: Path) -> Pools:
    folder = model.parent
    right = (str(model), str(folder / "." / model.name))
    wrong = (str(folder), "t1t3", "T1T2-FAST", str(folder / "none.onnx"), *_TEXTS, *_NUMBERS[:4])
    other = "flat.onnx" if model.name == "small.onnx" else "small.onnx"  # of the other dimension
    return right, (*wrong, str(folder / other), str(folder / "quick.txt"), "/dev/null")


def _whole(right: Sequence[str]) -> Callable[[Path], Pools]:
    return lambda _: (right, (*_NUMBERS, *_TEXTS))


def _texts(right: Sequence[str], wrong: Sequence[str]) -> Callable[[Path], Pools]:
    return lambda _: (right, (*wrong, *_TEXTS, *_NUMBERS[:5]))


# A thousand blocks are right, and take seconds.
_FEW_BLOCKS = tuple(text for text in (*_NUMBERS, *_TEXTS) if text not in ("1024", "1025"))

NAMES: dict[str, Callable[[Path], Pools]] = {
    "CNNMetricModel": _model,
    "CNNMetricFixedModality": _texts(("T1", "T2", "t1", "t2"), ("CT", "T1,T2", "T", "T1 ")),
    "CNNMetricSampling": _texts(("Blocks", "Full"), ("blocks", "Random", "Full ", "full")),
    "CNNMetricNumberOfBlocks": lambda _: (("1", "2", "3"), _FEW_BLOCKS),
    "CNNMetricBlockSize": _whole(("17", "18", "21", "29")),
    "CNNMetricGridSpacing": _whole(("1.0", "1", "0.9", "1.1")),
    "CNNMetricDevice": _texts(("auto", "cpu"), ("gpu", "cuda", "cuda:", "cuda:-1", "cuda:999999")),
    "CNNMetricProfile": _texts(("true", "false"), ("True", "1", "yes", "true ")),
    "CNNMetricNumberOfThreads": _whole(("0", "1", "2")),
}


def verdict(name: str, values: Sequence[str], levels: int, model: Path) -> Verdict:
    """Tell what the page says of the values of a parameter.

    Parameters
    ----------
    name
        Without the metric's label.
    values
        In order.
    levels
        Number of resolutions.
    model
        The file that fits the images.

    Returns
    -------
    str
        ``"right"``, ``"wrong"``, or ``"unsaid"`` where the page leaves it open.
    """
    if not values:
        return "unsaid"
    if len(values) not in (1, levels):
        return "wrong"
    if name == "CNNMetricModel":
        found = {_of_model(value, model) for value in values}
    else:
        found = {_VERDICTS[name](value) for value in values}
    return "wrong" if "wrong" in found else "unsaid" if "unsaid" in found else "right"


def _of_model(value: str, model: Path) -> Verdict:
    if not value.strip():
        return "unsaid"
    return "right" if value.endswith(model.name) else "wrong"


def _among(*right: str) -> Callable[[str], Verdict]:
    return lambda value: "right" if value in right else "wrong"


def _of_modality(value: str) -> Verdict:
    if not value:
        return "unsaid"
    return "right" if value.upper() in ("T1", "T2") else "wrong"


def _whole_number(least: int, most: int) -> Callable[[str], Verdict]:
    def judge(value: str) -> Verdict:
        if not _WHOLE.fullmatch(value):
            # Which spellings of a number elastix reads is not said; a text is none.
            return "unsaid" if re.search("[0-9]", value) and value != "\u0664" else "wrong"
        return "right" if least <= int(value) <= most else "wrong"

    return judge


def _of_block(value: str) -> Verdict:
    if _WHOLE.fullmatch(value) and not 1 <= int(value) <= 40:
        # A block is never larger than the grid, so that a large edge is none here.
        return "wrong" if int(value) < 0 else "unsaid"
    return _whole_number(0, 40)(value)


def _of_spacing(value: str) -> Verdict:
    if not _REAL.fullmatch(value):
        return "unsaid" if re.search("[0-9]", value) else "wrong"
    # 20 voxels of 1 mm, and a patch of 17: neither coarser than 1.1, nor finer than a tenth.
    number = float(value)
    if not 0.0 < number < 1.1:
        return "right" if number == 1.1 else "wrong"
    return "right" if number >= 0.9 else "unsaid"


_VERDICTS: dict[str, Callable[[str], Verdict]] = {
    "CNNMetricFixedModality": _of_modality,
    "CNNMetricSampling": _among("Blocks", "Full"),
    "CNNMetricNumberOfBlocks": _whole_number(1, 10000),
    "CNNMetricBlockSize": _of_block,
    "CNNMetricGridSpacing": _of_spacing,
    "CNNMetricDevice": _among("auto", "cpu"),
    "CNNMetricProfile": _among("true", "false"),
    "CNNMetricNumberOfThreads": _whole_number(0, 1024),
}
