# SPDX-License-Identifier: Apache-2.0
"""Load the two compiled libraries: each once, under a lock, after a look at the class layout.

``core`` is the library for elastix and arrays, loaded as soon as the package is imported;
:func:`load_itkv4` loads that for ITKv4, which few need. All other modules take them from here,
because the order matters: `itk` loads its own libraries when they are first touched, and ours are
linked against them. Loaded by ours, they do not find ITK's other libraries, and the process hangs
when it ends.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import itk

from cnnmetric.errors import CompatibilityError
from cnnmetric.plugin import compatibility
from cnnmetric.plugin import failures
from cnnmetric.plugin import installation
from cnnmetric.plugin import iteration
from cnnmetric.plugin import package_data
from cnnmetric.plugin import shared_metric

_ = itk.ParameterObject  # loads elastix's library, before ours

try:
    from cnnmetric import _core as core
except ImportError as error:
    message = (
        f"The compiled part of cnnmetric could not be loaded: {error}. It has to be built and "
        f"installed in the same environment as itk-elastix. {installation.reinstall()}"
    )
    raise CompatibilityError(message) from error

__all__ = ["core", "load_itkv4", "register", "version"]

_lock = threading.Lock()
_registered = False
_itkv4_library: ModuleType | None = None


def version() -> str:
    """Return the version that is compiled into the plugin."""
    return str(core.__version__)


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
        problem = core.probe_layout()
        if problem:
            itk_elastix = compatibility.ITK_ELASTIX
            msg = (
                "The installed itk-elastix was built differently from what the plugin was compiled "
                f"for ({problem}). {compatibility.remedy(itk_elastix)} --force-reinstall"
            )
            raise CompatibilityError(msg)
        core.use_onnxruntime(str(compatibility.onnxruntime_library()))
        find_models_in(package_data.model_folders())
        core.install()
        core.set_iteration_callback(iteration.report)
        failures.install(
            core.take_last_error,
            core.take_interruption,
            frozenset(core.parameter_names()),
        )
        _registered = True


def find_models_in(folders: Sequence[Path]) -> None:
    """Have models found by name in these folders, the first of which goes before the others."""
    core.set_model_directories([str(folder) for folder in folders])


def load_itkv4() -> ModuleType:
    """Load the compiled part for ITKv4, which few need, when it is first needed.

    Raises
    ------
    CompatibilityError
        If it is missing, or the wheel's classes do not have the layout that it was compiled for.
    """
    global _itkv4_library
    with _lock:
        if _itkv4_library is None:
            # ITK's own library, before ours.
            methods = {
                class_: parameters[:2]
                for parameters, class_ in itk.ImageRegistrationMethodv4.items()
            }
            image = itk.Image[itk.F, 3]
            of_the_wheel = itk.MeanSquaresImageToImageMetricv4[image, image].New()
            try:
                from cnnmetric import _itkv4
            except ImportError as error:
                msg = (
                    f"The compiled part for ITKv4 could not be loaded: {error}. "
                    f"{installation.reinstall()}"
                )
                raise CompatibilityError(msg) from error

            problem = _itkv4.probe_layout(of_the_wheel)
            if problem:
                msg = (
                    "The installed itk was built differently from what cnnmetric was compiled for "
                    f"({problem}). {compatibility.remedy(compatibility.ITK)} --force-reinstall"
                )
                raise CompatibilityError(msg)
            _itkv4.use_onnxruntime(str(compatibility.onnxruntime_library()))
            for method, image_types in methods.items():
                failures.explain(
                    method,
                    _itkv4.take_last_error,
                    _itkv4.take_interruption,
                    functools.partial(shared_metric.check_images, image_types=image_types),
                    shared_metric.turn_of,
                )
            _itkv4_library = _itkv4
        return _itkv4_library
