# SPDX-License-Identifier: Apache-2.0
"""CNNMetric with any two of elastix's components: transform, optimizer, sampler, mask, and so on.

Each case is a short registration. That a registration also finds what it should is shown, one
component at a time, in test_elastix_components.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from support.elastix_cases import AXES
from support.elastix_cases import CaseRunner
from support.elastix_cases import allowed
from support.elastix_runs import final_parameters
from support.pairwise import Case
from support.pairwise import pairwise

CASES = pairwise(AXES, allowed)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> CaseRunner:
    return CaseRunner(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case.values()))
def test_components_work_together(case: Case, runner: CaseRunner) -> None:
    found = np.array(final_parameters(runner.run(case)))
    start = np.array(runner.start(case["image"], case["transform"]))
    assert np.isfinite(found).all()
    assert np.abs(found - start).max() > 1e-6
