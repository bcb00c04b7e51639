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

import importlib
import sys
from typing import TYPE_CHECKING
from typing import Any

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import ModelError
from cnnmetric.errors import RegistrationError
from cnnmetric.errors import SettingsError
from cnnmetric.plugin.start import start
from cnnmetric.registration import parameter_files

_COMMAND = sys.modules.get("cnnmetric_command")


def _is_command() -> bool:
    """Tell whether Python was started as ``cnnmetric`` or as ``python -m cnnmetric...``.

    A command answers what it can without ITK, such as ``--help``, and loads it when it begins to
    work. The doctor has to come up where the checks fail or loading crashes, and then does both
    itself, step by step.
    """
    if getattr(_COMMAND, "started", False):
        return True
    if sys.argv[:1] != ["-m"]:
        return False
    # As long as packages are imported for `-m`, argv is "-m" and what follows the module's name.
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    return module == "cnnmetric" or module.startswith("cnnmetric.")


# True while the names below are not there yet, in a command.
_deferred = not globals().get("_deferred", False) and _is_command()

if TYPE_CHECKING or not _deferred:
    start()

    from cnnmetric.files.points.formats import read_points
    from cnnmetric.files.points.formats import write_points
    from cnnmetric.files.points.point_set import PointSet
    from cnnmetric.metric.itkv4 import CNNImageToImageMetricv4
    from cnnmetric.metric.maps import Maps
    from cnnmetric.metric.network import DissimilarityNetwork
    from cnnmetric.metric.network import MapAndGradient
    from cnnmetric.metric.on_images import MetricOnImages
    from cnnmetric.plugin import loading
    from cnnmetric.plugin.iteration import Iteration
    from cnnmetric.plugin.iteration import on_iteration
    from cnnmetric.registration.cohort.run import Cohort
    from cnnmetric.registration.cohort.run import register_cohort
    from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
    from cnnmetric.registration.field import register_displacement_field
    from cnnmetric.registration.field_level import FieldLevel
    from cnnmetric.registration.register import register
    from cnnmetric.registration.result import RegistrationResult
    from cnnmetric.registration.saved import load_transform
    from cnnmetric.registration.spatial_transform import Jacobian
    from cnnmetric.registration.spatial_transform import SpatialTransform
    from cnnmetric.registration.stage import Stage

    __version__ = loading.version()
else:

    def __getattr__(name: str) -> Any:
        """Load what a command has deferred, at the first name that is asked for."""
        if not _deferred or name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        importlib.reload(sys.modules[__name__])  # runs this file again, now to the end
        return globals()[name]


__all__ = [
    "CNNImageToImageMetricv4",
    "CNNMetricError",
    "Cohort",
    "CompatibilityError",
    "DataError",
    "DiscreteSearch",
    "DissimilarityNetwork",
    "FieldLevel",
    "Iteration",
    "Jacobian",
    "MapAndGradient",
    "Maps",
    "MetricError",
    "MetricOnImages",
    "ModelError",
    "PointSet",
    "RegistrationError",
    "RegistrationResult",
    "SettingsError",
    "SpatialTransform",
    "Stage",
    "__version__",
    "load_transform",
    "on_iteration",
    "parameter_files",
    "read_points",
    "register",
    "register_cohort",
    "register_displacement_field",
    "write_points",
]
