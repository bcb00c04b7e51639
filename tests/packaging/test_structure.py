# SPDX-License-Identifier: Apache-2.0
"""The sources keep a shape that can be overlooked: no circles, few entries, short files."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "cnnmetric"
LONGEST = 400  # lines of a file
MOST = 18  # entries at the top of the package
SOURCES = {
    ".py": ("python", "tests", "scripts", "benchmarks", "studies"),
    ".h": ("cpp",),
    ".hxx": ("cpp",),
    ".cxx": ("cpp",),
}


def name_of(file: Path) -> str:
    """Return the dotted name of a module; a compiled one has a .pyi file."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for suffix in ("py", "pyi") for file in PACKAGE.rglob(f"*.{suffix}")}


def imported(file: Path) -> Iterator[str]:
    """Yield every name that a file imports, in functions as well, as `module` or `module.name`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """Return the module of ours that a name is, or is defined in; empty for another package's."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports in functions count: what runs late is read together all the same.

    That importing a module runs the ``__init__`` of its packages does not count; for `cnnmetric`
    itself, which imports what it exports, it could not be otherwise.
    """
    graph = {name: set(map(module_of, imported(file))) - {""} for name, file in FILES.items()}
    assert len(graph) > 80
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises a CycleError that names it


def test_no_module_imports_what_the_package_exports() -> None:
    """Names of `cnnmetric` are for users; here, they come from where they are defined."""
    users = [name for name, file in FILES.items() if "cnnmetric" in map(module_of, imported(file))]
    assert not users


def test_the_top_of_the_package_is_small() -> None:
    built = {".pyi", ".so"}
    others = {"py.typed", "__pycache__"}
    names = {path.name for path in PACKAGE.iterdir() if path.suffix not in built}
    entries = names - others
    assert len(entries) <= MOST, sorted(entries)


def test_no_file_is_long() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for suffix, folders in SOURCES.items()
        for folder in folders
        for file in (ROOT / folder).rglob(f"*{suffix}")
    }
    assert len(lengths) > 150
    assert not {file: length for file, length in lengths.items() if length > LONGEST}
