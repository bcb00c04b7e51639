# SPDX-License-Identifier: Apache-2.0
"""Print the packages that pyproject.toml asks for, one per line, for `pip install -r`.

Printed are the requirements of the build, of the package, and of the extras given as arguments. So
an environment can be set up before the package is built in it, and no list is written down twice.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extras: Sequence[str]) -> list[str]:
    """Return the requirements of the build, of the package and of `extras`."""
    with PYPROJECT.open("rb") as file:
        pyproject = tomllib.load(file)
    project = pyproject["project"]
    found = [*pyproject["build-system"]["requires"], *project["dependencies"]]
    for extra in extras:
        found += _expand(project, extra)
    return list(dict.fromkeys(found))


def _expand(project: dict[str, Any], extra: str) -> Iterator[str]:
    """Yield the requirements of an extra, and of those that it includes by the project's name."""
    for requirement in project["optional-dependencies"][extra]:
        included = re.fullmatch(rf"{project['name']}\[(.*)\]", requirement)
        if included:
            for name in included[1].split(","):
                yield from _expand(project, name)
        else:
            yield requirement


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
