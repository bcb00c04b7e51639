# SPDX-License-Identifier: Apache-2.0
"""One point, taken from the fixed to the moving image in the convention of every program.

The transform is a formula, so that its truth is known. Readers of files are not ours: SimpleITK,
nibabel and the programs themselves. ITK and transformix are in test_result.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
import SimpleITK

from cnnmetric.commands.main import main
from support.known_pair import as_file
from support.known_result import POINT
from support.known_result import known_result
from support.known_result import truth

TO_RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("known")
    result = known_result()
    result.save(found)
    as_file(result.source, found / "moving.nii.gz")
    return found


def transform(folder: Path, name: str, text: str) -> str:
    """Return what `cnnmetric transform` makes of a file of points."""
    out = folder / f"moved-{name}"
    (folder / name).write_text(text, encoding="utf-8")
    words = ["transform", str(folder), str(folder / name), "-o", str(out), "--overwrite"]
    assert main(words) == 0
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize(("system", "sign"), [("LPS", np.ones(3)), ("RAS", TO_RAS)])
def test_markups_of_slicer_are_where_its_transform_node_brings_them(
    system: str, sign: Any, folder: Path
) -> None:
    points = [{"label": "a", "position": position} for position in (sign * POINT).tolist()]
    markup = {"type": "Fiducial", "coordinateSystem": system, "controlPoints": points}
    moved = json.loads(transform(folder, f"{system}.mrk.json", json.dumps({"markups": [markup]})))
    found = [point["position"] for point in moved["markups"][0]["controlPoints"]]
    np.testing.assert_allclose(found, sign * truth(POINT), atol=1e-6)
    # Slicer reads transform.h5 as ITK's, from parent to child, and works in RAS.
    node = SimpleITK.ReadTransform(str(folder / "transform.h5"))
    ras = TO_RAS * POINT
    by_node = [TO_RAS * node.TransformPoint((TO_RAS * point).tolist()) for point in ras]
    np.testing.assert_allclose(sign * TO_RAS * by_node, found, atol=1e-6)


@pytest.mark.parametrize(("system", "sign"), [("LPS", np.ones(3)), ("RAS", TO_RAS)])
def test_fcsv_of_slicer(system: str, sign: Any, folder: Path) -> None:
    rows = "".join(f"{n},{x},{y},{z}\n" for n, (x, y, z) in enumerate((sign * POINT).tolist()))
    moved = transform(folder, f"{system}.fcsv", f"# CoordinateSystem = {system}\n{rows}")
    found = [list(map(float, line.split(",")[1:4])) for line in moved.splitlines()[1:]]
    np.testing.assert_allclose(found, sign * truth(POINT), atol=1e-6)


def test_the_displacement_file_is_in_lps_on_a_grid_in_ras(folder: Path) -> None:
    """As ANTs, Greedy and ITK-SNAP take it: NIfTI's 5D vectors."""
    image: Any = nibabel.load(folder / "displacement.nii.gz")
    assert image.shape == (44, 48, 40, 1, 3)
    assert image.header.get_intent()[0] == "vector"
    voxel = np.array([24, 20, 23])
    place = TO_RAS * (image.affine @ [*voxel, 1.0])[:3]
    vector = np.asarray(image.dataobj)[tuple(voxel)][0]
    np.testing.assert_allclose(place + vector, truth(place[None])[0], atol=1e-3)


ANTS = """
import json
import sys

import ants
import pandas

folder, rows = sys.argv[1], json.loads(sys.argv[2])
points = pandas.DataFrame(rows, columns=["x", "y", "z"])
found = {}
for name in ("transform.h5", "displacement.nii.gz"):
    moved = ants.apply_transforms_to_points(3, points, [f"{folder}/{name}"])
    found[name] = moved[["x", "y", "z"]].values.tolist()
fixed, moving = (ants.image_read(f"{folder}/{name}.nii.gz") for name in ("warped", "moving"))
warped = ants.apply_transforms(fixed, moving, [f"{folder}/displacement.nii.gz"])
found["difference"] = float(abs(warped.numpy() - fixed.numpy()).max())
print(json.dumps(found))
"""


def run(script: str, *arguments: str) -> Any:
    """Run a script in a Python of its own: these packages bring an ITK that is not ours."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ants_maps_points_and_images_by_the_saved_files(folder: Path) -> None:
    found = run(ANTS, str(folder), json.dumps(POINT.tolist()))
    np.testing.assert_allclose(found["transform.h5"], truth(POINT), atol=1e-4)
    np.testing.assert_allclose(found["displacement.nii.gz"], truth(POINT), atol=1e-3)
    assert found["difference"] < 1e-3


GREEDY = """
import json
import sys

from picsl_greedy import Greedy3D

folder = sys.argv[1]
Greedy3D().execute(
    f"-rf {folder}/warped.nii.gz -rm {folder}/moving.nii.gz {folder}/by-greedy.nii.gz "
    f"-r {folder}/displacement.nii.gz"
)
print(json.dumps("done"))
"""


@pytest.mark.slow
def test_greedy_and_so_itk_snap_warp_by_the_saved_displacement(folder: Path) -> None:
    assert run(GREEDY, str(folder)) == "done"
    found = itk.array_from_image(itk.imread(str(folder / "by-greedy.nii.gz")))
    expected = itk.array_from_image(itk.imread(str(folder / "warped.nii.gz")))
    inner = (slice(3, -3),) * 3  # of the border, programs have opinions of their own
    np.testing.assert_allclose(found[inner], expected[inner], atol=5e-3)
