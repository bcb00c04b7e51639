# SPDX-License-Identifier: Apache-2.0
"""Files that commands write, and the check that they can be written before the work."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import check_file
from cnnmetric.files.output import check_folder
from cnnmetric.files.output import json_text


def test_a_folder_is_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder", option="--out")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_a_folder_that_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=rf"folder .*{name} .*choose another --out"):
        check_folder(tmp_path / name, option="--out")


def test_a_folder_of_the_system() -> None:
    with pytest.raises(SettingsError, match="nothing can be written to the folder /proc/self/fd "):
        check_folder(Path("/proc/self/fd"), option="--out")


def test_a_file_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    check_file(tmp_path / "old", option="--out")
    check_file(tmp_path / "new", option="--out")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder and cannot be written as a file"):
        check_file(tmp_path, option="--out")


def test_a_file_that_may_not_be_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to everything
    with pytest.raises(SettingsError, match=r"old may not be overwritten; choose another --out"):
        check_file(tmp_path / "old", option="--out")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    with atomic_path(file) as temporary:
        temporary.write_text("first")

    def fail() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.read_text() for path in file.parent.iterdir()] == ["first"]


def test_json_has_null_for_what_is_no_number() -> None:
    value = {"a": [1, math.nan, (math.inf, 0.5)], "b": None, "c": "nan", "d": {"e": -math.inf}}
    expected = {"a": [1, None, [None, 0.5]], "b": None, "c": "nan", "d": {"e": None}}
    assert json.loads(json_text(value)) == expected


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("plausibility", "image.mha image.mha --out file --model any"),
        pytest.param("demo", "--output file/demo.png", marks=pytest.mark.slow),
        pytest.param(
            "train",
            "pairs.csv --modalities T1,T2 --out file/model.onnx --device cpu",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_commands_find_out_before_the_work(module: str, words: str, tmp_path: Path) -> None:
    import itk
    import numpy as np

    itk.imwrite(itk.image_from_array(np.zeros((9, 9, 9), np.float32)), str(tmp_path / "image.mha"))
    (tmp_path / "file").write_text("")
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\ns,image.mha,image.mha\n")
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", f"cnnmetric.{module}", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"cnnmetric {module}: ")
    assert "file" in lines[0]
