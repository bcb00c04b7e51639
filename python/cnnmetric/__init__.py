# SPDX-License-Identifier: Apache-2.0
"""A learned similarity metric for multimodal image registration, inside stock elastix.

Importing this package registers the metric of Simonovsky et al. 2016, "A Deep Metric for Multimodal
Registration", in the elastix of the installed itk-elastix wheel. After that

>>> import itk
>>> import cnnmetric
>>> parameters = itk.ParameterObject.New()
>>> for name in ("cnn_similarity", "cnn_bspline", "cnn_bspline_fine"):
...     parameters.AddParameterFile(str(cnnmetric.parameter_files.path(name)))

is a parameter object for ``itk.elastix_registration_method`` with ``(Metric "CNNMetric")`` in it.
"""

from __future__ import annotations

import sys

from cnnmetric import compatibility
from cnnmetric import parameter_files
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import ModelError
from cnnmetric.errors import SettingsError


def _started_as_doctor() -> bool:
    """Tell whether Python was started as ``python -m cnnmetric.doctor``, or one of its probes.

    Python imports this package before it runs the module. The doctor has to come up where the
    checks fail or loading crashes, and then does both itself, step by step.
    """
    if sys.argv[:1] != ["-m"]:
        return False
    # As long as packages are imported for `-m`, argv is "-m" and what follows the module's name.
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    return module == "cnnmetric.doctor" or module.startswith("cnnmetric.doctor.")


if not _started_as_doctor():
    # Before anything else is loaded: with other versions, loading itself could crash.
    compatibility.check()

    from cnnmetric import _plugin
    from cnnmetric.displacement_field import FieldLevel
    from cnnmetric.displacement_field import register_displacement_field
    from cnnmetric.dissimilarity_network import DissimilarityNetwork
    from cnnmetric.dissimilarity_network import MapAndGradient
    from cnnmetric.iteration import Iteration
    from cnnmetric.iteration import on_iteration
    from cnnmetric.itkv4 import CNNImageToImageMetricv4
    from cnnmetric.maps import Maps
    from cnnmetric.metric_on_images import MetricOnImages

    __version__ = _plugin.version()

    _plugin.register()

__all__ = [
    "CNNImageToImageMetricv4",
    "CNNMetricError",
    "CompatibilityError",
    "DataError",
    "DissimilarityNetwork",
    "FieldLevel",
    "Iteration",
    "MapAndGradient",
    "Maps",
    "MetricError",
    "MetricOnImages",
    "ModelError",
    "SettingsError",
    "__version__",
    "on_iteration",
    "parameter_files",
    "register_displacement_field",
]
