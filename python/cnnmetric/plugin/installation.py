# SPDX-License-Identifier: Apache-2.0
"""The commands of pip that repair or extend this installation.

cnnmetric comes from a wheel's file or from a checkout, so that its name alone tells pip nothing.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urlsplit

_PIP = f"{sys.executable} -m pip"


def reinstall() -> str:
    """Return the sentence that says how to install cnnmetric itself again."""
    origin = _origin()
    command = f"{_PIP} install --force-reinstall --no-deps"
    if origin:
        return f'Run: {command} "{origin}"'
    return f"Run: {command} FILE (the wheel of cnnmetric, or the folder of its sources)"


def install_extra(extra: str) -> str:
    """Return the sentence that says how to install what a part of cnnmetric needs.

    Parameters
    ----------
    extra
        A name of ``[project.optional-dependencies]``.
    """
    try:
        listed = metadata.requires("cnnmetric") or []
    except metadata.PackageNotFoundError:
        listed = []
    marker = re.compile(rf"""^([^;]+?)\s*;\s*extra\s*==\s*["']{extra}["']$""")
    packages = [f'"{match[1]}"' for match in map(marker.match, listed) if match]
    if packages:
        return f"Run: {_PIP} install {' '.join(packages)}"
    return f'In the folder of the sources, run: {_PIP} install ".[{extra}]"'


def _origin() -> Path | None:
    """Return the wheel or the folder that pip installed cnnmetric from, if it is still there."""
    try:
        record = metadata.distribution("cnnmetric").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        record = None
    if not record:
        return None
    address = urlsplit(json.loads(record)["url"])
    path = Path(unquote(address.path))
    return path if address.scheme == "file" and path.exists() else None
