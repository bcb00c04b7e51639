# SPDX-License-Identifier: Apache-2.0
"""Follow an elastix registration while it runs."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Iteration:
    """One finished iteration of a registration with CNNMetric.

    Attributes
    ----------
    level
        Resolution level, 0 for the coarsest.
    number
        Iteration within the level, from 0.
    value
        The metric's value, over the patches that were used in this iteration.
    step_size
        The optimizer's own measure of its step: gain, learning rate or step length; NaN for
        optimizers that have none.
    stage
        Of :func:`cnnmetric.register`, for example ``"similarity"``; empty elsewhere.
    stage_number, stages
        Number of the stage, from 0, and how many there are; 0 stages outside of
        :func:`cnnmetric.register`.
    levels
        How many levels the stage has; 0 where that is not known.
    iterations
        The most iterations that the level may have; 0 where that is not known.
    metric
        What the value is: the mean dissimilarity of patches, which has no unit. Less is more alike.
    """

    level: int
    number: int
    value: float
    step_size: float
    stage: str = ""
    stage_number: int = 0
    stages: int = 0
    levels: int = 0
    iterations: int = 0
    metric: str = "dissimilarity"


Callback = Callable[[Iteration], object]

# A context variable is one per thread: registrations in other threads are not followed.
_callback: ContextVar[Callback | None] = ContextVar("cnnmetric_iteration_callback", default=None)


@contextmanager
def on_iteration(callback: Callback) -> Iterator[None]:
    """Call a function after every iteration of the elastix registrations inside the ``with`` block.

    Parameters
    ----------
    callback
        Called with an :class:`Iteration`, in the thread that registers; once for each CNNMetric of
        a multi-metric registration. An exception that it raises stops the registration and is
        raised by the call that started it.

    Examples
    --------
    >>> with cnnmetric.on_iteration(print):
    ...     itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
    Iteration(level=0, number=0, value=-0.21, step_size=3.4, ...)
    ...
    """
    token = _callback.set(callback)
    try:
        yield
    finally:
        _callback.reset(token)


def current_callback() -> Callback | None:
    """Return the function that follows registrations of this thread, if there is one."""
    return _callback.get()


def report(level: int, number: int, value: float, step_size: float) -> None:
    """Pass an iteration on to the callback of this thread, if there is one."""
    callback = _callback.get()
    if callback is not None:
        callback(Iteration(level, number, value, step_size))
