# SPDX-License-Identifier: Apache-2.0
"""The model of many registrations: found by all of their processes, the same in all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.plugin import package_data

_SUFFIX = ".onnx"


def findable(model: str | Path) -> str:
    """Return a model so that a process with another working directory finds it.

    Parameters
    ----------
    model
        Name of an installed model, which stays as it is, or path of a file.
    """
    name = str(model)
    return str(Path(name).resolve()) if _is_path(name) else name


def content(model: str) -> dict[str, str]:
    """Return what tells a model from another one that is called the same, as a setting by its name.

    Parameters
    ----------
    model
        As `findable` returns it.

    Returns
    -------
    dict
        Empty of a model whose file cannot be exchanged: one that comes with the package.

    Raises
    ------
    DataError
        If the file of the model cannot be read.
    """
    file = _exchangeable_file(model)
    if file is None:
        return {}
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        msg = (
            f"the model {model} cannot be read ({error.strerror}); give the path of an .onnx file, "
            "or the name of an installed model"
        )
        raise DataError(msg) from error
    return {"content of the model (SHA-256)": found}


def _exchangeable_file(model: str) -> Path | None:
    """Return the file that a path names, or that the user has added by a name."""
    if _is_path(model):
        return Path(model)
    shipped, *others = (folder / f"{model}{_SUFFIX}" for folder in package_data.model_folders())
    return None if shipped.is_file() else next(filter(Path.is_file, others), None)


def _is_path(model: str) -> bool:
    """Tell a path from a name, as the metric does."""
    return model.endswith(_SUFFIX) or "/" in model
