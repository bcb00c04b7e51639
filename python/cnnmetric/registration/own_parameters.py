# SPDX-License-Identifier: Apache-2.0
"""Parameter files of the user, in the place of the stages that come with the package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.plugin.components import uses_the_metric
from cnnmetric.registration import elastix_transforms
from cnnmetric.types import ParameterObject

Maps = list[tuple[str, dict[str, Sequence[str]]]]
"""Names of stages, and elastix's parameter map of each."""

SEED = "RandomSeed"
_MODEL = re.compile(r"(?:Metric\d*)?CNNMetricModel")
_KINDS = (
    "give elastix's parameter files, parameter maps as dictionaries, or an itk.ParameterObject; "
    "several as a list"
)


def read_all(given: Any, *, need_the_metric: bool = True) -> Maps:
    """Return what the user gives as parameter maps, each of them a stage.

    Parameters
    ----------
    given
        A file, a dictionary, an ``itk.ParameterObject``, or a sequence of these. A stage is called
        as its file without the extension, otherwise as its transform.
    need_the_metric
        Whether maps of which none asks for CNNMetric are refused.

    Raises
    ------
    DataError
        If a file is missing or cannot be read, or a text is no UTF-8.
    SettingsError
        If something is of none of these kinds, a value of a dictionary is no text and no number, or
        no map asks for CNNMetric where one has to.
    """
    single = isinstance(given, (str, Path, Mapping, itk.ParameterObject))
    if not single and not isinstance(given, Sequence):
        msg = f"parameters is a {type(given).__name__}; {_KINDS}"
        raise SettingsError(msg)
    maps = [stage for one in ([given] if single else given) for stage in _maps_of(one)]
    for _, values in maps:
        _check_texts(values)
    if need_the_metric and maps and not any(uses_the_metric(values) for _, values in maps):
        msg = (
            'no parameter map has (Metric "CNNMetric"); add it to one of them, or register with '
            "elastix alone (itk.elastix_registration_method)"
        )
        raise SettingsError(msg)
    return maps


def model_of(maps: Maps, default: str) -> str:
    """Return the model that the first of them names; otherwise the default."""
    for _, values in maps:
        for name, value in values.items():
            # Without a value, a parameter counts as not given.
            if value and _MODEL.fullmatch(name) and uses_the_metric(values):
                return value[0]
    return default


def completed(maps: Maps, defaults: Mapping[str, str], *, initial: bool) -> Maps:
    """Return maps that say what they left out.

    Parameters
    ----------
    maps
        Of the user.
    defaults
        Values of ``CNNMetric...`` parameters, for maps that ask for the metric and have none, and
        of ``RandomSeed``, for all maps that have none.
    initial
        Whether there is a transform to start from; elastix would move the centres of the images
        onto each other once more.
    """
    found: Maps = []
    for place, (name, given) in enumerate(maps):
        values = dict(given)
        for key, value in defaults.items():
            pattern = re.compile(rf"(?:Metric\d*)?{key}")
            said = (name for name, texts in values.items() if texts)
            wanted = key == SEED or uses_the_metric(values)
            if wanted and not any(map(pattern.fullmatch, said)):
                values[key] = [value]
        values["WriteResultImage"] = ["false"]
        if initial and place == 0:
            values["AutomaticTransformInitialization"] = ["false"]
        found.append((name, values))
    return found


def as_object(values: Mapping[str, Sequence[str]]) -> ParameterObject:
    """Return a parameter map as elastix takes it."""
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap({name: list(value) for name, value in values.items()})
    return parameters


def _maps_of(given: Any) -> Iterator[tuple[str, dict[str, Sequence[str]]]]:
    if isinstance(given, (str, Path)):
        file = Path(given)
        for read in _read(file):
            yield file.stem, read
    elif isinstance(given, itk.ParameterObject):
        for held in elastix_transforms.parameter_maps(given):
            yield _name(held), dict(held)
    elif isinstance(given, Mapping):
        values = {str(name): _texts(str(name), value) for name, value in given.items()}
        yield _name(values), {**values}
    else:
        msg = f"a {type(given).__name__} is among the parameters; {_KINDS}"
        raise SettingsError(msg)


def _texts(name: str, value: Any) -> list[str]:
    """Return the values of a parameter as elastix has them, of one or of several."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    texts = [_text(one) for one in (value if several else [value])]
    found = [text for text in texts if text is not None]
    if len(found) < len(texts):
        msg = f"the parameter {name} is {value!r}; give a text or a number, or a list of them"
        raise SettingsError(msg)
    return found


def _text(value: Any) -> str | None:
    """Return one value as elastix has it; None of what is no value."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()  # all that elastix takes for true or false
    return str(value) if isinstance(value, (str, Real, PathLike)) else None


def _read(file: Path) -> list[dict[str, Sequence[str]]]:
    if not file.is_file():
        msg = f"there is no parameter file {file}"
        raise DataError(msg)
    parameters = itk.ParameterObject.New()
    try:
        parameters.ReadParameterFile(str(file))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        msg = f"{file} cannot be read as a parameter file of elastix: {reason}"
        raise DataError(msg) from error
    return [dict(values) for values in elastix_transforms.parameter_maps(parameters)]


def _check_texts(values: Mapping[str, Sequence[str]]) -> None:
    """Refuse texts that elastix's wrapping reads and does not take back."""
    for name, texts in values.items():
        for text in (name, *texts):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                msg = (
                    f"the parameter {name!a} holds a text that is not UTF-8, {text!a}; save the "
                    "file in UTF-8"
                )
                raise DataError(msg) from error


def _name(values: Mapping[str, Sequence[str]]) -> str:
    return (values.get("Transform") or ["stage"])[0].removesuffix("Transform").lower()
