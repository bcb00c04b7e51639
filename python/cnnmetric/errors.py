# SPDX-License-Identifier: Apache-2.0
"""Every error that cnnmetric raises on purpose; each message says what to do next."""

from __future__ import annotations

from typing import Any
from typing import NoReturn


class CNNMetricError(Exception):
    """Base class of all errors raised by cnnmetric."""


class CompatibilityError(CNNMetricError, ImportError):
    """A package is missing, or an installed one or the platform does not match."""


class ModelError(CNNMetricError, ValueError):
    """A model file is missing, damaged, not ours, or of a newer format."""


class DataError(CNNMetricError, ValueError):
    """What is read cannot be used: an image, a label map, a table or another file.

    It is missing, damaged, of another form, or does not fit the other data. The file has to be
    changed, not the call.
    """


class SettingsError(CNNMetricError, ValueError):
    """What is asked for cannot be done: the value of an argument or option is wrong.

    It is out of bounds, is none of the choices, contradicts another argument, or differs from that
    of the run to be continued. The call has to be changed, not the data.
    """


class RegistrationError(CNNMetricError, RuntimeError):
    """A registration failed, by itself or in another program; the text is the reason it gave."""


class MetricError(CNNMetricError, RuntimeError):
    """The metric failed inside a registration; the text is the metric's own."""


def refuse(name: str, value: Any, right: str) -> NoReturn:
    """Raise the error of an argument.

    Parameters
    ----------
    name
        Of the argument.
    value
        What it is.
    right
        What it must be.

    Raises
    ------
    SettingsError
        Always.
    """
    shown = repr(value)
    if len(shown) > 60:
        shown = f"{shown[:60]}..."
    msg = f"{name} is {shown} ({type(value).__name__}) but must be {right}"
    raise SettingsError(msg)
