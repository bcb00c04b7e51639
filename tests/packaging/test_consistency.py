# SPDX-License-Identifier: Apache-2.0
"""What is said in more than one place is the same in each."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib import resources
from pathlib import Path

import pytest

import fetch_headers
import list_requirements
from cnnmetric.plugin import compatibility

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def test_the_pins_equal_the_table_of_the_self_check() -> None:
    required = [requirement.install for requirement in compatibility.REQUIRED]
    assert set(required) <= set(PROJECT["dependencies"])
    at_build = [pin for pin in PYPROJECT["build-system"]["requires"] if pin.startswith("itk")]
    assert at_build == [install for install in required if install.startswith("itk")]
    wanted = ".".join(map(str, compatibility.MINIMUM_PYTHON))
    assert PROJECT["requires-python"] == f">={wanted}"


def test_the_headers_are_those_of_the_wheels() -> None:
    itk = fetch_headers.ALL_HEADERS[0]
    core = compatibility.REQUIRED[0]
    assert core.specifier == f"=={itk.wanted.removeprefix('ITK ')}"
    assert all(version.startswith("5.4.7-") for version in itk.package.sha256)


def test_the_version_is_one() -> None:
    version = PROJECT["version"]
    assert metadata.version("cnnmetric") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folder", "pattern"), [("elastix_params", "*.txt"), ("models", "*.onnx"), ("models", "*.md")]
)
def test_models_and_parameter_files_are_installed(folder: str, pattern: str) -> None:
    installed = resources.files(f"cnnmetric.{folder}")
    names = {file.name for file in (ROOT / folder).glob(pattern)}
    assert names
    for name in names:
        assert (installed / name).read_bytes() == (ROOT / folder / name).read_bytes()


def test_requirements_are_listed_with_those_of_included_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    listed = list_requirements.requirements(["dev"])
    assert {*extras["train"], *extras["demo"], *extras["test"], *extras["lint"]} <= set(listed)
    assert {*PYPROJECT["build-system"]["requires"], *PROJECT["dependencies"]} <= set(listed)
    assert not [requirement for requirement in listed if requirement.startswith("cnnmetric")]
    assert len(listed) == len(set(listed))


def test_a_set_up_without_extras_has_no_torch() -> None:
    listed = list_requirements.requirements(["demo"])
    assert not [requirement for requirement in listed if requirement.startswith("torch")]


EXTRA_OF_PART = {
    "training": ["train"],
    "train": ["train"],
    "demo": ["demo"],
    "evaluation": ["evaluate"],
    "plausibility": ["evaluate"],
}


def imported_packages(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    "module",
    [file.relative_to(ROOT / "python") for file in (ROOT / "python" / "cnnmetric").rglob("*.py")],
    ids=str,
)
def test_what_a_module_imports_is_declared(module: Path) -> None:
    """Registration needs no torch; the other parts need no more than their extra."""
    declared = [*PROJECT["dependencies"]]
    for name in EXTRA_OF_PART.get(module.parts[1].removesuffix(".py"), []):
        declared += PROJECT["optional-dependencies"][name]
    if module.parts[-2] == "batch":
        declared += PROJECT["optional-dependencies"]["evaluate"]  # of a cluster alone
    if module.parts[-2] == "images" and module.stem in ("conversion", "nibabel_images"):
        declared += ["nibabel", "SimpleITK"]  # of whoever hands over such an image
    if module.parts[-2] == "external" or module.stem == "convex_adam":
        declared += [*PROJECT["optional-dependencies"]["rivals"], "torch"]
    packages = {re.split(r"[=<>]", requirement)[0].replace("-", "_") for requirement in declared}
    modules = {*packages, "onnxruntime", "ants", "cnnmetric", *sys.stdlib_module_names}
    assert set(imported_packages(ROOT / "python" / module)) <= modules
