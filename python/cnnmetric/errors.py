# SPDX-License-Identifier: Apache-2.0
"""Every error that cnnmetric raises on purpose; each message says what to do next."""

from __future__ import annotations


class CNNMetricError(Exception):
    """Base class of all errors raised by cnnmetric."""


class CompatibilityError(CNNMetricError, ImportError):
    """An installed package (itk, itk-elastix, onnxruntime) or the platform does not match."""


class ModelError(CNNMetricError, ValueError):
    """A model file is missing, damaged, not ours, or of a newer format."""


class DataError(CNNMetricError, ValueError):
    """An image, label map or table given by the user cannot be used."""


class SettingsError(CNNMetricError, ValueError):
    """A setting is out of range or contradicts another one."""


class RegistrationError(CNNMetricError, RuntimeError):
    """A registration failed, by itself or in another program; the text is the reason it gave."""


class MetricError(CNNMetricError, RuntimeError):
    """The metric failed inside a registration; the text is the metric's own."""
