# SPDX-License-Identifier: Apache-2.0
"""Names of files and folders as arguments of functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cnnmetric.errors import refuse


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
        refuse(name, value, "the name of a file")
    return Path(given)
