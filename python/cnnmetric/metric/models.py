# SPDX-License-Identifier: Apache-2.0
"""The installed models: which there are, and one more."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import DataError
from cnnmetric.errors import ModelError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import check_folder
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin import package_data

_SUFFIX, _RECORD = ".onnx", ".json"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, kw_only=True)
class InstalledModel:
    """One model, as far as it can be opened.

    Attributes
    ----------
    name
        By which it is found.
    path
        Its file.
    shipped
        Whether it came with the package.
    modalities, dimension, spacing_mm, receptive_field
        As of :class:`cnnmetric.DissimilarityNetwork`; None of a model that cannot be opened.
    score
        What its record says of how good it is; empty if that says nothing.
    problem
        Why it cannot be opened; empty if it can.
    """

    name: str
    path: Path
    shipped: bool
    modalities: tuple[str, str] | None = None
    dimension: int | None = None
    spacing_mm: float | None = None
    receptive_field: int | None = None
    score: str = ""
    problem: str = ""


def installed_models() -> list[InstalledModel]:
    """Return all models that are found by name, those of the package first."""
    found: dict[str, InstalledModel] = {}
    for folder in package_data.model_folders():
        shipped = folder == package_data.folder("models")
        for file in sorted(folder.glob(f"*{_SUFFIX}")):
            found.setdefault(file.stem, _opened(file, shipped=shipped))
    return list(found.values())


def add_model(file: Path, *, name: str = "", overwrite: bool = False) -> Path:
    """Check a model and install it for this user, so that it is found by its name.

    Parameters
    ----------
    file
        Of any name; the run record beside it, which ends in ``.json`` instead, is installed, too.
    name
        What it is to be called; empty for the file's own name.
    overwrite
        Replace a model that the user has added by this name.

    Returns
    -------
    Path
        The installed file.

    Raises
    ------
    DataError
        If there is no such file.
    ModelError
        If it is no model of ours, or what it computes is not finite.
    SettingsError
        If the name cannot be one, or is taken.
    """
    called = name or file.stem
    _check_name(called, overwrite=overwrite)
    if not file.is_file():
        msg = f"there is no model file {file}"
        raise DataError(msg)
    try_model(file)
    folder = package_data.user_models()
    check_folder(folder, option="folder by the environment variable XDG_DATA_HOME")
    installed = folder / f"{called}{_SUFFIX}"
    with atomic_path(installed) as temporary:
        shutil.copyfile(file, temporary)
        # Before the model takes its name, so that no record is found beside another's model.
        _install_record(file.with_suffix(_RECORD), installed.with_name(f"{called}{_RECORD}"))
    return installed


def _install_record(source: Path, target: Path) -> None:
    if source.is_file():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    else:
        target.unlink(missing_ok=True)  # of the model before


def try_model(file: Path) -> DissimilarityNetwork:
    """Open a model and evaluate it with its gradient, on the CPU.

    Raises
    ------
    ModelError
        If the file cannot be used, or what it computes is not finite.
    """
    # Resolved, so that it is taken for a path whatever it is called.
    network = DissimilarityNetwork(file.resolve(), device="cpu", number_of_threads=1)
    edge = network.receptive_field + network.stride
    patches = np.random.default_rng(1).random((2, *(edge,) * network.dimension))
    result = network.map_and_gradient(*patches, normalised=True)
    if not all(np.isfinite(part).all() for part in result):
        msg = f"the model {file} computes values that are not finite; train or export it anew"
        raise ModelError(msg)
    return network


def _check_name(name: str, *, overwrite: bool) -> None:
    if not _NAME.fullmatch(name) or name.endswith(_SUFFIX):
        msg = (
            f"a model cannot be called {name!r}; give a name of letters, digits, '-', '_', '+' and "
            "'.', without .onnx"
        )
        raise SettingsError(msg)
    if (package_data.folder("models") / f"{name}{_SUFFIX}").exists():
        msg = f"{name} is the name of a model that comes with cnnmetric; give another name"
        raise SettingsError(msg)
    there = package_data.user_models() / f"{name}{_SUFFIX}"
    if there.exists() and not overwrite:
        msg = f"there is a model {there}; give another name, or say overwrite=True (--overwrite)"
        raise SettingsError(msg)


def _opened(file: Path, *, shipped: bool) -> InstalledModel:
    facts: dict[str, Any] = {"name": file.stem, "path": file, "shipped": shipped}
    try:
        network = DissimilarityNetwork(file, device="cpu", number_of_threads=1)
    except CNNMetricError as error:
        return InstalledModel(**facts, problem=str(error))
    return InstalledModel(
        **facts,
        modalities=network.modalities,
        dimension=network.dimension,
        spacing_mm=network.spacing,
        receptive_field=network.receptive_field,
        score=_score(file.with_suffix(_RECORD)),
    )


def _score(record: Path) -> str:
    """Return what a run record says of the model, in a line."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(found, dict):
        return ""
    score = found.get("score", "")
    return score if isinstance(score, str) else ""
