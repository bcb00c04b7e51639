# SPDX-License-Identifier: Apache-2.0
"""The checks that may crash; the doctor runs this module in a process of its own.

``python -m cnnmetric.doctor.tasks TASK ...`` does the tasks in turn and writes a line of JSON as
soon as each is done, so that the parent knows which one a crash belongs to. A task is a name of
`TASKS`, with its argument after an ``=``.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnmetric.errors import ModelError

# Libraries print to the same stream; the lines with this in front are ours.
MARK = "cnnmetric-probe:"


@functools.cache
def plugin(_: str = "") -> dict[str, Any]:
    """Load the plugin into elastix as ``import cnnmetric`` does."""
    from cnnmetric.plugin import loading

    loading.register()
    return {
        "version": loading.version(),
        "itk": loading.core.itk_version,
        "elastix": loading.core.elastix_version,
        "onnxruntime": loading.core.onnxruntime_version(),
    }


def itkv4(_: str) -> dict[str, Any]:
    """Load what ITKv4's registration framework uses."""
    plugin()
    from cnnmetric.plugin.loading import load_itkv4

    load_itkv4()
    return {}


def model(path: str, device: str = "cpu") -> dict[str, Any]:
    """Open a model and evaluate one patch."""
    plugin()
    import numpy as np

    from cnnmetric.metric.network import DissimilarityNetwork

    network = DissimilarityNetwork(path, device=device)
    # Of other libraries that a device needs, some are loaded as late as this.
    patch = np.zeros((network.receptive_field,) * network.dimension)
    network(patch, patch, normalised=True)
    return {
        "modalities": network.modalities,
        "dimension": network.dimension,
        "spacing_mm": network.spacing,
        "device": network.device_report,
    }


def cuda(folder: str) -> dict[str, Any]:
    """Open the first model that is not damaged on the first GPU, which "auto" would leave out."""
    for path in sorted(Path(folder).glob("*.onnx")):
        try:
            return model(str(path), device="cuda:0")
        except ModelError:
            continue
    msg = "there is no model to try it with"
    raise ModelError(msg)


def providers(_: str) -> dict[str, Any]:
    """Ask ONNX Runtime what it was built for, and the driver what it can run."""
    import onnxruntime

    from cnnmetric.doctor import cuda as versions

    found = onnxruntime.get_available_providers()
    return {
        "providers": found,
        "cuda_needed": versions.needed(),
        "cuda_of_driver": versions.of_driver(),
    }


TASKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "plugin": plugin,
    "itkv4": itkv4,
    "providers": providers,
    "model": model,
    "cuda": cuda,
}


def main(tasks: list[str]) -> None:
    """Do the tasks; a failure is a result like others."""
    for task in tasks:
        name, _, argument = task.partition("=")
        try:
            result = {"ok": True, **TASKS[name](argument)}
        except Exception as error:
            known = type(error).__module__ == "cnnmetric.errors"
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            result = {"ok": False, "reason": reason}
        print(f"\n{MARK}{json.dumps({'task': task, **result})}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
