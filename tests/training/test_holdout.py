# SPDX-License-Identifier: Apache-2.0
"""Which pairs are held out by default, and which by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.training.data.material_files import find_materials
from cnnmetric.training.holdout import Split
from cnnmetric.training.holdout import split
from cnnmetric.training.loop import train
from support.training_images import settings
from support.training_images import write_pairs
from support.training_images import write_series

SELF_SIMILAR: dict[str, Any] = {
    "architecture": "self-similarity",
    "kernels": (3, 1),
    "strides": (2, 1),
}


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
        **SELF_SIMILAR,
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


def write_table(table: Path, *rows: str) -> Path:
    """Write a table, and files without content that it names."""
    table.parent.mkdir(exist_ok=True)
    table.write_text("\n".join(["subject,T1,T2,PD", *rows]) + "\n", encoding="utf-8")
    for name in {cell for row in rows for cell in row.split(",")[1:] if cell}:
        (table.parent / name).touch()
    return table


def images(found: Split) -> tuple[set[str], set[str]]:
    trained = {path.name for item in found.materials for pair in item.pairs for path in pair.paths}
    return trained, {path.name for pair in found.held_out for path in pair.paths}


@pytest.mark.parametrize("names", ["st", ("", "")])
def test_the_first_pairs_end_where_a_subject_does(tmp_path: Path, names: tuple[str, str]) -> None:
    """Also that of a row without a name."""
    first, second = names
    write_table(tmp_path / "pairs.csv", f"{first},a1,a2,a3", f"{second},b1,b2,b3")
    found = divided(tmp_path, **SELF_SIMILAR, modalities="any", training_pairs=2)
    assert images(found) == ({"a1", "a2", "a3"}, {"b1", "b2", "b3"})
    assert (len(found.real), len(found.held_out)) == (3, 3)
    with pytest.raises(SettingsError, match=r"leaves none of the 6 .* those of a subject stay"):
        divided(tmp_path, **SELF_SIMILAR, modalities="any", training_pairs=4)


def test_subjects_that_share_an_image_are_not_divided(tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.csv", "s,a1,a2,", "t,b1,a2,", "u,c1,c2,")
    with pytest.raises(DataError, match=r"--training-pairs 1: .*/a2 would be trained on and valid"):
        divided(tmp_path, training_pairs=1)
    assert images(divided(tmp_path, training_pairs=2)) == ({"a1", "b1", "a2"}, {"c1", "c2"})


def test_single_images_of_pairs_after_the_first_are_left_out(tmp_path: Path) -> None:
    table = write_table(tmp_path / "pairs.csv", "s,a1,a2,", "t,b1,b2,")
    found = divided(tmp_path, **SELF_SIMILAR, training_pairs=1, source=(f"contrast={table}",))
    assert [item.kind for item in found.materials] == ["contrast", "real"]
    assert images(found) == ({"a1", "a2"}, {"b1", "b2"})


@pytest.mark.parametrize("kind", ["real", "contrast"])
def test_no_image_of_the_validation_table_is_trained_on(tmp_path: Path, kind: str) -> None:
    write_table(tmp_path / "pairs.csv", "s,a1,a2,")
    source = write_table(tmp_path / "source.csv", "t,b1,b2,")
    # The second image of the pair, by another path.
    (tmp_path / "other").mkdir()
    table = write_table(tmp_path / "other" / "table.csv", "u,c1,c2,")
    (table.parent / "c2").unlink()
    (table.parent / "c2").symlink_to(tmp_path / "b2")
    with pytest.raises(DataError, match=r"/b2 would be trained on and validated on; take it out"):
        divided(tmp_path, **SELF_SIMILAR, validation=table, source=(f"{kind}={source}",))


def test_a_series_is_the_same_image_however_it_is_named(tmp_path: Path) -> None:
    for uid in ("1.2.3", "1.2.4"):
        write_series(tmp_path / "scan", np.ones((3, 4, 5)), spacing=(1, 1, 1), uid=uid)
    write_table(tmp_path / "pairs.csv", "s,scan#1.2.3,a,", "t,b,scan#1.2.4,")
    for path in tmp_path.glob("scan#*"):
        path.unlink()
    assert len(divided(tmp_path, training_pairs=1).held_out) == 1
    write_table(tmp_path / "pairs.csv", "s,scan#1.2.3,a,", "t,b,scan#1.2.3.4,")
    for path in tmp_path.glob("scan#*"):
        path.unlink()
    with pytest.raises(DataError, match=r"scan#1\.2\.3 would be trained on"):
        divided(tmp_path, training_pairs=1)
