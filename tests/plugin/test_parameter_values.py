# SPDX-License-Identifier: Apache-2.0
"""Names of parameters in another encoding, before elastix."""

from __future__ import annotations

from pathlib import Path

import itk
import pytest

import cnnmetric
from support.command import QUICK_FILE
from support.elastix_cases import images
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register


def latin(folder: Path) -> Path:
    """Write a parameter file with a name that is not UTF-8."""
    file = folder / "latin.txt"
    file.write_bytes(QUICK_FILE.encode() + b'(Comment\xe9 "x")\n')
    return file


def test_names_in_another_encoding_are_elastix_own(tmp_path: Path) -> None:
    settings = itk.ParameterObject.New()
    settings.ReadParameterFile(str(latin(tmp_path)))
    settings.SetParameter("Metric", "AdvancedMeanSquares")
    settings.SetParameter("ImageSampler", "Full")
    assert final_parameters(register(*images("float 3D"), settings))


def test_a_stage_in_another_encoding_is_refused(difference_model: Path, tmp_path: Path) -> None:
    with pytest.raises(cnnmetric.DataError, match=r"udce9' holds a text that is not UTF-8"):
        cnnmetric.register(
            *images("float 3D"), model=difference_model, parameters=latin(tmp_path), device="cpu"
        )
