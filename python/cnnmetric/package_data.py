# SPDX-License-Identifier: Apache-2.0
"""Where the files that come with the package lie."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder of the shipped parameter files or models.

    Parameters
    ----------
    name
        ``"elastix_params"`` or ``"models"``.
    """
    # Installed, the folder lies beside this module; in a source tree, at its top level.
    installed = Path(__file__).resolve().parent / name
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / name
