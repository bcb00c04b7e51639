# SPDX-License-Identifier: Apache-2.0
"""Say why a registration failed.

elastix catches every exception, writes it to its log and tells Python "Internal elastix error: See
elastix log". So that the reason is not lost, the two methods that start a registration are wrapped:
where the metric has left a reason, it is raised as `MetricError`. The wrapper is also the place
where mistyped parameter names are found, which elastix ignores in silence.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import itk

from cnnmetric.errors import MetricError

ParameterMap = Mapping[str, Sequence[str]]

_METHODS = ("Update", "UpdateLargestPossibleRegion")


def install(take_last_error: Callable[[], str | None], parameter_names: frozenset[str]) -> None:
    """Wrap ``itk.ElastixRegistrationMethod`` for all image types.

    Parameters
    ----------
    take_last_error
        Returns, and forgets, the last failure of a metric in the calling thread.
    parameter_names
        The ``CNNMetric...`` parameters there are.
    """
    for registration_class in set(itk.ElastixRegistrationMethod.values()):
        for name in _METHODS:
            method = getattr(registration_class, name)
            wrapped = _wrap(method, take_last_error, parameter_names)
            setattr(registration_class, name, wrapped)


def _wrap(
    method: Callable[..., Any],
    take_last_error: Callable[[], str | None],
    parameter_names: frozenset[str],
) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        maps = _parameter_maps(self)
        check_parameter_names(maps, parameter_names)
        check_dimension(maps, self.GetInput().GetImageDimension())
        take_last_error()  # whatever an earlier registration left
        try:
            return method(self, *args, **kwargs)
        except RuntimeError as error:
            reason = take_last_error()
            if reason is None:
                raise
            raise MetricError(reason) from error

    return wrapper


def _parameter_maps(registration: Any) -> list[ParameterMap]:
    parameter_object = registration.GetParameterObject()
    if parameter_object is None:
        return []
    number = parameter_object.GetNumberOfParameterMaps()
    return [dict(parameter_object.GetParameterMap(index)) for index in range(number)]


def check_dimension(maps: Iterable[ParameterMap], dimension: int) -> None:
    """Refuse images that no model can compare.

    Parameters
    ----------
    maps
        The parameter maps of the registration.
    dimension
        Of the images.

    Raises
    ------
    MetricError
        If one of the maps asks for the metric and the images are neither 2D nor 3D.
    """
    if dimension not in (2, 3) and any("CNNMetric" in map_.get("Metric", ()) for map_ in maps):
        msg = (
            f"CNNMetric compares 2D or 3D images; these are {dimension}D. Register the volumes of "
            "a series one by one."
        )
        raise MetricError(msg)


def check_parameter_names(maps: Iterable[Iterable[str]], known: frozenset[str]) -> None:
    """Refuse ``CNNMetric...`` parameters that do not exist.

    Parameters
    ----------
    maps
        Names of the parameters, one collection for each parameter map.
    known
        The names there are. In a multi-metric registration each may carry the label of a metric
        in front, as in ``Metric1CNNMetricModel``.

    Raises
    ------
    MetricError
        Naming the unknown parameter, its parameter map and the parameters there are.
    """
    for index, names in enumerate(maps):
        for name in names:
            match = re.fullmatch(r"(?:Metric\d*)?(CNNMetric\w*)", name)
            if match and match[1] not in known:
                msg = (
                    f"Parameter map {index} has a parameter {name!r}, which does not exist. "
                    f"There are: {', '.join(sorted(known))}."
                )
                raise MetricError(msg)
