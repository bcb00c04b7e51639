# SPDX-License-Identifier: Apache-2.0
"""The kinds of input, and how many of all cases are of each."""

from __future__ import annotations

from collections.abc import Callable

from fuzz import calls
from fuzz import commands
from fuzz import images
from fuzz import models
from fuzz import parameters
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial

KINDS: dict[str, Callable[[Random, Materials], Trial]] = {
    "params": parameters.trial,
    "images": images.trial,
    "models": models.trial,
    "calls": calls.trial,
    "commands": commands.trial,
}
# Of a hundred cases.
_SHARES = {"params": 30, "images": 20, "models": 15, "calls": 20, "commands": 15}


def numbers_of(cases: int) -> dict[str, range]:
    """Return the numbers of the cases of each kind, for a number of cases of all kinds."""
    numbers = {kind: range(cases * share // 100) for kind, share in _SHARES.items()}
    rest = cases - sum(map(len, numbers.values()))
    return numbers | {"params": range(len(numbers["params"]) + rest)}
