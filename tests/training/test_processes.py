# SPDX-License-Identifier: Apache-2.0
"""Two processes that train one network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnmetric.errors import SettingsError
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.loop import train
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.processes import Processes
from support.training_images import settings
from support.training_images import write_pairs

OPTIONS = [
    *("--preset", "simonovsky2016"),
    *("--modalities", "T1,T2", "--channels", "6", "8", "--kernels", "3", "3", "1"),
    *("--strides", "2", "1", "1", "--batch-size", "8", "--workers", "1", "--device", "cpu"),
    *("--threads", "1", "--checkpoint-every", "1"),
]
HELD_OUT = ["--training-pairs", "2", "--validation-batches", "1", "--validate-every", "1"]


def run_two(folder: Path, *options: str) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "cnnmetric.train", str(folder / "pairs.csv"), "--out", str(folder / "model.onnx")),
        *OPTIONS,
        *options,
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_batches_are_dealt_out() -> None:
    alone = Processes()
    assert list(alone.steps(2, 5)) == [2, 3, 4]
    first, second = (Processes(rank=rank, size=2) for rank in range(2))
    assert list(first.steps(2, 5)) == [4, 6, 8]
    assert list(second.steps(2, 5)) == [5, 7, 9]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two steps by two processes."""
    folder = tmp_path_factory.mktemp("whole")
    write_pairs(folder, count=3)
    run_two(folder, "--steps", "2", *HELD_OUT)
    return folder


def test_two_processes_train_as_one_with_both_batches(whole: Path) -> None:
    state = torch.load(whole / "model.checkpoint.pt", weights_only=True)
    assert (whole / "model.onnx").is_file()

    chosen = settings(whole, steps=2)
    torch.manual_seed(chosen.seed)
    objective = objective_of(chosen)
    optimizer = objective.optimizer()
    files = read_pairs(whole / "pairs.csv", ("T1", "T2"))[:2]
    pairs = [load_pair(item, chosen) for item in files]
    sampler = objective.sampler([Material(kind="real", pairs=pairs)], chosen)
    for step in range(2):
        losses = [
            objective.loss(sampler[2 * step + rank], torch.device("cpu"))[0] for rank in range(2)
        ]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert state["progress"]["losses"][step] == pytest.approx(loss.item(), rel=1e-5)
    for name, value in objective.network.state_dict().items():
        np.testing.assert_allclose(state["network"][name], value, rtol=1e-4, atol=1e-6)


def test_a_resume_goes_on_with_as_many_processes(whole: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3)
    run_two(tmp_path, "--steps", "1", *HELD_OUT)
    chosen = settings(
        tmp_path, steps=2, training_pairs=2, validation_batches=1, validate_every=1, resume=True
    )
    with pytest.raises(SettingsError, match="had 2 processes and now has 1; start as many"):
        train(chosen)
    run_two(tmp_path, "--steps", "2", "--resume", *HELD_OUT)
    expected, found = (
        torch.load(folder / "model.checkpoint.pt", weights_only=True)
        for folder in (whole, tmp_path)
    )
    for name in ("losses", "validations"):
        assert found["progress"][name] == expected["progress"][name]
    for name, value in expected["network"].items():
        assert torch.equal(found["network"][name], value)
