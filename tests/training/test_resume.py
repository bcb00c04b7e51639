# SPDX-License-Identifier: Apache-2.0
"""A run goes on only if it is the same run: the same files in the same places, and no shorter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.training import checkpoint
from cnnmetric.training import loop
from cnnmetric.training import pair_check
from cnnmetric.training.loop import train
from cnnmetric.training.steps import GraphSteps
from cnnmetric.training.steps import graph_steps
from support.training_images import settings
from support.training_images import write_pairs

LONGER: dict[str, Any] = {"steps": 4, "resume": True}


def rewrite(table: Path, order: list[int]) -> Path:
    """Put the rows of a table in another order."""
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    text = "\n".join([head, *(rows[number] for number in order)])
    table.write_text(f"{text}\n", encoding="utf-8")
    return table


def two_sources(
    folder: Path, *, weights: tuple[float, float] = (1, 2), turned: bool = False
) -> Any:
    """Return a run of two pairs, each in a table of its own."""
    texts = []
    for number, weight in enumerate(weights):
        table = folder / f"{number}.csv"
        names = f"{number}_T1.nii.gz,{number}_T2.nii.gz"
        table.write_text(f"subject,T1,T2\ns{number},{names}\n")
        texts.append(f"real={table}:{weight}")
    return {"pairs": None, "source": tuple(texts[::-1] if turned else texts)}


def test_rows_in_another_order_are_not_the_same_run(tmp_path: Path) -> None:
    rewrite(write_pairs(tmp_path, count=3), [1, 0, 2])
    train(settings(tmp_path, steps=2))
    rewrite(tmp_path / "pairs.csv", [2, 1, 0])
    message = r"the pairs of source 1 \(real\) are in another order; .* train without --resume"
    with pytest.raises(DataError, match=message):
        train(settings(tmp_path, **LONGER))


def test_the_subject_held_out_stays_held_out(tmp_path: Path) -> None:
    """By default it is the last one, which another order would train on."""
    write_pairs(tmp_path, count=2)
    quick: dict[str, Any] = {"hold_out": None, "validation_batches": 1}
    train(settings(tmp_path, steps=2, **quick))
    rewrite(tmp_path / "pairs.csv", [1, 0])
    with pytest.raises(DataError, match="the held-out pairs are others"):
        train(settings(tmp_path, **LONGER, **quick))


def test_files_paired_otherwise_are_not_the_same_run(tmp_path: Path) -> None:
    table = write_pairs(tmp_path)
    train(settings(tmp_path, steps=2))
    table.write_text("subject,T1,T2\ns0,0_T1.nii.gz,1_T2.nii.gz\ns1,1_T1.nii.gz,0_T2.nii.gz\n")
    with pytest.raises(DataError, match=r"the pairs of source 1 \(real\) are others"):
        train(settings(tmp_path, **LONGER))


def test_other_weights_and_exchanged_sources_are_not_the_same_run(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path, steps=2, **two_sources(tmp_path)))
    with pytest.raises(DataError, match=r"the weight of source 2 \(real\) was 2 and is 3"):
        train(settings(tmp_path, **LONGER, **two_sources(tmp_path, weights=(1, 3))))
    exchanged = two_sources(tmp_path, weights=(2, 1), turned=True)
    with pytest.raises(DataError, match=r"the pairs of source 1 \(real\) are others"):
        train(settings(tmp_path, **LONGER, **exchanged))
    assert train(settings(tmp_path, **LONGER, **two_sources(tmp_path))).step == 4


def test_files_may_be_elsewhere_and_have_other_names(tmp_path: Path) -> None:
    table = write_pairs(tmp_path)
    train(settings(tmp_path, steps=2))
    for path in tmp_path.glob("*_T?.nii.gz"):
        path.rename(path.with_name(f"scan_{path.name}"))
    text = table.read_text().replace("0_T", "scan_0_T").replace("1_T", "scan_1_T")
    moved = tmp_path / "moved.csv"
    moved.write_text(text)
    assert train(settings(tmp_path, **LONGER, pairs=moved)).step == 4


@pytest.mark.parametrize("taken", [6, 3])
def test_a_run_does_not_become_shorter(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither than the steps it has taken nor than those it was to take."""
    write_pairs(tmp_path)
    save = checkpoint.save

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        if arguments[-1].step == taken:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(settings(tmp_path, checkpoint_every=1))
    message = r"--steps \(was 6, is 4\); give the same ones \(--steps may grow\)"
    with pytest.raises(SettingsError, match=message):
        train(settings(tmp_path, steps=4, checkpoint_every=1, resume=True))


def on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run draw its batches as on a GPU."""

    def steps(*arguments: Any) -> GraphSteps:
        return graph_steps(*arguments[:4])

    monkeypatch.setattr(loop, "steps_of", steps)


def test_batches_are_drawn_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path)
    assert train(settings(tmp_path, steps=2)).sampling == "host"
    on_the_gpu(monkeypatch)
    with pytest.raises(SettingsError, match="on the host and would now draw others on the GPU"):
        train(settings(tmp_path, **LONGER))
    # No batch is left to draw.
    assert train(settings(tmp_path, steps=2, resume=True)).sampling == "host"


def test_a_checkpoint_without_a_manifest_goes_on(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path, steps=2))
    path = tmp_path / "model.checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["progress"]["manifest"], state["progress"]["sampling"]
    torch.save(state, path)
    assert train(settings(tmp_path, **LONGER)).manifest is not None
    assert torch.load(path, weights_only=True)["progress"]["sampling"] == "host"


def test_what_the_architecture_has_no_use_for_may_have_been_given(tmp_path: Path) -> None:
    """Nothing of the run has come of it, and it is refused now."""
    write_pairs(tmp_path, shape=(30, 31, 32))
    ours: dict[str, Any] = {"architecture": "self-similarity", "kernels": (3, 1), "strides": (2, 1)}
    ours |= {"crops": 1, "crop_edge": 25, "schedule": "constant"}
    train(settings(tmp_path, steps=1, **ours))
    path = tmp_path / "model.checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["settings"]["batch_size"] = 64
    torch.save(state, path)
    assert train(settings(tmp_path, steps=2, resume=True, **ours)).step == 2


def test_strict_pairs_count_for_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path)
    monkeypatch.setattr(pair_check, "describe_misaligned", lambda pairs: {0: "is turned"})
    with pytest.warns(pair_check.MisalignedPairsWarning):
        train(settings(tmp_path, steps=2))
    with pytest.raises(DataError, match=r"A pair looks misaligned: pair 1 .* is turned"):
        train(settings(tmp_path, **LONGER, strict_pairs=True))


def test_a_complete_run_that_is_exported_again_keeps_its_curves(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(30, 31, 32))
    quick: dict[str, Any] = {"hold_out": "s1", "validation_batches": 1, "validate_every": 1}
    found = train(settings(tmp_path, steps=2, **quick))
    assert found.curves
    record = json.loads((tmp_path / "model.json").read_text())
    assert train(settings(tmp_path, steps=2, **quick, export_only=True)).curves == found.curves
    again = json.loads((tmp_path / "model.json").read_text())
    assert again["validation"] == record["validation"]
    longer = train(settings(tmp_path, **LONGER, **quick)).losses
    assert longer == train(settings(tmp_path, steps=4, **quick)).losses
