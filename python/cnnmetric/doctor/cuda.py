# SPDX-License-Identifier: Apache-2.0
"""Which CUDA the installed ONNX Runtime needs, and which the driver of the GPU offers."""

from __future__ import annotations

import ctypes
import importlib


def needed() -> str:
    """Return the version that ONNX Runtime was built for; empty if for none."""
    try:
        built = importlib.import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        return ""
    return str(getattr(built, "cuda_version", "") or "")


def of_driver() -> str:
    """Return the newest version that the driver can run; empty if there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
