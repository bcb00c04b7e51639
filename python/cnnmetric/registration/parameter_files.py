# SPDX-License-Identifier: Apache-2.0
"""The elastix parameter files that come with the package, found by name."""

from __future__ import annotations

from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.plugin import package_data

# The model where a parameter file names none, as in elxCNNMetric.h.
DEFAULT_MODEL = "t1t2-fine"


def names() -> tuple[str, ...]:
    """Return the names of the shipped parameter files, sorted, for example ``"cnn_bspline"``."""
    return tuple(sorted(file.stem for file in package_data.folder("elastix_params").glob("*.txt")))


def path(name: str) -> Path:
    """Return the path of a shipped parameter file, to be read by elastix or copied.

    Parameters
    ----------
    name
        Name without folder and extension, one of :func:`names`.

    Raises
    ------
    DataError
        If there is no such file; the message lists those that exist.
    """
    if name not in names():
        msg = f"no shipped parameter file is called {name!r}; there are: {', '.join(names())}"
        raise DataError(msg)
    return package_data.folder("elastix_params") / f"{name}.txt"
