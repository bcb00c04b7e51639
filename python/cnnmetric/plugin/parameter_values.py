# SPDX-License-Identifier: Apache-2.0
"""Values of parameters that elastix refuses in words which help nobody, or follows into nothing.

It names the C++ types that a text cannot be turned into, and its own source files; and it goes on
with NaN and infinity, to a transform that is not finite. The bounds of numbers of ours are the
compiled part's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnnmetric.errors import MetricError
from cnnmetric.plugin.components import ParameterMap
from cnnmetric.plugin.components import with_the_metric

_LARGEST = 2**31 - 1
_WHOLE = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NUMBERS = re.compile(
    r"(?:Metric\d*)?CNNMetric(NumberOfBlocks|BlockSize|NumberOfThreads|GridSpacing)"
)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
# The value of voxels from outside of the moving image.
_MAY_BE_NAN = frozenset({"DefaultPixelValue"})
_PIXEL_TYPES = ("FixedInternalImagePixelType", "MovingInternalImagePixelType")
_DEFAULT_PIXEL_TYPE = "float"


def check_numbers(maps: Iterable[ParameterMap]) -> None:
    """Refuse numbers of ours that are none or that no type holds, and NaN and infinity anywhere.

    Parameters
    ----------
    maps
        The parameter maps of the registration; those without CNNMetric are not looked at.

    Raises
    ------
    MetricError
        Naming the parameter, its value and what it must be.
    """
    for index, map_ in with_the_metric(maps):
        for name, values in map_.items():
            match = _NUMBERS.fullmatch(name)
            endless = [value for value in values if _NOT_FINITE.fullmatch(value)]
            if endless and not match and name not in _MAY_BE_NAN:
                msg = f'Parameter map {index}: {name} is "{endless[0]}" but must be finite.'
                raise MetricError(msg)
            if not match:
                continue
            is_number, right = (
                (_is_real, "a positive number of mm")
                if match[1] == "GridSpacing"
                else (_is_whole, "a whole number")
            )
            for value in values:
                if not is_number(value):
                    msg = f'Parameter map {index}: {name} is "{value}" but must be {right}.'
                    raise MetricError(msg)


def check_pixel_types(maps: Iterable[ParameterMap], dimension: int) -> None:
    """Refuse internal pixel types that elastix is not compiled for, also together.

    Parameters
    ----------
    maps
        The parameter maps of the registration; those without CNNMetric are not looked at.
    dimension
        Of the images.

    Raises
    ------
    MetricError
        Naming the parameters, their values and the types there are.
    """
    known = ("float", "short") if dimension == 3 else ("float",)
    for index, map_ in with_the_metric(maps):
        for name in _PIXEL_TYPES:
            for value in map_.get(name, ())[:1]:  # elastix reads no further
                if value not in known:
                    choices = " or ".join(f'"{one}"' for one in known)
                    msg = (
                        f'Parameter map {index}: {name} is "{value}", but elastix compares '
                        f"{dimension}D images as {choices}."
                    )
                    raise MetricError(msg)
        fixed, moving = ([*map_.get(name, ()), _DEFAULT_PIXEL_TYPE][0] for name in _PIXEL_TYPES)
        if fixed != moving:
            msg = (
                f'Parameter map {index}: {_PIXEL_TYPES[0]} is "{fixed}" and {_PIXEL_TYPES[1]} is '
                f'"{moving}", but elastix compares images of one type alone. Write the same for '
                f'both; what is not given is "{_DEFAULT_PIXEL_TYPE}".'
            )
            raise MetricError(msg)


def _is_whole(value: str) -> bool:
    return _WHOLE.fullmatch(value) is not None and abs(int(value)) <= _LARGEST


def _is_real(value: str) -> bool:
    return _REAL.fullmatch(value) is not None and 0.0 <= abs(float(value)) < float("inf")
