# SPDX-License-Identifier: Apache-2.0
"""The elastix parameter files that come with the package, found by name."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from cnnmetric.errors import SettingsError
from cnnmetric.plugin import package_data
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.types import ParameterObject


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
    SettingsError
        If there is no such file; the message lists those that exist.
    """
    if name not in names():
        msg = f"no shipped parameter file is called {name!r}; there are: {', '.join(names())}"
        raise SettingsError(msg)
    return package_data.folder("elastix_params") / f"{name}.txt"


def read(
    method: str, stage: str, overrides: Mapping[str, str | Sequence[str]] | None = None
) -> ParameterObject:
    """Return the shipped parameter file ``<method>_<stage>.txt`` as an ``itk.ParameterObject``.

    Parameters
    ----------
    method
        ``"cnn"`` or ``"mi"``.
    stage
        For example ``"similarity"``.
    overrides
        Values that replace those of the file, by parameter name.

    Raises
    ------
    SettingsError
        If there is no such file.
    """
    import itk  # here, since the doctor lists the files where ITK cannot be loaded

    parameters = itk.ParameterObject.New()
    parameters.AddParameterFile(str(path(f"{method}_{stage}")))
    for name, value in (overrides or {}).items():
        if name == "CNNMetricModel":
            choose_model(parameters, str(value))
        else:
            values = [value] if isinstance(value, str) else list(value)
            parameters.SetParameter(0, name, values)
    return parameters


def choose_model(parameters: ParameterObject, model: str) -> None:
    """Set the model; where it is another one than before, its block size is its own choice."""
    before = dict(parameters.GetParameterMap(0).items()).get("CNNMetricModel", (DEFAULT_MODEL,))
    parameters.SetParameter("CNNMetricModel", model)
    if tuple(before) != (model,):
        parameters.RemoveParameter("CNNMetricBlockSize")
