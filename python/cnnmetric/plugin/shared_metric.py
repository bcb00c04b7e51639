# SPDX-License-Identifier: Apache-2.0
"""What registration methods of ITKv4 have to know of our metric, which ITK does not check."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import Any

from cnnmetric.errors import SettingsError

_ATTRIBUTE = "metric_of_cnnmetric"


class SharedMetric:
    """A metric that registration methods and threads share.

    Attributes
    ----------
    image_type
        The images that it compares.
    lock
        Held by whoever uses it. Re-entrant, because observers of a registration may do so.
    """

    image_type: Any
    lock: threading.RLock

    def __init__(self, image_type: Any) -> None:
        self.image_type = image_type
        self.lock = threading.RLock()


def check_when_set(method: Any, image_types: tuple[Any, Any]) -> None:
    """Let a registration method refuse a metric for other images, with which ITK would crash.

    Parameters
    ----------
    method
        A class of ``itk.ImageRegistrationMethodv4``; its ``SetMetric`` is replaced.
    image_types
        Of its fixed and moving images.
    """
    set_metric = method.SetMetric

    @functools.wraps(set_metric)
    def wrapper(self: Any, metric: Any) -> None:
        ours = isinstance(metric, SharedMetric)
        if ours and any(image_type is not metric.image_type for image_type in image_types):
            names = " and ".join(dict.fromkeys(image_type.__name__ for image_type in image_types))
            wanted = metric.image_type.__name__
            msg = (
                f"the registration method is for images of type {names}, the metric for {wanted}; "
                "give CNNImageToImageMetricv4 the images' dimension, and cast images and method to "
                "itk.F (itk.cast_image_filter)"
            )
            raise SettingsError(msg)
        set_metric(self, metric)
        setattr(self, _ATTRIBUTE, metric if ours else None)

    method.SetMetric = wrapper


def turn_of(registration: Any) -> contextlib.AbstractContextManager[Any]:
    """Return the lock of a registration's metric, or of nothing if the metric is not ours."""
    metric = getattr(registration, _ATTRIBUTE, None)
    return contextlib.nullcontext() if metric is None else metric.lock
