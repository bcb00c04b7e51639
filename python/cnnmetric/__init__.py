# SPDX-License-Identifier: Apache-2.0
"""A learned similarity metric for multimodal image registration, inside stock elastix.

>>> import cnnmetric
>>> result = cnnmetric.register("subject1_T1.nii.gz", "subject2_T2.nii.gz", fixed_modality="T1")
>>> result.save("out/")

Importing this package also puts the metric of Simonovsky et al. 2016, "A Deep Metric for Multimodal
Registration", into the elastix of the installed itk-elastix wheel, so that every parameter file of
``itk.elastix_registration_method`` may say ``(Metric "CNNMetric")``.
"""

from __future__ import annotations

import sys

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import ModelError
from cnnmetric.errors import RegistrationError
from cnnmetric.errors import SettingsError
from cnnmetric.plugin import compatibility
from cnnmetric.registration import parameter_files


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

    from cnnmetric.metric.itkv4 import CNNImageToImageMetricv4
    from cnnmetric.metric.maps import Maps
    from cnnmetric.metric.network import DissimilarityNetwork
    from cnnmetric.metric.network import MapAndGradient
    from cnnmetric.metric.on_images import MetricOnImages
    from cnnmetric.plugin import loading
    from cnnmetric.plugin.iteration import Iteration
    from cnnmetric.plugin.iteration import on_iteration
    from cnnmetric.registration.field import register_displacement_field
    from cnnmetric.registration.field_level import FieldLevel
    from cnnmetric.registration.register import register
    from cnnmetric.registration.result import RegistrationResult
    from cnnmetric.registration.spatial_transform import Jacobian
    from cnnmetric.registration.spatial_transform import SpatialTransform
    from cnnmetric.registration.stage import Stage

    __version__ = loading.version()

    loading.register()

__all__ = [
    "CNNImageToImageMetricv4",
    "CNNMetricError",
    "CompatibilityError",
    "DataError",
    "DissimilarityNetwork",
    "FieldLevel",
    "Iteration",
    "Jacobian",
    "MapAndGradient",
    "Maps",
    "MetricError",
    "MetricOnImages",
    "ModelError",
    "RegistrationError",
    "RegistrationResult",
    "SettingsError",
    "SpatialTransform",
    "Stage",
    "__version__",
    "on_iteration",
    "parameter_files",
    "register",
    "register_displacement_field",
]
