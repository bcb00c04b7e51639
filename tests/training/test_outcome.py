# SPDX-License-Identifier: Apache-2.0
"""The lines at the end of a run: how good the model is and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.command import run
from cnnmetric.training.log import draw_curve
from cnnmetric.training.outcome import describe
from support.training_images import settings
from support.training_images import write_pairs


def curve(axis: str, *, lowest: int = 0) -> dict[str, Any]:
    shifts = (-2, -1, 0, 1, 2)
    return {
        "pair": "pair 3",
        "axis": axis,
        "shifts": shifts,
        "values": tuple(abs(shift - lowest) - 1.0 for shift in shifts),
        "minimum_at_zero": lowest == 0,
    }


def progress(**changes: Any) -> Progress:
    values: dict[str, Any] = {
        "losses": [0.1] * 4,
        "accuracies": [0.95] * 4,
        "validations": [(2, 0.2, 0.91), (4, 0.3, 0.97)],
        "held_out": ["c"],
        "curves": [curve("x"), curve("y"), curve("z")],
    }
    return Progress(spacing=1.0, hashes={}, **(values | changes))


def told(folder: Path, found: Progress, **changes: Any) -> tuple[str, str]:
    quality, following = describe(settings(folder, **changes), found)
    return quality, following


def test_a_good_model(tmp_path: Path) -> None:
    quality, following = told(tmp_path, progress())
    assert "accuracy 0.910 on the held-out pair c" in quality
    assert "minimum at zero shift along x yes, y yes, z yes (curves in " in quality
    assert str(tmp_path / "model.png") in quality
    model = tmp_path / "model.onnx"
    assert following.endswith(f"--model {model} --fixed-modality T1")


def test_a_minimum_elsewhere_is_named_with_what_to_do(tmp_path: Path) -> None:
    curves = [curve("x"), curve("y", lowest=-2), curve("z")]
    quality, following = told(tmp_path, progress(curves=curves))
    assert "x yes, y no, z yes" in quality
    assert "do not use it yet: its minimum is at -2 voxels along y" in following
    assert "--steps 12" in following
    assert "register" not in following


def test_a_model_that_has_learned_nothing(tmp_path: Path) -> None:
    validations = [(4, 1.0, 0.55)]
    _, following = told(tmp_path, progress(validations=validations))
    assert "hardly learned anything" in following
    ours: dict[str, Any] = {
        "architecture": "self-similarity",
        "kernels": (3, 1),
        "strides": (2, 1),
    }
    assert "register" in told(tmp_path, progress(validations=validations), **ours)[1]
    few = progress(validations=[(4, 6.0, 0.01)])
    assert "hardly learned anything" in told(tmp_path, few, **ours)[1]


def test_several_pairs_are_counted(tmp_path: Path) -> None:
    curves = [curve("x"), curve("x", lowest=1), curve("y"), curve("y")]
    quality, following = told(tmp_path, progress(held_out=["c", "d"], curves=curves))
    assert "on 2 held-out pairs" in quality
    assert "x 1 of 2, y 2 of 2" in quality
    assert "minimum is at" in following


def test_without_a_held_out_pair_no_figure_is_made_up(tmp_path: Path) -> None:
    found = progress(held_out=[], validations=[], not_held_out="there is only one pair")
    quality, _ = told(tmp_path, found)
    assert "0.950 on what it was trained on; no held-out figure exists, since there is" in quality
    found = progress(held_out=[], validations=[], curves=[], not_held_out="there is no real pair")
    assert "was not tried around an alignment, since no real pair" in told(tmp_path, found)[0]
    found = progress(validations=[], curves=[])
    quality, _ = told(tmp_path, found, export_only=True)
    assert "exists, since it was stopped before its first validation" in quality
    assert "since no images were read" in quality


def test_the_shift_curves_are_drawn_beside_loss_and_accuracy() -> None:
    axes = draw_curve(progress(), title="run").axes
    assert [panel.get_ylabel() for panel in axes] == ["loss", "accuracy", "dissimilarity"]
    labels = [line.get_label() for line in axes[2].lines]
    assert labels[:3] == ["along x", "along y", "along z"]
    assert np.asarray(axes[2].lines[0].get_ydata()).tolist() == [1.0, 0.0, -1.0, 0.0, 1.0]
    assert axes[2].get_title() == "1 held-out pair"


def test_a_run_ends_with_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(tmp_path, count=2, shape=(34, 35, 36))
    chosen = settings(tmp_path, hold_out=None, steps=2, validation_batches=1)
    assert run(chosen, program="cnnmetric.train") == 0
    wrote, quality, following = capsys.readouterr().out.splitlines()
    assert "model.onnx after 2 steps" in wrote
    assert "on the held-out pair s1; minimum at zero shift along x" in quality
    assert following.startswith("next: ")
