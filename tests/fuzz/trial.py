# SPDX-License-Identifier: Apache-2.0
"""What a generator makes of a seed and a number: something to do, and what is known of its end."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal
from typing import TypeVar

import numpy as np

Random = np.random.Generator
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One case.

    Attributes
    ----------
    what
        The input in a line, for people and for `known_faults`.
    run
        Does it; numbers in what it returns have to be finite. Raises `oracles.BrokenRuleError`
        where a rule of its kind of input is broken.
    expected
        What the documentation says of such input; empty where it says nothing.
    elastix_may_refuse
        Whether the input goes beyond cnnmetric's own, so that the error may be elastix's.
    """

    what: str
    run: Callable[[], object]
    expected: Literal["success", "refusal", ""] = ""
    elastix_may_refuse: bool = False


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What cases are made of; written once for all of them.

    Attributes
    ----------
    small, difference
        Models in 3D: of untrained weights, and of an absolute difference.
    small_2d
        As `small`, in 2D.
    result
        Folder of a saved registration.
    """

    small: Path
    difference: Path
    small_2d: Path
    result: Path

    def named(self, text: str) -> str:
        """Return a text with one name for the folder of all of these, which differs by the run."""
        return text.replace(str(self.small.parent), "MATERIALS")


def new_folder() -> Path:
    """Return an empty folder in the one of the process, which is removed with it."""
    return Path(tempfile.mkdtemp(dir="."))


def one_of(random: Random, choices: Sequence[T]) -> T:
    """Return one of some things, whatever they are."""
    return choices[int(random.integers(len(choices)))]


def some_of(random: Random, choices: Sequence[T], number: int) -> list[T]:
    """Return several different ones."""
    places = random.permutation(len(choices))[:number]
    return [choices[int(place)] for place in places]


def shown(value: Any, length: int = 160) -> str:
    """Return a value as a short line of ASCII."""
    text = re.sub(" at 0x[0-9a-f]+", "", ascii(value))
    return text if len(text) <= length else f"{text[:length]}..."
