# SPDX-License-Identifier: Apache-2.0
"""What is not the name of a file is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cnnmetric
from cnnmetric.errors import SettingsError
from cnnmetric.files.paths import as_path


@pytest.mark.parametrize("wrong", [3, None, b"a.csv", ["a.csv"], "a\0b", 1.5])
def test_no_name_of_a_file(wrong: Any) -> None:
    for use in (cnnmetric.read_points, cnnmetric.load_transform):
        with pytest.raises(SettingsError, match=r"(file|folder) is .* must be the name of a file"):
            use(wrong)


def test_texts_and_paths() -> None:
    assert as_path("file", "a.csv") == as_path("file", Path("a.csv")) == Path("a.csv")
