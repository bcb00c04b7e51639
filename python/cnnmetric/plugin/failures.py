# SPDX-License-Identifier: Apache-2.0
"""Say why a registration failed.

elastix catches every exception, writes it to its log and tells Python "Internal elastix error: See
elastix log". So that the reason is not lost, the two methods that start a registration are wrapped:
where the metric has left a reason, it is raised as `MetricError`; where Python itself has stopped
the registration (Ctrl-C, or a callback of `cnnmetric.on_iteration`), its own exception is. Of
elastix's own failures the reason is in its log alone: one that comes at once, as those of
parameters do, is repeated with a log, unless there is one. The wrapper is also the place where
parameters are checked that elastix ignores in silence or crashes at: mistyped names, components
that it does not have, values of the wrong number, and texts that are no number. And ITK gets its
numbers of threads back here.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextlib import nullcontext
from typing import Any

import itk

from cnnmetric.errors import MetricError
from cnnmetric.plugin import global_threads
from cnnmetric.plugin.components import ParameterMap
from cnnmetric.plugin.components import check_components
from cnnmetric.plugin.components import check_samplers
from cnnmetric.plugin.components import check_threads
from cnnmetric.plugin.components import uses_the_metric
from cnnmetric.plugin.components import with_the_metric
from cnnmetric.plugin.elastix_log import reason_of
from cnnmetric.plugin.parameter_values import check_numbers
from cnnmetric.plugin.parameter_values import check_pixel_types

_METHODS = ("Update", "UpdateLargestPossibleRegion")
_OURS = re.compile(r"(?:Metric\d*)?(CNNMetric\w*)")
_ELASTIX_RESOLUTIONS = 3  # where a parameter map does not say
# What fails sooner is done again, to learn why.
_SOON = 10.0  # seconds


def install(
    take_last_error: Callable[[], str | None],
    take_interruption: Callable[[], BaseException | None],
    parameter_names: frozenset[str],
) -> None:
    """Wrap ``itk.ElastixRegistrationMethod`` for all image types.

    Parameters
    ----------
    take_last_error, take_interruption
        See :func:`explain`.
    parameter_names
        The ``CNNMetric...`` parameters there are.
    """

    def check(registration: Any) -> None:
        maps = _parameter_maps(registration)
        check_parameter_names(maps, parameter_names)
        # Of the output: with several fixed images, GetInput() asks for an index.
        dimension = registration.GetOutput().GetImageDimension()
        check_dimension(maps, dimension)
        check_numbers(maps)
        check_pixel_types(maps, dimension)
        check_components(maps)
        check_samplers(maps)
        check_threads(maps, registration.GetNumberOfThreads())
        check_numbers_of_values(maps)

    def reason_of_elastix(registration: Any, repeat: Callable[[], object]) -> str | None:
        if not any(map(uses_the_metric, _parameter_maps(registration))):
            return None
        return reason_of(registration, repeat)

    for registration_class in set(itk.ElastixRegistrationMethod.values()):
        explain(
            registration_class,
            take_last_error,
            take_interruption,
            check,
            turn_of=lambda _: global_threads.kept(),
            reason_of_others=reason_of_elastix,
        )


def explain(
    registration_class: Any,
    take_last_error: Callable[[], str | None],
    take_interruption: Callable[[], BaseException | None],
    check: Callable[[Any], None] = lambda _: None,
    turn_of: Callable[[Any], AbstractContextManager[Any]] = lambda _: nullcontext(),
    reason_of_others: Callable[[Any, Callable[[], object]], str | None] = lambda *_: None,
) -> None:
    """Make the methods of a class that start a registration raise the reason of a failure.

    Parameters
    ----------
    registration_class
        Of ITK; its methods are replaced.
    take_last_error
        Returns, and forgets, the last failure of a metric in the calling thread.
    take_interruption
        Returns, and forgets, the exception with which Python has stopped a registration there.
    check
        Called with the object before the registration starts; may raise.
    turn_of
        Called with the object; the registration runs inside of what it returns.
    reason_of_others
        Called with the object, and with what registers once more, after a failure that came soon
        and is not the metric's; returns its reason, or None.
    """

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            def run() -> Any:
                with turn_of(self):
                    return method(self, *args, **kwargs)

            check(self)
            # Whatever an earlier registration of this thread left.
            take_last_error()
            take_interruption()
            started = time.perf_counter()
            try:
                return run()
            except RuntimeError as error:
                soon = time.perf_counter() - started < _SOON
                interruption, reason = take_interruption(), take_last_error()
                others = None
                if soon and interruption is None and reason is None:
                    others = reason_of_others(self, run)
                    interruption = take_interruption()
                if interruption is not None:
                    raise interruption from None
                if reason is not None:
                    raise MetricError(reason) from error
                if others is None:
                    raise
                msg = f"Internal elastix error, of which its log says: {others}"
                raise RuntimeError(msg) from error

        return wrapper

    for name in _METHODS:
        setattr(registration_class, name, wrap(getattr(registration_class, name)))


def _parameter_maps(registration: Any) -> list[ParameterMap]:
    parameter_object = registration.GetParameterObject()
    if parameter_object is None:
        return []
    number = parameter_object.GetNumberOfParameterMaps()
    # Of the items, because a name that is no UTF-8 finds nothing when it is looked up.
    return [dict(parameter_object.GetParameterMap(index).items()) for index in range(number)]


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
    if dimension not in (2, 3) and any(map(uses_the_metric, maps)):
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
            match = _OURS.fullmatch(name)
            if match and match[1] not in known:
                msg = (
                    f"Parameter map {index} has a parameter {name!r}, which does not exist. "
                    f"There are: {', '.join(sorted(known))}."
                )
                raise MetricError(msg)


def check_numbers_of_values(maps: Iterable[ParameterMap]) -> None:
    """Refuse parameters of ours with a number of values that is neither one nor that of the levels.

    elastix gives a level without a value the first one, and ignores values beyond the last level. A
    parameter without any value counts as not given.

    Parameters
    ----------
    maps
        The parameter maps of the registration; those without CNNMetric are not looked at.

    Raises
    ------
    MetricError
        Naming the parameter, its parameter map and both numbers.
    """
    for index, map_ in with_the_metric(maps):
        resolutions = list(map_.get("NumberOfResolutions", ())) or [str(_ELASTIX_RESOLUTIONS)]
        if not resolutions[0].isdecimal():
            continue  # elastix's to refuse
        levels = int(resolutions[0])
        for name, values in map_.items():
            if _OURS.fullmatch(name) and len(values) not in (0, 1, levels):  # none: the default
                msg = (
                    f"Parameter map {index} has {len(values)} values of {name}, but "
                    f"NumberOfResolutions is {levels}. Give one value for all levels, or one for "
                    "each."
                )
                raise MetricError(msg)
