# SPDX-License-Identifier: Apache-2.0
"""Held-out pairs: what is exported, what is logged, and the metric around their alignment."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.log import draw_curve
from cnnmetric.training.loop import train
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from cnnmetric.training.validation import shift_curves
from support.training_images import blobs
from support.training_images import settings
from support.training_images import write_pairs

HELD_OUT: dict[str, Any] = {"training_pairs": 2, "validate_every": 2, "validation_batches": 2}


class Difference(PatchNetwork):
    """The squared difference of the two images, with a minimum where they are the same."""

    receptive_field, stride, dimension = 1, 1, 3

    def __init__(self, *, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = torch.nn.Parameter(torch.tensor(sign))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.sign * (patches[:, :1] - patches[:, 1:]) ** 2


def smooth_pair(shape: tuple[int, int, int] = (40, 41, 42)) -> AlignedPair:
    image = torch.from_numpy(blobs(shape) / 300)
    image = torch.nn.functional.avg_pool3d(image[None, None], 5, 1, 2)[0, 0]
    return AlignedPair(images=torch.stack([image, image]), spacing=1.0, name="same")


def test_the_best_weights_are_exported_and_the_course_is_logged(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3)
    progress = train(settings(tmp_path, **HELD_OUT))
    assert [step for step, _, _ in progress.validations] == [2, 4, 6]
    losses = [loss for _, loss, _ in progress.validations]
    assert progress.best_step == 2 * (losses.index(min(losses)) + 1)
    assert set(progress.hashes) == {f"{n}_T{m}.nii.gz" for n in range(3) for m in (1, 2)}

    with (tmp_path / "model.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["loss"]) for row in rows] == progress.losses
    assert [row["step"] for row in rows if row["validation_loss"]] == ["2", "4", "6"]
    assert float(rows[3]["validation_loss"]) == losses[1]
    assert (tmp_path / "model.png").stat().st_size > 1000

    record = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert record["exported_step"] == progress.best_step
    assert record["validation"]["step_loss_accuracy"] == [list(row) for row in progress.validations]


def test_weights_that_became_worse_are_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss rises after the first validation, as if the run had begun to overfit."""
    write_pairs(tmp_path, count=3)
    first = train(settings(tmp_path, **HELD_OUT, steps=2))
    wanted = (tmp_path / "model.onnx").read_bytes()
    assert first.best is not None

    from cnnmetric.training.objectives import PatchObjective

    loss = PatchObjective.loss

    def rising(self: PatchObjective, batch: Any, device: torch.device) -> Any:
        value, right = loss(self, batch, device)
        return (value if torch.is_grad_enabled() else value * 0 + calls.pop(0)), right

    calls = [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    monkeypatch.setattr(PatchObjective, "loss", rising)
    second = train(settings(tmp_path, **HELD_OUT, steps=6))
    assert second.best_step == 2
    for name, value in second.best.items() if second.best else []:
        assert torch.equal(value, first.best[name])
    # The same weights; only the description of the run differs.
    assert abs(len((tmp_path / "model.onnx").read_bytes()) - len(wanted)) < 1000


def test_resume_goes_on_with_the_same_best(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3)
    whole = train(settings(tmp_path, **HELD_OUT, steps=8))
    (tmp_path / "model.checkpoint.pt").unlink()
    train(settings(tmp_path, **HELD_OUT, steps=4))
    resumed = train(settings(tmp_path, **HELD_OUT, steps=8, resume=True))
    assert resumed.validations == whole.validations
    assert resumed.best is not None
    assert whole.best is not None
    assert all(torch.equal(value, whole.best[name]) for name, value in resumed.best.items())


def test_pairs_to_validate_on_may_have_a_table_of_their_own(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=2)
    other = tmp_path / "other"
    other.mkdir()
    table = write_pairs(other, count=1)
    progress = train(settings(tmp_path, validation=table, validation_batches=1))
    assert len(progress.validations) == 1
    with pytest.raises(DataError, match=r"0_T1.* would be trained on and validated on"):
        train(settings(tmp_path, validation=tmp_path / "pairs.csv"))


def test_too_few_pairs_to_hold_any_out(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=2)
    with pytest.raises(SettingsError, match="--training-pairs 2 leaves none of the 2 pairs"):
        train(settings(tmp_path, training_pairs=2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training_pairs": -1}, "--training-pairs is -1; give 0 or more"),
        ({"training_pairs": 1, "validation": Path("a.csv")}, "exclude each other"),
        ({"validate_every": 0}, "--validate-every is 0; give 1 or more"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(tmp_path, **values)


@pytest.mark.parametrize(("sign", "right"), [(1.0, 1.0), (-1.0, 0.0)])
def test_curves_know_a_good_metric_from_a_bad_one(sign: float, right: float) -> None:
    curves = shift_curves(Difference(sign=sign), smooth_pair())
    assert [curve.axis for curve in curves] == ["z", "y", "x"]
    for curve in curves:
        assert curve.shifts == (-8, -4, -2, -1, 0, 1, 2, 4, 8)
        assert curve.minimum_at_zero == bool(right)
        # Beyond the size of the blobs, a curve is flat.
        near = [curve.values[n] for n in (2, 3, 4, 5, 6)]
        signs = [after > before for before, after in pairwise(near)]
        assert signs == ([False, False, True, True] if right else [True, True, False, False])
        assert curve.record()["right_signs"] == curve.right_signs


def test_the_minimum_is_where_the_second_image_has_to_go() -> None:
    image = smooth_pair().images[0]
    moved = AlignedPair(images=torch.stack([image, image.roll(2, -1)]), spacing=1.0, name="moved")
    lowest = {
        curve.axis: curve.shifts[curve.values.index(min(curve.values))]
        for curve in shift_curves(Difference(), moved)
    }
    assert lowest == {"z": 0, "y": 0, "x": -2}


def test_images_smaller_than_a_patch_have_no_curve() -> None:
    network = SelfSimilarityNetwork((Layer(4, 3, 1), Layer(4, 1, 1)))
    assert shift_curves(network, smooth_pair((20, 40, 40))) == []


def test_picture_of_a_run_without_validation() -> None:
    progress = Progress(spacing=1.0, hashes={}, losses=[1.0] * 30, accuracies=[0.5] * 30)
    left, right = draw_curve(progress, title="run").axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "accuracy")
    assert len(left.lines) == 1
    assert progress.best_step == 30
