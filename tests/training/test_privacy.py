# SPDX-License-Identifier: Apache-2.0
"""What is passed on names no image, no subject, no folder, no computer and no user."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import onnx
import pytest

from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.loop import train
from cnnmetric.training.record import summary
from support.training_images import settings
from support.training_images import write_pairs

NAMES = ("Doe", "Jane", "19700101", "scans_of_Jane", "images_1970", "label_maps_of_Doe")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose table names patients, with images large enough for curves."""
    folder = tmp_path / "scans_of_Jane"
    folder.mkdir()
    table = write_pairs(folder, count=2, shape=(34, 35, 36))
    text = table.read_text(encoding="utf-8")
    for number in range(2):
        text = text.replace(f"s{number},", f"Doe^Jane{number},")
        for modality in ("T1", "T2"):
            old, new = f"{number}_{modality}.nii.gz", f"Doe-{number}-19700101-{modality}.nii.gz"
            (folder / old).rename(folder / new)
            text = text.replace(old, new)
    table.unlink()
    (folder / "images_1970.csv").write_text(text, encoding="utf-8")
    return folder


def passed_on(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"m.{name}").read_bytes() for name in ("onnx", "json", "csv", "png")}


@pytest.mark.parametrize("hold_out", ["Doe^Jane0", "none"])
def test_model_record_log_and_picture_name_nobody(folder: Path, hold_out: str | None) -> None:
    out = folder.parent / "out" / "m.onnx"
    progress = train(
        settings(
            folder,
            pairs=folder / "images_1970.csv",
            out=out,
            hold_out=hold_out,
            steps=2,
            cache=folder / "label_maps_of_Doe",
        )
    )
    assert progress.curves
    secrets = (*NAMES, str(folder), str(Path.home()), platform.node(), getpass.getuser())
    for name, content in passed_on(out.parent).items():
        assert content
        found = [word for word in secrets if len(word) > 3 and word.encode() in content]
        assert not found, f"m.{name}"
    record = json.loads((out.parent / "m.json").read_text(encoding="utf-8"))
    named = {curve["pair"] for curve in record["validation"]["curves"]}
    assert named == {"pair 1" if hold_out == "Doe^Jane0" else "pair 2"}
    cached = [path.read_text() for path in (folder / "label_maps_of_Doe").glob("*.json")]
    assert cached
    assert not any("Doe" in text for text in cached)


def test_names_are_recorded_on_request(folder: Path) -> None:
    out = folder.parent / "m.onnx"
    chosen = settings(
        folder, pairs=folder / "images_1970.csv", out=out, steps=1, hold_out=None, record_names=True
    )
    progress = train(chosen)
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["data_sha256"] == progress.hashes
    assert record["settings"]["pairs"] == "images_1970.csv"
    metadata = {item.key: item.value for item in onnx.load(out).metadata_props}
    assert set(json.loads(metadata["cnnmetric.training"])["data_sha256"]) == set(progress.hashes)
    assert str(folder) not in json.dumps(record)


def test_the_digest_is_of_all_images_whatever_they_are_called(tmp_path: Path) -> None:
    def digest(hashes: dict[str, str]) -> str:
        found = summary(settings(tmp_path), Progress(1.0, hashes, [1.0], [1.0]))["data_sha256"]
        assert isinstance(found, str)
        return found

    first = digest({"Doe": "12", "Jane": "34"})
    assert digest({"b": "34", "a": "12"}) == first
    assert digest({"Doe": "12", "Jane": "35"}) != first
