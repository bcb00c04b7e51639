# SPDX-License-Identifier: Apache-2.0
"""A registration with a number of threads leaves ITK's for the process as they were."""

from __future__ import annotations

from pathlib import Path

import itk
import pytest

from support.elastix_cases import images
from support.elastix_runs import parameters
from support.elastix_runs import register


def numbers() -> tuple[int, int]:
    base = itk.MultiThreaderBase
    return base.GetGlobalDefaultNumberOfThreads(), base.GetGlobalMaximumNumberOfThreads()


@pytest.mark.parametrize("changes", [{}, {"UseDirectionCosines": "1"}])
def test_threads_of_one_registration_are_not_those_of_the_next(
    changes: dict[str, str], difference_model: Path
) -> None:
    before = numbers()
    assert max(before) > 1
    settings = parameters(difference_model, **changes)
    try:
        register(*images("float 3D"), settings, number_of_threads=1)
    except RuntimeError:
        assert changes  # elastix refuses it, after it has set its number
    assert numbers() == before
