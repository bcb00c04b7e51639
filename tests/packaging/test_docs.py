# SPDX-License-Identifier: Apache-2.0
"""The documentation names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import cnnmetric
from cnnmetric import _core
from cnnmetric.evaluation.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


def test_tests_that_show_a_feature_exist() -> None:
    named = 0
    for line in (ROOT / "docs" / "elastix-features.md").read_text(encoding="utf-8").splitlines():
        file = ""
        for module, test in re.findall(r"`(test_\w+\.py)?::(test_\w+)", line):
            file = module or file
            (path,) = (ROOT / "tests").rglob(file)
            source = path.read_text(encoding="utf-8")
            assert re.search(rf"^def {test}\(", source, flags=re.MULTILINE), f"{file}::{test}"
            named += 1
    assert named > 20


def test_every_parameter_is_documented() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    missing = [name for name in _core.parameter_names() if f"| `{name}` |" not in page]
    assert not missing


def test_every_method_of_the_evaluation_is_documented() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    missing = [name for name in METHODS if f"`{name}`" not in page]
    assert not missing


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_public_names_exist() -> None:
    assert all(hasattr(cnnmetric, name) for name in cnnmetric.__all__)
