# SPDX-License-Identifier: Apache-2.0
"""The pair that the tests of `register` share, and two registrations of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cnnmetric
from cnnmetric.registration.result import RegistrationResult
from support.known_pair import ANGLE
from support.known_pair import QUICK
from support.known_pair import SHIFT
from support.metric_images import moved_subject
from support.metric_images import subject


@pytest.fixture(scope="session")
def fixed() -> Any:
    return subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="session")
def moving() -> Any:
    """Return the same anatomy, turned and shifted, on another grid."""
    return moved_subject(angle=ANGLE, shift=SHIFT)


@pytest.fixture(scope="session")
def rigid(fixed: Any, moving: Any, difference_model: Path) -> RegistrationResult:
    return cnnmetric.register(fixed, moving, model=difference_model, **QUICK)


@pytest.fixture(scope="session")
def deformed(fixed: Any, moving: Any, difference_model: Path) -> RegistrationResult:
    return cnnmetric.register(fixed, moving, model=difference_model, grid_spacing=2.0)
