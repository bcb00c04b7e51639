# SPDX-License-Identifier: Apache-2.0
"""The example of the README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import itk
import numpy as np
import pytest

from support.metric_images import subject

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "warped.nii.gz",
    "transform.h5",
    "displacement.nii.gz",
    "deformation.nii.gz",
    "TransformParameters.0.txt",
    "TransformParameters.1.txt",
    "TransformParameters.2.txt",
    "log.json",
}


def test_the_first_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    assert "cnnmetric.register(" in example
    for number, modality in ((1, "T1"), (2, "T2")):
        image = subject(modality, size=(24, 26, 22), spacing=(1.9,) * 3, angle=0.1 * number)
        itk.imwrite(image, str(tmp_path / f"subject{number}_{modality}.nii.gz"))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    warped = itk.imread(str(tmp_path / "out" / "warped.nii.gz"), itk.F)
    fixed = itk.imread(str(tmp_path / "subject1_T1.nii.gz"), itk.F)
    assert itk.size(warped) == itk.size(fixed)
    np.testing.assert_allclose(np.asarray(warped.GetOrigin()), np.asarray(fixed.GetOrigin()))
