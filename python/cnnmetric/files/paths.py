# SPDX-License-Identifier: Apache-2.0
"""Names of files and folders as arguments of functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cnnmetric.errors import SettingsError


def as_path(name: str, value: Any) -> Path:
    """Return the path that an argument names.

    Parameters
    ----------
    name
        Of the argument.
    value
        What it is.

    Raises
    ------
    SettingsError
        If it is neither a text nor a path.
    """
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(given, str) or "\0" in given:
        msg = f"{name} is {value!r:.60} ({type(value).__name__}) but must be the name of a file"
        raise SettingsError(msg)
    return Path(given)
