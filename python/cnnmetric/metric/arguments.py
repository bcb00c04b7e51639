# SPDX-License-Identifier: Apache-2.0
"""Arguments of the metric's classes, checked before they reach the compiled part.

Every function returns the argument in the type that the compiled part takes, or raises a
`SettingsError` that names the argument, what it is and what it must be.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable
from collections.abc import Collection
from numbers import Integral
from numbers import Real
from typing import Any
from typing import SupportsIndex

import numpy as np

from cnnmetric.errors import refuse
from cnnmetric.plugin.loading import core

LARGEST = 2**31 - 1
_NO_NUMBERS = (bool, np.timedelta64)  # though they have the type of one
MOST_THREADS = 1024  # more than a process gets would end it


def whole_number(name: str, value: Any, *, smallest: int, largest: int = LARGEST) -> int:
    """Return a whole number; NumPy's are taken as well."""
    right = f"a whole number of {smallest} to {largest}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, SupportsIndex):
        refuse(name, value, right)
    try:
        number = operator.index(value)
    except TypeError:  # arrays have the method and refuse
        refuse(name, value, right)
    if not smallest <= number <= largest:
        refuse(name, value, right)
    return number


def optional_whole_number(name: str, value: Any) -> int | None:
    """Return a whole number above 0, or None if it is None."""
    return None if value is None else whole_number(name, value, smallest=1)


def threads(value: Any) -> int:
    """Return a number of threads; 0 is that of the processors."""
    return whole_number("number_of_threads", value, smallest=0, largest=MOST_THREADS)


def seed_of(value: Any) -> int:
    """Return the seed of a random generator."""
    return whole_number("seed", value, smallest=0, largest=2**32 - 1)


def device_name(value: Any) -> str:
    """Return the name of a device; the compiled part knows which there are."""
    return text("device", value, right='"auto", "cpu" or "cuda:N"')


def number(name: str, value: Any, *, largest: float = math.inf, unit: str = "") -> float:
    """Return a finite number from 0 to `largest`; NumPy's are taken as well."""
    range_ = f"of at least 0{unit}" if largest == math.inf else f"of 0 to {largest:g}{unit}"
    right = f"a finite number {range_}"
    if isinstance(value, bool | np.bool_ | str | bytes | complex) or not hasattr(
        value, "__float__"
    ):
        refuse(name, value, right)
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        refuse(name, value, right)
    if not (math.isfinite(result) and 0 <= result <= largest):
        refuse(name, value, right)
    return result


def real(name: str, value: Any) -> float:
    """Return a number of any size, NaN as well; whose bounds are checked elsewhere."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Real):
        refuse(name, value, "a number")
    try:
        return float(value)
    except OverflowError:  # a whole number that no double holds
        return math.inf if operator.gt(value, 0) else -math.inf


def whole(name: str, value: Any) -> int:
    """Return a whole number of any size, whose bounds are checked elsewhere."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Integral):
        refuse(name, value, "a whole number")
    return int(value)


def lengths(name: str, values: Any) -> tuple[int, ...]:
    """Return whole numbers, one for each axis."""
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        refuse(name, values, "a sequence of whole numbers")
    try:
        given = list(values)
    except TypeError:  # arrays without an axis have the method and refuse
        refuse(name, values, "a sequence of whole numbers")
    return tuple(whole(f"an axis of {name}", value) for value in given)


def flags(name: str, values: Any) -> tuple[bool, bool]:
    """Return two truth values."""
    if (
        not isinstance(values, tuple | list)
        or len(values) != 2
        or not all(isinstance(value, bool | np.bool_) for value in values)
    ):
        refuse(name, values, "a pair of True or False")
    return bool(values[0]), bool(values[1])


def callback(name: str, value: Any) -> Callable[..., object] | None:
    """Return a function, or None."""
    if value is not None and not callable(value):
        refuse(name, value, "a function, or None")
    found: Callable[..., object] | None = value
    return found


def text(name: str, value: Any, *, right: str) -> str:
    """Return a text that can be encoded, and that does not end for C++ before it ends."""
    if not isinstance(value, str):
        refuse(name, value, right)
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(name, value, f"{right}, in characters of UTF-8")
    if "\0" in value:
        refuse(name, value, f"{right}, without the character of number 0")
    return value


def modality(value: Any) -> str:
    """Return the name of the fixed image's modality; the model knows which there are."""
    return text("fixed_modality", value, right="the name of a modality, or empty")


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Return one of some texts, numbers or None."""
    if not any(type(value) is type(one) and value == one for one in choices):
        *others, last = map(repr, choices)
        refuse(name, value, f"{', '.join(others)} or {last}")
    return value


def numbers(name: str, values: Any) -> list[float]:
    """Return finite numbers."""
    right = "a sequence of finite numbers"
    if isinstance(values, str | bytes):
        refuse(name, values, right)
    try:
        # ITK's arrays are sequences by their items alone.
        given = values if isinstance(values, np.ndarray) else list(values)
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        refuse(name, values, right)
    if found.ndim != 1 or not np.isfinite(found).all():
        refuse(name, values, right)
    result: list[float] = found.tolist()
    return result


def model_file(model: Any) -> str:
    """Return the file of a model.

    Raises
    ------
    SettingsError
        If it is neither a text nor a path.
    ModelError
        If no model of this name is installed.
    """
    name = os.fspath(model) if isinstance(model, os.PathLike) else model
    right = "the name of an installed model or the path of an .onnx file"
    return core.find_model(text("model", name, right=right))


def compiled_settings(
    module: Any,
    *,
    model: Any,
    fixed_modality: Any,
    sampling: str | None,
    number_of_blocks: Any,
    block_size: Any,
    grid_spacing: Any,
    device: Any,
    number_of_threads: Any,
) -> Any:
    """Return the settings of a metric, for one of the two compiled parts.

    Parameters
    ----------
    module
        The compiled part.
    model, fixed_modality, number_of_blocks, block_size, grid_spacing, device, number_of_threads
        As given by the user.
    sampling
        ``"Full"``, ``"Blocks"`` or None; already checked.

    Raises
    ------
    SettingsError
        If one of them is of a wrong type or out of range.
    ModelError
        If no model of this name is installed.
    """
    return module.Settings(
        model=model_file(model),
        fixed_modality=modality(fixed_modality),
        full=None if sampling is None else sampling == "Full",
        number_of_blocks=optional_whole_number("number_of_blocks", number_of_blocks),
        block_size=optional_whole_number("block_size", block_size),
        grid_spacing=number("grid_spacing", grid_spacing, unit=" mm"),
        device=device_name(device),
        number_of_threads=threads(number_of_threads),
    )


def not_copied(given: object, source: str) -> str:
    """Return why an object with a registration's state is not pickled or copied."""
    name = type(given).__name__
    return (
        f"a {name} cannot be pickled or copied, because ITK and ONNX Runtime hold its state; make "
        f"another one {source}, where it is needed"
    )
