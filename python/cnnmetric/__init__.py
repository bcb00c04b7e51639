# SPDX-License-Identifier: Apache-2.0
"""A learned similarity metric for multimodal image registration, inside stock elastix.

Importing this package registers the metric of Simonovsky et al. 2016, "A Deep Metric for Multimodal
Registration", in the elastix of the installed itk-elastix wheel. After that

>>> import itk
>>> import cnnmetric
>>> parameters = itk.ParameterObject.New()
>>> parameters.AddParameterFile(str(cnnmetric.parameter_files.path("cnn_similarity")))
>>> parameters.AddParameterFile(str(cnnmetric.parameter_files.path("cnn_bspline")))

is a parameter object for ``itk.elastix_registration_method`` with ``(Metric "CNNMetric")`` in it.
"""

from __future__ import annotations

from cnnmetric import compatibility

# Before anything else is loaded: with other versions, loading itself could crash.
compatibility.check()

from cnnmetric import _plugin  # noqa: E402
from cnnmetric import parameter_files  # noqa: E402
from cnnmetric.errors import CNNMetricError  # noqa: E402
from cnnmetric.errors import CompatibilityError  # noqa: E402
from cnnmetric.errors import DataError  # noqa: E402
from cnnmetric.errors import MetricError  # noqa: E402
from cnnmetric.errors import ModelError  # noqa: E402
from cnnmetric.errors import SettingsError  # noqa: E402
from cnnmetric.metric_on_images import MetricOnImages  # noqa: E402

__version__ = _plugin.version()

_plugin.register()

__all__ = [
    "CNNMetricError",
    "CompatibilityError",
    "DataError",
    "MetricError",
    "MetricOnImages",
    "ModelError",
    "SettingsError",
    "__version__",
    "parameter_files",
]
