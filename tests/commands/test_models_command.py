# SPDX-License-Identifier: Apache-2.0
"""`cnnmetric models` lists models; `cnnmetric models add` takes those that work."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cnnmetric.commands.main import main
from cnnmetric.metric.models import add_model
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin import loading
from cnnmetric.plugin import package_data

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a user without models; the folder is looked up when the plugin is loaded."""
    before = package_data.model_folders()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    loading.find_models_in(package_data.model_folders())
    yield tmp_path / "share" / "cnnmetric" / "models"
    loading.find_models_in(before)


def test_lists_name_use_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    blocks = {block.split()[0]: block for block in capsys.readouterr().out.split("\n\n")}
    assert set(blocks) == {"any", "t1t2", "t1t2-fast", "t1t2-fine"}
    assert "any (the default)\n  any two contrasts, 3D, made for voxels of 1 mm" in blocks["any"]
    assert "t1t2-fine\n  T1 and T2, 3D, made for voxels of 1 mm" in blocks["t1t2-fine"]
    assert "Dice 0.739 (0.014)" in blocks["t1t2-fine"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert [name for name, model in models.items() if model["default"]] == ["any"]
    assert models["t1t2"]["modalities"] == ["T1", "T2"]
    assert all(Path(model["path"]).is_file() and model["shipped"] for model in models.values())


def test_scores_are_those_of_the_cards() -> None:
    for record in (ROOT / "models").glob("*.json"):
        score = json.loads(record.read_text(encoding="utf-8"))["score"]
        (number,) = re.findall(r"\d\.\d{3} \(\d\.\d{3}\)", score)
        assert number in record.with_suffix(".md").read_text(encoding="utf-8"), record


def test_an_added_model_is_found_by_its_name(
    difference_model: Path,
    tmp_path: Path,
    user_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = shutil.copy(difference_model, tmp_path / "mine.onnx")
    (tmp_path / "mine.json").write_text('{"score": "good"}')
    assert main(["models", "add", str(file), "--name", "t1-new"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(user_folder / "t1-new.onnx"),
        "use it as --model t1-new",
    ]
    assert DissimilarityNetwork("t1-new", device="cpu").receptive_field
    assert main(["models", "--json"]) == 0
    (added,) = [m for m in json.loads(capsys.readouterr().out) if not m["shipped"]]
    assert (added["name"], added["score"]) == ("t1-new", "good")

    assert main(["models", "add", str(file), "--name", "t1-new"]) == 1
    assert "there is a model" in capsys.readouterr().err
    (tmp_path / "mine.json").unlink()
    assert main(["models", "add", str(file), "--name", "t1-new", "--overwrite"]) == 0
    assert not (user_folder / "t1-new.json").exists()  # of the model before


def test_a_model_file_of_any_name_is_installed(
    difference_model: Path, tmp_path: Path, user_folder: Path
) -> None:
    file = Path(shutil.copy(difference_model, tmp_path / "best.bin"))
    installed = add_model(file, name="mine")
    assert installed == user_folder / "mine.onnx"
    assert installed.read_bytes() == file.read_bytes()
    # Beside it lies what is no model, and was not checked.
    (tmp_path / "best.onnx").write_text("something else")
    assert add_model(file, name="mine", overwrite=True).read_bytes() == file.read_bytes()
    assert DissimilarityNetwork("mine", device="cpu").receptive_field


def test_a_model_that_cannot_be_copied_leaves_the_one_before(
    difference_model: Path, tmp_path: Path, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(difference_model, tmp_path / "mine.onnx"))
    record = tmp_path / "mine.json"
    record.write_text("{}")
    add_model(file)
    record.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        add_model(file, overwrite=True)
    assert {path.name for path in user_folder.iterdir()} == {"mine.onnx", "mine.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.onnx"], "there is no model file no.onnx"),
        (["MODEL", "--name", "t1t2"], "is the name of a model that comes with cnnmetric"),
        (["MODEL", "--name", "a/b"], "a model cannot be called 'a/b'"),
        (["MODEL", "--name", "a.onnx"], "a model cannot be called 'a.onnx'"),
        (["DAMAGED"], "DAMAGED"),
    ],
)
def test_what_is_no_model_is_not_installed(
    words: list[str],
    message: str,
    difference_model: Path,
    tmp_path: Path,
    user_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "DAMAGED.onnx"
    damaged.write_bytes(difference_model.read_bytes()[:500])
    files = {"MODEL": str(difference_model), "DAMAGED": str(damaged)}
    assert main(["models", "add", *(files.get(word, word) for word in words)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("cnnmetric models: ")
    assert message in error
    assert not list(user_folder.glob("*")) if user_folder.exists() else True
