# SPDX-License-Identifier: Apache-2.0
"""The covering array covers."""

from __future__ import annotations

import itertools

from support.pairwise import Case
from support.pairwise import all_pairs
from support.pairwise import pairwise

AXES = {
    "colour": ["red", "green", "blue", "black"],
    "size": ["small", "large"],
    "shape": ["ball", "cube", "cone"],
    "weight": ["light", "heavy"],
}


def anything(pair: Case) -> bool:
    return True


def no_heavy_ball(pair: Case) -> bool:
    return pair != {"shape": "ball", "weight": "heavy"}


def test_every_pair_is_in_a_case() -> None:
    cases = pairwise(AXES, anything)
    for one, other in itertools.combinations(AXES, 2):
        found = {(case[one], case[other]) for case in cases}
        assert found == set(itertools.product(AXES[one], AXES[other]))


def test_there_are_few_cases() -> None:
    # 4 x 3 is what the two longest axes need by themselves; all combinations are 48.
    assert 12 <= len(pairwise(AXES, anything)) <= 15


def test_forbidden_pairs_do_not_occur_and_the_others_do() -> None:
    cases = pairwise(AXES, no_heavy_ball)
    assert not [case for case in cases if case["shape"] == "ball" and case["weight"] == "heavy"]
    for pair in all_pairs(AXES, no_heavy_ball):
        assert any(pair.items() <= case.items() for case in cases)


def test_every_case_has_a_value_on_every_axis() -> None:
    for case in pairwise(AXES, anything):
        assert case.keys() == AXES.keys()
        assert all(case[axis] in AXES[axis] for axis in AXES)
