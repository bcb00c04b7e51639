# SPDX-License-Identifier: Apache-2.0
"""Load the compiled plugin into elastix: once, under a lock, after a look at the class layout."""

from __future__ import annotations

import threading

import itk

from cnnmetric import compatibility
from cnnmetric import iteration
from cnnmetric import package_data
from cnnmetric import registration_errors
from cnnmetric.errors import CompatibilityError

# `itk` loads its modules when they are first touched. The plugin is linked against elastix's
# library, which has to be there first: loaded by the plugin, it would not find ITK's other modules,
# and the process would hang when it ends. So nothing above this line may import `_core`.
_ = itk.ParameterObject

try:
    from cnnmetric import _core
except ImportError as error:
    message = (
        f"The compiled part of cnnmetric could not be loaded: {error}. It has to be built and "
        f"installed in the same environment as itk-elastix. {compatibility.REINSTALL}"
    )
    raise CompatibilityError(message) from error

_lock = threading.Lock()
_registered = False


def version() -> str:
    """Return the version that is compiled into the plugin."""
    return str(_core.__version__)


def register() -> None:
    """Make ``(Metric "CNNMetric")`` known to the elastix of this process; again is no harm.

    Raises
    ------
    CompatibilityError
        If the wheel's classes do not have the layout that the plugin was compiled for.
    MetricError
        If ONNX Runtime cannot be loaded.
    """
    global _registered
    with _lock:
        if _registered:
            return
        # Versions can agree and builds still differ; a wrong layout would only show as a crash.
        problem = _core.probe_layout()
        if problem:
            itk_elastix = compatibility.ITK_ELASTIX
            msg = (
                "The installed itk-elastix was built differently from what the plugin was compiled "
                f"for ({problem}). {compatibility.remedy(itk_elastix)} --force-reinstall"
            )
            raise CompatibilityError(msg)
        _core.use_onnxruntime(str(compatibility.onnxruntime_library()))
        _core.set_model_directory(str(package_data.folder("models")))
        _core.install()
        _core.set_iteration_callback(iteration.report)
        registration_errors.install(
            _core.take_last_error,
            _core.take_interruption,
            frozenset(_core.parameter_names()),
        )
        _registered = True
