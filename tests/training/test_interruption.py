# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM end a run after the step, with a checkpoint, and nothing is overwritten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnmetric.errors import SettingsError
from cnnmetric.training.command import run
from cnnmetric.training.interruption import Interrupted
from cnnmetric.training.interruption import StopRequest
from cnnmetric.training.interruption import stop_on_signals
from cnnmetric.training.interruption import unless_stopped
from cnnmetric.training.loop import train
from cnnmetric.training.objectives import PatchObjective
from support.training_images import settings
from support.training_images import write_pairs


def signal_in_step(monkeypatch: pytest.MonkeyPatch, number: int, *, step: int) -> None:
    """Send a signal to this process while it computes a step (counted from 1)."""
    loss = PatchObjective.loss
    steps = iter(range(1, 1000))

    def sending(self: PatchObjective, batch: Any, device: torch.device) -> Any:
        if next(steps) == step:
            os.kill(os.getpid(), number)
        return loss(self, batch, device)

    monkeypatch.setattr(PatchObjective, "loss", sending)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint_to_go_on_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    write_pairs(tmp_path)
    expected = train(settings(tmp_path))
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        signal_in_step(patch, number, step=3)
        assert run(settings(tmp_path), program="cnnmetric.train") == 128 + number
    assert signal.getsignal(number) is before
    told = capsys.readouterr().err
    assert "cnnmetric.train: interrupted after step 3 of 6" in told
    assert "the same command with --resume goes on" in told
    state = torch.load(tmp_path / "model.checkpoint.pt", weights_only=True)
    assert len(state["progress"]["losses"]) == 3
    assert train(settings(tmp_path, resume=True)).losses == expected.losses


def test_a_signal_in_the_last_step_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path)
    signal_in_step(monkeypatch, signal.SIGINT, step=6)
    assert train(settings(tmp_path)).step == 6
    assert (tmp_path / "model.onnx").is_file()


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_signal_acts_at_once() -> None:
    with stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_workers_that_the_signal_has_ended_are_no_error() -> None:
    def batches() -> Any:
        yield 1
        raise RuntimeError("DataLoader worker (pid 1) exited unexpectedly")

    request = StopRequest()
    with pytest.raises(RuntimeError):
        list(unless_stopped(batches(), request))
    request.signal = signal.SIGTERM
    assert list(unless_stopped(batches(), request)) == [1]


def test_a_model_is_overwritten_only_on_request(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    train(settings(tmp_path, steps=1, overwrite=False))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SettingsError, match=r"model\.onnx, .*--resume to go on.*--overwrite"):
        train(settings(tmp_path, steps=2, overwrite=False))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "model.checkpoint.pt").unlink()
    with pytest.raises(SettingsError, match="would be overwritten; give --overwrite to"):
        train(settings(tmp_path, steps=2, overwrite=False))
    assert train(settings(tmp_path, steps=2, overwrite=True)).step == 2


@pytest.mark.parametrize("call", [{"overwrite": True}, {"resume": True}])
def test_the_table_of_pairs_is_never_overwritten(tmp_path: Path, call: dict[str, bool]) -> None:
    table = write_pairs(tmp_path)
    before = table.read_bytes()
    with pytest.raises(SettingsError, match=r"pairs\.csv is read and would be overwritten by"):
        train(settings(tmp_path, out=tmp_path / "pairs.onnx", **call))
    assert table.read_bytes() == before


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_as_a_terminal_or_a_queue_sends_it(
    tmp_path: Path, number: int
) -> None:
    write_pairs(tmp_path)
    words = [str(tmp_path / "pairs.csv"), "--modalities", "T1,T2", "--device", "cpu"]
    words += ["--out", str(tmp_path / "model.onnx"), "--preset", "simonovsky2016"]
    words += ["--channels", "6", "8", "--kernels", "3", "3", "1", "--strides", "2", "1", "1"]
    words += ["--batch-size", "8", "--steps", "1000000", "--workers", "2", "--threads", "1"]
    words += ["--checkpoint-every", "50", "--hold-out", "none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnmetric.train", *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    checkpoint = tmp_path / "model.checkpoint.pt"
    try:
        until = time.monotonic() + 120
        while not checkpoint.is_file() and time.monotonic() < until:
            time.sleep(0.1)
        assert checkpoint.is_file()
        os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number
    assert "with --resume goes on" in told
    assert "Traceback" not in told
    state = torch.load(checkpoint, weights_only=True)
    step = len(state["progress"]["losses"])
    assert f"interrupted after step {step} of 1000000" in told


def test_train_itself_raises_what_stops_other_code_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path)
    signal_in_step(monkeypatch, signal.SIGINT, step=2)
    with pytest.raises(Interrupted) as raised:
        train(settings(tmp_path))
    assert isinstance(raised.value, KeyboardInterrupt)
    assert raised.value.signal == signal.SIGINT
