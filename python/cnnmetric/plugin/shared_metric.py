# SPDX-License-Identifier: Apache-2.0
"""What registration methods of ITKv4 have to know of our metrics, and ITK does not tell them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from cnnmetric.errors import SettingsError


@dataclass(frozen=True)
class Shared:
    """What belongs to a metric that registration methods and threads share.

    Attributes
    ----------
    image_type
        The images that it compares.
    lock
        Held by whoever uses it. Re-entrant, because observers of a registration may do so.
    """

    image_type: Any
    lock: threading.RLock = field(default_factory=threading.RLock)


# By the address of the C++ object, which a registration may keep longer than Python keeps ours. An
# address that is free again is taken out by the next metric there.
_known: dict[int, Shared] = {}


def share(metric: Any, image_type: Any) -> Shared:
    """Make a metric known to registration methods.

    Parameters
    ----------
    metric
        ITK's wrapper of a metric of ours.
    image_type
        The images that it compares.
    """
    _known[int(metric.this)] = Shared(image_type)
    return _known[int(metric.this)]


def _of(registration: Any) -> Shared | None:
    metric = registration.GetMetric()
    if metric is None or metric.GetNameOfClass() != "CNNImageToImageMetricv4":
        return None
    return _known.get(int(metric.this))


def check_images(registration: Any, image_types: tuple[Any, Any]) -> None:
    """Refuse a metric for other images, with which ITK would crash.

    Parameters
    ----------
    registration
        Of a class of ``itk.ImageRegistrationMethodv4``.
    image_types
        Of its fixed and moving images.

    Raises
    ------
    SettingsError
        If its metric is ours and compares images of another type.
    """
    shared = _of(registration)
    if shared and any(image_type is not shared.image_type for image_type in image_types):
        names = " and ".join(dict.fromkeys(image_type.__name__ for image_type in image_types))
        msg = (
            f"the registration method is for images of type {names}, its metric for "
            f"{shared.image_type.__name__}; give CNNImageToImageMetricv4 the images' dimension, "
            "and cast images and method to itk.F (itk.cast_image_filter)"
        )
        raise SettingsError(msg)


def turn_of(registration: Any) -> contextlib.AbstractContextManager[Any]:
    """Return the lock of a registration's metric, or of nothing if the metric is not ours."""
    shared = _of(registration)
    return contextlib.nullcontext() if shared is None else shared.lock
