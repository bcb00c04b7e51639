# SPDX-License-Identifier: Apache-2.0
"""Where the files that come with the package lie, and the models that a user adds."""

from __future__ import annotations

import os
from pathlib import Path

# The model where nothing names one, as in elxCNNMetric.h.
DEFAULT_MODEL = "any"

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """Return the folder of the shipped parameter files or models.

    Parameters
    ----------
    name
        ``"elastix_params"`` or ``"models"``.
    """
    # Installed, the folder lies in the package; in a source tree, at its top level.
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parents[1] / name


def user_models() -> Path:
    """Return the folder of the models that this user has added, which need not exist."""
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(base) / "cnnmetric" / "models"


def model_folders() -> list[Path]:
    """Return where models are looked for by name: first those of the package."""
    return [folder("models"), user_models()]
