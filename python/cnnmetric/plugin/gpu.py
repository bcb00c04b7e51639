# SPDX-License-Identifier: Apache-2.0
"""Say once that a GPU is there and the metric runs on the CPU."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from cnnmetric.plugin import compatibility

_FALLBACK = re.compile(r'"auto": no usable CUDA device: (.*)\)\.?$', re.DOTALL)
_warned = False


def is_here(system: Path = Path("/")) -> bool:
    """Tell whether a driver for an NVIDIA GPU is loaded, and nobody hides the GPU from us.

    Parameters
    ----------
    system
        Folder that holds ``dev``.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    # The second is Windows' own driver, as Linux inside of Windows sees it.
    files = (*system.glob("dev/nvidia[0-9]*"), *system.glob("usr/lib/wsl/lib/libcuda.so.1"))
    return bool(files) and not hidden


def warn_of_fallback(device_report: str, *, gpu: bool | None = None) -> None:
    """Warn, once a process, if a device was chosen that is not the GPU that is there.

    Nobody is warned who installed the ONNX Runtime that has no GPU support.

    Parameters
    ----------
    device_report
        What a network says of its device.
    gpu
        Whether there is a GPU; by default :func:`is_here`.
    """
    global _warned
    reason = _FALLBACK.search(device_report)
    if _warned or not reason or not (is_here() if gpu is None else gpu):
        return
    if compatibility.installed_version("onnxruntime-gpu") is None:
        return
    _warned = True
    warnings.warn(
        "There is a GPU, but the metric runs on the CPU, which takes many times longer: "
        f"{reason[1]} (`python -m cnnmetric.doctor` says what to do.)",
        RuntimeWarning,
        stacklevel=3,
    )
