# SPDX-License-Identifier: Apache-2.0
"""Training runs: learning, checkpoints, resume, record, and errors."""

from __future__ import annotations

import json
import multiprocessing
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from cnnmetric import train as program
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.training import checkpoint
from cnnmetric.training.data.sampling import PatchSampler
from cnnmetric.training.loop import train
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.schedule import learning_rate
from cnnmetric.training.settings import TrainingSettings
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_pairs


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "model.checkpoint.pt", weights_only=True)
    return dict(state["network"])


def interrupt_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make training fail as if its machine had been switched off after a checkpoint."""
    from cnnmetric.training import checkpoint

    save = checkpoint.save

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        if arguments[-1].step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)


def test_loss_falls_and_accuracy_rises(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(40, 41))
    still: dict[str, Any] = {"scale": (1.0, 1.0), "rotation": 0.0, "mirroring": False}
    larger: dict[str, Any] = {"channels": (16, 16), "batch_size": 32, "learning_rate": 0.05}
    progress = train(settings(tmp_path, dimension=2, steps=200, **still, **larger))
    assert np.mean(progress.losses[:10]) > 0.95
    assert np.mean(progress.losses[-50:]) < 0.6
    assert np.mean(progress.accuracies[-50:]) > 0.75


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_resume_continues_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    write_pairs(tmp_path)
    options = {"schedule": schedule, "checkpoint_every": 2}
    expected = train(settings(tmp_path, **options))
    uninterrupted = weights(tmp_path)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            train(settings(tmp_path, **options))
    resumed = train(settings(tmp_path, **options, resume=True, workers=1))
    assert resumed.losses == expected.losses
    for name, weight in weights(tmp_path).items():
        assert torch.equal(weight, uninterrupted[name]), name


def test_resume_of_a_complete_run_only_exports(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path))
    model = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").unlink()
    assert train(settings(tmp_path, resume=True)).step == 6
    assert (tmp_path / "model.onnx").read_bytes() == model


def test_a_run_with_constant_rate_can_be_made_longer(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path))
    longer = train(settings(tmp_path, steps=9, resume=True)).losses
    assert longer == train(settings(tmp_path, steps=9)).losses


def test_export_only_needs_no_images(tmp_path: Path) -> None:
    table = write_pairs(tmp_path)
    train(settings(tmp_path, steps=4))
    table.unlink()
    train(settings(tmp_path, steps=4, export_only=True))
    assert (tmp_path / "model.onnx").is_file()


def test_resume_refuses_other_settings_other_images_and_no_checkpoint(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    with pytest.raises(DataError, match="there is no checkpoint"):
        train(settings(tmp_path, resume=True))
    train(settings(tmp_path))
    with pytest.raises(SettingsError, match=r"--seed \(was 1, is 2\)"):
        train(settings(tmp_path, resume=True, seed=2))
    write_image(tmp_path / "1_T1.nii.gz", np.random.default_rng(5).random((14, 15, 16), np.float32))
    with pytest.raises(DataError, match=r"the images differ .*1_T1\.nii\.gz"):
        train(settings(tmp_path, resume=True))
    (tmp_path / "model.checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        train(settings(tmp_path, resume=True))


def test_a_flipped_bit_in_a_checkpoint_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    chosen = settings(tmp_path, steps=2)
    train(chosen)
    path = tmp_path / "model.checkpoint.pt"
    content = path.read_bytes()
    expected = network_of(chosen)
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found = network_of(chosen)
        except DataError:  # damaged, or not readable
            refused += 1
        else:
            assert all(map(torch.equal, found, expected))
    assert refused > 30


def test_a_damaged_weight_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    chosen = settings(tmp_path, steps=1)
    train(chosen)
    path = tmp_path / "model.checkpoint.pt"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda item: item.file_size)
        place = content.index(archive.read(largest)) + largest.file_size // 2
    content[place] ^= 1
    path.write_bytes(content)
    message = r"model\.checkpoint\.pt is damaged \(.* is not what was written\); delete it"
    with pytest.raises(DataError, match=message):
        network_of(chosen)


def network_of(chosen: TrainingSettings) -> list[torch.Tensor]:
    """Return the weights that a checkpoint holds."""
    objective = objective_of(chosen)
    checkpoint.load(chosen, objective.network, objective.optimizer())
    return list(objective.network.parameters())


def test_full_disk_leaves_the_checkpoint_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(_: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CNNMetricError, match=r"model\.checkpoint\.pt cannot be written, as when"):
        train(settings(tmp_path, steps=9))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_outputs_that_cannot_be_written_are_found_before_the_images_are_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.csv").mkdir()
    with pytest.raises(SettingsError, match=r"model\.csv is a folder .*another --out"):
        train(settings(tmp_path))


def test_one_cycle_cannot_be_made_longer(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path, schedule="one-cycle"))
    with pytest.raises(SettingsError, match=r"--steps \(was 6, is 9\)"):
        train(settings(tmp_path, schedule="one-cycle", steps=9, resume=True))


def test_record_tells_settings_versions_data_and_curve(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    progress = train(settings(tmp_path, steps=120, batch_size=2))
    record = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert record["settings"]["momentum"] == 0.9
    assert record["final_loss"] == pytest.approx(np.mean(progress.losses[-100:]))
    assert (record["settings"]["preset"], record["number_of_files"]) == ("simonovsky2016", 4)
    assert len(record["data_sha256"]) == 64
    assert record["versions"]["torch"] == torch.__version__
    assert len(record["curve"]["loss"]) == 2
    assert str(tmp_path) not in json.dumps(record)
    model = onnx.load(tmp_path / "model.onnx")
    metadata = {item.key: item.value for item in model.metadata_props}
    assert metadata["cnnmetric.spacing"] == "1.5"
    assert json.loads(metadata["cnnmetric.training"])["steps"] == 120


def test_spacing_can_be_given(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    assert train(settings(tmp_path, spacing=0.7, steps=1)).spacing == 0.7


def test_diverged_loss_is_an_error_and_leaves_no_model(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    with pytest.raises(CNNMetricError, match=r"the loss is (nan|inf) at step \d+.*--learning-rate"):
        train(settings(tmp_path, steps=200, learning_rate=1e20))
    assert not (tmp_path / "model.onnx").exists()


def test_cuda_asked_for_and_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="no CUDA device"):
        train(settings(tmp_path, device="cuda"))


def test_bfloat16_and_two_dimensions(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(20, 21))
    progress = train(settings(tmp_path, dimension=2, precision="bfloat16"))
    assert progress.step == 6
    assert (tmp_path / "model.onnx").is_file()


def test_the_recommended_preset_in_two_dimensions(tmp_path: Path) -> None:
    write_pairs(tmp_path, shape=(60, 61))
    small = {"channels": (4, 4), "kernels": (3, 1), "strides": (2, 1), "crops": 1}
    progress = train(settings(tmp_path, preset="recommended", dimension=2, steps=2, **small))
    assert [curve["axis"] for curve in progress.curves] == ["y", "x"]


def test_rates_of_the_schedules(tmp_path: Path) -> None:
    constant = settings(tmp_path, steps=1000)
    assert {learning_rate(constant, step) for step in (0, 500, 999)} == {0.01}
    cycle = settings(tmp_path, steps=1000, schedule="one-cycle", learning_rate=0.02)
    rates = [learning_rate(cycle, step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02 / 25, rel=0.01)
    assert max(rates) == pytest.approx(0.02, rel=1e-4)
    assert np.argmax(rates) == 100
    assert rates[-1] < 1e-6


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_pairs(tmp_path)
    out = tmp_path / "new" / "net.onnx"
    words = [str(table), "--modalities", "T1,T2", "--out", str(out), "--steps", "2"]
    words += ["--preset", "simonovsky2016", "--hold-out", "none"]
    words += [
        "--channels",
        "4",
        "--kernels",
        "3",
        "3",
        "--strides",
        "2",
        "1",
        "--batch-size",
        "4",
        "--device",
        "cpu",
    ]
    assert program.main(words) == 0
    assert "after 2 steps" in capsys.readouterr().out
    assert out.is_file()
    assert program.main(words) == 1
    assert "net.onnx, net.checkpoint.pt, net.json" in capsys.readouterr().err
    words.append("--overwrite")
    assert program.main([*words[:1], "--modalities", "T1,PD", *words[3:]]) == 1
    assert "has no column PD" in capsys.readouterr().err


def test_interruption_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnmetric.training.command.train", interrupted)
    words = ["pairs.csv", "--modalities", "T1,T2", "--out", str(tmp_path / "m.onnx")]
    assert program.main(words) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_that_cannot_be_drawn_is_told_in_its_own_words(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path)

    def fail(sampler: object, step: int) -> None:
        msg = "no patch was found"
        raise DataError(msg)

    monkeypatch.setattr(PatchSampler, "__getitem__", fail)
    with pytest.raises(DataError, match=r"^no patch was found$"):
        train(settings(tmp_path, workers=workers))
    # One that is left would keep Python from ending, as it takes no signal.
    assert not multiprocessing.active_children()
