# SPDX-License-Identifier: Apache-2.0
"""Which pairs are held out by default, and which by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.training.data.material_files import find_materials
from cnnmetric.training.holdout import Split
from cnnmetric.training.holdout import split
from cnnmetric.training.loop import train
from support.training_images import settings
from support.training_images import write_pairs


def divided(folder: Path, **changes: Any) -> Split:
    chosen = settings(folder, **({"hold_out": None} | changes))
    return split(chosen, find_materials(chosen))


def subjects(found: Split) -> tuple[list[str], list[str]]:
    return [pair.subject for pair in found.real], [pair.subject for pair in found.held_out]


def test_the_last_subject_is_held_out_unless_another_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3)
    assert subjects(divided(tmp_path)) == (["s0", "s1"], ["s2"])
    assert subjects(divided(tmp_path, hold_out="s0")) == (["s1", "s2"], ["s0"])
    assert subjects(divided(tmp_path, hold_out="none")) == (["s0", "s1", "s2"], [])
    assert [pair.label for pair in divided(tmp_path, hold_out="s1").real] == ["pair 1", "pair 3"]
    with pytest.raises(SettingsError, match="no such subject; give none or one of s0, s1, s2"):
        divided(tmp_path, hold_out="s3")


def test_all_pairs_of_a_subject_and_its_single_images_are_held_out(tmp_path: Path) -> None:
    table = write_pairs(tmp_path, count=2)
    rows = table.read_text(encoding="utf-8")
    table.write_text(rows + "s1,1_T2.nii.gz,1_T1.nii.gz\n")
    (tmp_path / "images.csv").write_text(rows)
    found = divided(
        tmp_path,
        architecture="self-similarity",
        kernels=(3, 1),
        strides=(2, 1),
        source=(f"contrast={tmp_path / 'images.csv'}",),
    )
    assert subjects(found) == (["s0"], ["s1", "s1"])
    contrast, real = found.materials
    assert [pair.names[0] for pair in contrast.pairs] == ["0_T1.nii.gz", "0_T2.nii.gz"]
    assert [pair.names[0] for pair in real.pairs] == ["0_T1.nii.gz"]


def test_a_single_pair_is_trained_on_and_the_record_says_so(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=1, shape=(24, 25, 26))
    with pytest.raises(SettingsError, match="--hold-out s0 leaves no real pair to train on"):
        divided(tmp_path, hold_out="s0")
    progress = train(settings(tmp_path, hold_out=None, steps=1))
    assert (progress.held_out, progress.not_held_out) == ([], "there is only one pair")
    record = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert record["validation"]["curves_of"] == "a pair that was trained on"
    assert len(record["validation"]["curves"]) == 3


def test_files_of_two_tables_may_have_the_same_name(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=2)
    other = tmp_path / "other"
    other.mkdir()
    table = write_pairs(other, count=1)
    (other / "0_T1.nii.gz").write_bytes((tmp_path / "1_T1.nii.gz").read_bytes())
    values: dict[str, Any] = {"validation": table, "validation_batches": 1, "steps": 1}
    plain = train(settings(tmp_path, **values))
    assert {"0_T1.nii.gz", "0_T1.nii.gz (2)"} <= set(plain.hashes)
    cached = train(settings(tmp_path, **values, cache=tmp_path / "cache"))
    assert cached.validations == plain.validations
