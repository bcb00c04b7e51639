# SPDX-License-Identifier: Apache-2.0
"""Load what cases need once, before the first fork."""

from __future__ import annotations

import itk
import onnx  # noqa: F401

import cnnmetric  # noqa: F401
from cnnmetric.plugin import loading


def warm_up() -> None:
    """Load the libraries that ITK and the package load late; none of them starts threads."""
    loading.load_itkv4()
    for name in (
        "CastImageFilter",
        "ElastixRegistrationMethod",
        "ImageFileReader",
        "ImageFileWriter",
        "ResampleImageFilter",
        "TransformFileReaderTemplate",
    ):
        getattr(itk, name)
