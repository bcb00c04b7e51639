# SPDX-License-Identifier: Apache-2.0
"""Bring the metric into the elastix of this process."""

from __future__ import annotations

from cnnmetric.plugin import compatibility


def start() -> None:
    """Check the versions, load ITK and the plugin, and register the metric; again is no harm.

    Raises
    ------
    CompatibilityError
        If something is missing or does not fit.
    MetricError
        If ONNX Runtime cannot be loaded.
    """
    # Before anything else is loaded: with other versions, loading itself could crash.
    compatibility.check()
    from cnnmetric.plugin import loading

    loading.register()
