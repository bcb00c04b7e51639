# SPDX-License-Identifier: Apache-2.0
"""Values that no argument expects, and which of them are right for a kind of argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from typing import Literal

import numpy as np

from fuzz.pictures import pair

Verdict = Literal["right", "wrong", "unsaid"]


class Unhelpful:
    """Raises whatever is asked of it."""

    def __float__(self) -> float:
        raise ValueError("no number")

    def __index__(self) -> int:
        raise TypeError("no index")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __repr__(self) -> str:
        return "Unhelpful()"


def values() -> list[Any]:
    """Return the values; new ones at each call, as some are changed by what takes them."""
    return [
        *(None, True, False, 0, 1, -1, 2, 3, 7, 100, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400),
        *(0.0, 1.5, -0.5, 0.3, math.nan, math.inf, -math.inf, 1e308, 1e-308, 5e-324),
        *("", "x", "1", "nan", "\ud800", "a\0b", "\xe9" * 50, "../..", b"x", b"", 1j),
        *([], [1], [math.nan], ["x"], [None], [[1.0]], (), (1, 2), {}, {"a": 1}, set(), range(3)),
        *(np.float32(math.nan), np.float64(1.5), np.int8(-1), np.uint64(2**64 - 1), np.bool_(True)),
        *(np.array(2), np.array([1.0, 2.0]), np.zeros(0), np.zeros((0, 3)), np.zeros((2, 2))),
        *(np.array(["a"]), np.array([None]), np.zeros(2, dtype=complex), np.ma.masked),
        *(object(), Unhelpful(), int, len, Path("nowhere"), Path("/"), Decimal("NaN"), Decimal(1)),
        *(
            Fraction(1, 3),
            slice(3),
            ...,
            ValueError("x"),
            iter([1.0]),
            memoryview(b"ab"),
            pair()[0],
        ),
        *(np.datetime64("2020"), np.timedelta64(1), np.void(b"ab"), np.zeros((20, 20, 20))),
    ]


Rule = Callable[[Any], Verdict]


def anything(_: Any) -> Verdict:
    """Nothing is said of it."""
    return "unsaid"


def number(least: float, most: float, *, open_: bool = False, whole: bool = False) -> Rule:
    """Return the rule of a number within bounds."""

    def rule(value: Any) -> Verdict:
        if isinstance(value, bool | np.bool_ | Decimal | Fraction) or value is np.ma.masked:
            return "unsaid"
        if isinstance(value, np.ndarray):
            return "wrong" if value.size != 1 or value.dtype.kind not in "iuf" else "unsaid"
        if isinstance(value, np.datetime64 | np.timedelta64):
            return "unsaid"
        if not isinstance(value, int | float | np.integer | np.floating):
            return "wrong"
        if whole and not isinstance(value, int | np.integer):
            return "wrong"
        within = least < value <= most if open_ else least <= value <= most
        return "right" if within else "wrong"

    return rule


def optional(rule: Rule) -> Rule:
    """Return the rule of an argument that may also be None."""
    return lambda value: "unsaid" if value is None else rule(value)


def text(*right: str) -> Rule:
    """Return the rule of a choice of texts."""
    return lambda value: "right" if isinstance(value, str) and value in right else "wrong"


def not_of(*types: type) -> Rule:
    """Return the rule of an argument that is of some types; the values are judged elsewhere."""
    return lambda value: "unsaid" if isinstance(value, types) else "wrong"
