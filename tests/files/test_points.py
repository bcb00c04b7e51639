# SPDX-License-Identifier: Apache-2.0
"""Files of points: what is where in which convention, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.points.formats import is_points_file
from cnnmetric.files.points.formats import read_points
from cnnmetric.files.points.formats import write_points
from cnnmetric.images.arrays import placed

# Of two points, in ITK's coordinates: to the patient's left, to the back, up.
LPS = np.array([[10.0, -20.5, 30.25], [-1.0, 2.0, 0.0]])
STEP = np.array([1.0, 2.0, 3.0])
LABELS = ("nose, tip", "ear")


def markups(system: str | None, positions: Any, **further: Any) -> dict[str, Any]:
    points = [
        {"id": "7", "label": label, "position": position, "orientation": [1.0] * 9, "locked": True}
        for label, position in zip(LABELS, positions, strict=True)
    ]
    place = {} if system is None else {"coordinateSystem": system}
    points.append({"label": "later", "position": None, "positionStatus": "undefined"})
    return {
        "@schema": "its own",
        "markups": [{"type": "Fiducial", **place, "controlPoints": points, **further}],
    }


def fcsv(system: str, rows: str) -> str:
    columns = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
    return f"{head}# columns = {columns}\n{rows}"


FCSV_ROWS = 'a,{},{},30.25,0,0,0,1,1,1,0,"nose, tip",my note,\nb,{},{},0.0,0,0,0,1,1,0,0,ear,,n1\n'
IN_LPS, IN_RAS = ("10.0", "-20.5", "-1.0", "2.0"), ("-10.0", "20.5", "1.0", "-2.0")
FILES = {
    "points.txt": "point\n2\n10.0 -20.5 30.25\n-1.0 2.0 0.0\n",
    "lps.mrk.json": json.dumps(markups("LPS", LPS.tolist()), indent=4) + "\n",
    "ras.mrk.json": json.dumps(markups("RAS", [[-10.0, 20.5, 30.25], [1.0, -2.0, 0.0]]), indent=4)
    + "\n",
    "default.mrk.json": json.dumps(markups(None, LPS.tolist()), indent=4) + "\n",
    "lps.fcsv": fcsv("LPS", FCSV_ROWS.format(*IN_LPS)),
    "ras.fcsv": fcsv("RAS", FCSV_ROWS.format(*IN_RAS)),
    "old-ras.fcsv": fcsv("0", FCSV_ROWS.format(*IN_RAS)),
    "old-lps.fcsv": fcsv("1", FCSV_ROWS.format(*IN_LPS)),
    "xyz.csv": 'label,x,y,z,note\n"nose, tip",10.0,-20.5,30.25,a\near,-1.0,2.0,0.0,b\n',
    "slicer.csv": 'label,r,a,s,defined\n"nose, tip",-10.0,20.5,30.25,1\near,1.0,-2.0,0.0,1\n',
    "slicer-lps.csv": 'label,l,p,s,defined\n"nose, tip",10.0,-20.5,30.25,1\near,-1.0,2.0,0.0,1\n',
}


@pytest.mark.parametrize("name", FILES)
def test_every_convention_is_the_same_place(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(FILES[name], encoding="utf-8")
    assert is_points_file(file)
    points = read_points(file)
    np.testing.assert_array_equal(points.positions, LPS)
    assert points.labels == (("", "") if name.endswith(".txt") else LABELS)
    # Unmoved, the same file comes out; moved, the same file at other places.
    write_points(points, tmp_path / f"again-{name}")
    assert (tmp_path / f"again-{name}").read_text(encoding="utf-8") == FILES[name]
    write_points(points.moved(LPS + STEP), tmp_path / f"moved-{name}")
    moved = read_points(tmp_path / f"moved-{name}")
    np.testing.assert_array_equal(moved.positions, LPS + STEP)
    assert moved.labels == points.labels


@pytest.mark.parametrize("suffix", [".txt", ".pts", ".mrk.json", ".fcsv", ".csv"])
@pytest.mark.parametrize("name", ["points.txt", "ras.mrk.json", "ras.fcsv", "slicer.csv"])
def test_points_go_into_another_format(name: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    points = read_points(tmp_path / name)
    write_points(points, tmp_path / f"out{suffix}")
    found = read_points(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(found.positions, LPS)
    labelled = suffix not in (".txt", ".pts") and name != "points.txt"
    assert found.labels == (LABELS if labelled else ("", ""))


def test_what_else_markups_hold_is_kept(tmp_path: Path) -> None:
    content = markups("RAS", [[1.0, 2.0, 3.0]] * 2, display={"color": [1.0, 0.0, 0.0]}, type="Line")
    content["markups"].append(markups("LPS", [[4.0, 5.0, 6.0]] * 2)["markups"][0])
    file = tmp_path / "a.mrk.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    points = read_points(file)
    assert points.positions.tolist() == [[-1.0, -2.0, 3.0]] * 2 + [[4.0, 5.0, 6.0]] * 2
    write_points(points.moved(points.positions + 10.0), file, overwrite=True)
    for markup, position in zip(
        content["markups"], ([-9.0, -8.0, 13.0], [14.0, 15.0, 16.0]), strict=True
    ):
        for point in markup["controlPoints"][:2]:
            point["position"] = position
    assert json.loads(file.read_text(encoding="utf-8")) == content


def test_indices_count_the_voxels_of_an_image(tmp_path: Path) -> None:
    turned = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    image = placed(
        np.zeros((5, 6, 7), dtype=np.float32),
        spacing=(2.0, 3.0, 4.0),
        origin=(10.0, 20.0, 30.0),
        direction=turned,
    )
    file = tmp_path / "indices.txt"
    file.write_text("index\n2\n0 0 0\n3 2 1\n")
    points = read_points(file, grid=image)
    expected = [tuple(image.TransformIndexToPhysicalPoint(at)) for at in ([0, 0, 0], [3, 2, 1])]
    np.testing.assert_allclose(points.positions, expected)
    write_points(points, tmp_path / "points.txt")
    assert (tmp_path / "points.txt").read_text() == "point\n2\n10.0 20.0 30.0\n4.0 26.0 34.0\n"


def test_points_in_2d(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    points = read_points(tmp_path / "a.csv")
    write_points(points, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "point\n1\n1.0 2.0\n"
    for suffix in (".fcsv", ".mrk.json"):
        with pytest.raises(DataError, match=r"has points in 3D; write points in 2D to a file .csv"):
            write_points(points, tmp_path / f"c{suffix}")
        assert not (tmp_path / f"c{suffix}").exists()


def test_nothing_is_overwritten_by_accident(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(FILES["xyz.csv"])
    points = read_points(tmp_path / "a.csv")
    with pytest.raises(SettingsError, match="exists; name another file, or say --overwrite"):
        write_points(points, tmp_path / "a.csv")
    with pytest.raises(SettingsError, match=r"ends in one of \.txt, .*\.mrk\.json, \.fcsv, \.csv"):
        write_points(points, tmp_path / "a.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


def markup_of(**changes: Any) -> str:
    content = markups("LPS", LPS.tolist())
    content["markups"][0].update(changes)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.txt", None, "cannot be read as points: No such file"),
        ("a.txt", "\xff", "no point file of elastix"),
        ("a.txt", "", "no point file of elastix: its first line is 'point'"),
        ("a.txt", "2\n1 2 3\n4 5 6\n", "no point file of elastix"),
        ("a.txt", "point 1\n1 2 3\n", "no point file of elastix"),
        ("a.txt", "point\n3\n1 2 3\n", "announces 3 points and holds 1"),
        ("a.txt", "point\n0\n", "holds no point"),
        ("a.txt", "point\n1\n1 2 3 4\n", "line 3, has 4 numbers"),
        ("a.txt", "point\n2\n1 2 3\n1 2\n", "line 4, has 2 numbers"),
        ("a.txt", "point\n1\n1 2 x\n", "line 3: 'x' is no coordinate"),
        ("a.txt", "point\n1\n1 2 nan\n", "line 3: 'nan' is no coordinate"),
        ("a.txt", "index\n1\n1 2 3\n", "holds voxel indices, which are places only on an image"),
        ("a.mrk.json", "{", "is no JSON"),
        ("a.mrk.json", "[" * 100_000, "is no JSON"),
        ("a.mrk.json", "[]", "no list 'markups'"),
        ("a.mrk.json", '{"markups": [1]}', "no list 'markups'"),
        ("a.mrk.json", '{"markups": []}', "holds no point"),
        ("a.mrk.json", markup_of(type="ROI"), "markup 1 is of the type 'ROI'"),
        ("a.mrk.json", markup_of(coordinateSystem="IJK"), "coordinateSystem 'IJK'; it must be"),
        ("a.mrk.json", markup_of(coordinateSystem=1), "coordinateSystem 1; it must be"),
        ("a.mrk.json", markup_of(coordinateUnits="cm"), "coordinateUnits 'cm'; save"),
        ("a.mrk.json", markup_of(controlPoints=3), "no list 'controlPoints'"),
        ("a.mrk.json", markup_of(controlPoints=[{}]), "point 1 has the position None"),
        (
            "a.mrk.json",
            markup_of(controlPoints=[{"position": [1, "x", 2]}]),
            "markup 1, point 1: 'x' is no coordinate",
        ),
        (
            "a.mrk.json",
            markup_of(controlPoints=[{"position": [1, True, 2]}]),
            "True is no coordinate",
        ),
        ("a.mrk.json", markup_of(controlPoints=[{"position": [10**400, 1, 2]}]), "no coordinate"),
        ("a.fcsv", "a,1,2,3\n", "CoordinateSystem ''; its head must have"),
        ("a.fcsv", fcsv("IJK", "a,1,2,3\n"), "CoordinateSystem 'IJK'; its head must have"),
        ("a.fcsv", fcsv("LPS", ""), "holds no point"),
        ("a.fcsv", fcsv("LPS", "a,1,2\n"), "line 4, has 3 cells"),
        ("a.fcsv", fcsv("LPS", "a,1,2,\n"), "line 4: '' is no coordinate"),
        ("a.fcsv", "# CoordinateSystem = LPS\n# columns = id,x,y\na,1,2\n", "no column z"),
        ("a.csv", "", "the columns of an empty file"),
        ("a.csv", "1,2,3\n", "the columns 1, 2, 3; points need"),
        ("a.csv", "x,y,z,x\n1,2,3,4\n", "each once"),
        ("a.csv", "x,y,z\n", "holds no point"),
        ("a.csv", "x,y,z\n1,2\n", "line 2, has 2 cells and the header 3"),
        ("a.csv", "x,y,z\n1,2,inf\n", "line 2: 'inf' is no coordinate"),
        ("a.csv", "x,y,z\n" + "1" * 200_000 + ",2,3\n", "cannot be read as comma-separated text"),
        ("a.vtk", "", "not the name of a file of points; known are"),
    ],
)
def test_files_that_cannot_be_used(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_points(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [("1 2", "2D indices and the image is 3D"), ("1.5 2 3", "says 'index' and holds fractions")],
)
def test_indices_that_cannot_be_used(rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"index\n1\n{rows}\n")
    grid = itk.Image[itk.F, 3].New()
    with pytest.raises(DataError, match=message):
        read_points(tmp_path / "a.txt", grid=grid)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"label,x,y,z\n\xe9,1,2,3\n")
    with pytest.raises(DataError, match="save it as text in UTF-8"):
        read_points(tmp_path / "a.csv")
