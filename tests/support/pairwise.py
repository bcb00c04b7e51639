# SPDX-License-Identifier: Apache-2.0
"""Few cases in which any two values of any two axes meet: most faults need no more than two."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

Case = dict[str, str]


def all_pairs(axes: Mapping[str, Sequence[str]], allowed: Callable[[Case], bool]) -> list[Case]:
    """Return the pairs that a covering array has to hold, as cases of two axes."""
    pairs = [
        {one: value, other: other_value}
        for one, other in itertools.combinations(axes, 2)
        for value, other_value in itertools.product(axes[one], axes[other])
    ]
    return [pair for pair in pairs if allowed(pair)]


def pairwise(axes: Mapping[str, Sequence[str]], allowed: Callable[[Case], bool]) -> list[Case]:
    """Return cases that hold every allowed pair of values; the same ones every time.

    Greedy: every case starts from a pair that no case holds yet, and takes on every other axis the
    value that adds most such pairs.

    Parameters
    ----------
    axes
        Values by name of the axis.
    allowed
        Says of a case of two axes whether the two values go together.
    """
    missing = {frozenset(pair.items()) for pair in all_pairs(axes, allowed)}
    cases: list[Case] = []
    # Ordered, unlike the set: the start of each case must not depend on Python's hash seed.
    for pair in all_pairs(axes, allowed):
        if frozenset(pair.items()) not in missing:
            continue
        case = dict(pair)
        for axis in axes:
            if axis not in case:
                case[axis] = _best_value(axis, axes[axis], case, allowed, missing)
        missing -= {frozenset(two) for two in itertools.combinations(case.items(), 2)}
        cases.append(case)
    return cases


def _best_value(
    axis: str,
    values: Sequence[str],
    case: Case,
    allowed: Callable[[Case], bool],
    missing: set[frozenset[tuple[str, str]]],
) -> str:
    possible = [
        value
        for value in values
        if all(allowed({other: chosen, axis: value}) for other, chosen in case.items())
    ]
    return max(
        possible,
        key=lambda value: sum(frozenset([item, (axis, value)]) in missing for item in case.items()),
    )
