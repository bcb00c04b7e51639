# SPDX-License-Identifier: Apache-2.0
"""What is in `examples/` runs as it stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import itk
import nbformat
import numpy as np
import pytest

import cnnmetric
from make_pair import make_pair

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def test_notebooks_are_committed_without_outputs() -> None:
    assert NOTEBOOKS
    for file in NOTEBOOKS:
        cells = nbformat.read(file, as_version=4).cells
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs_top_to_bottom(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    package = Path(cnnmetric.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(package))  # of the kernel
    notebook = nbformat.read(folder / file.name, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    mean = printed.partition("mean: ")[2].splitlines()[0]
    before, after = map(float, mean.split(" -> "))
    assert after > before + 0.1


@pytest.mark.slow
def test_the_parameter_file_runs_after_an_affine_transform(tmp_path: Path) -> None:
    make_pair(tmp_path, voxel_size=4.0)
    fixed = itk.imread(str(tmp_path / "subject1_T1.nii.gz"), itk.F)
    moving = itk.imread(str(tmp_path / "subject2_T2.nii.gz"), itk.F)
    affine = cnnmetric.register(fixed, moving, fixed_modality="T1", deformation="affine")
    parameters = itk.ParameterObject.New()
    parameters.AddParameterFile(str(EXAMPLES / "bspline_brain.txt"))
    parameters.SetParameter(0, "MaximumNumberOfIterations", "5")  # each is as dear as the others
    # Of a file that was made for another metric: the number of samples means something else here.
    with pytest.warns(UserWarning, match="counts patches here"):
        warped, _ = itk.elastix_registration_method(
            fixed, affine.warped, parameter_object=parameters, log_to_console=False
        )
    assert itk.size(warped) == itk.size(fixed)
    assert np.isfinite(itk.array_view_from_image(warped)).all()
