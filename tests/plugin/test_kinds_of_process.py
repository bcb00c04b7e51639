# SPDX-License-Identifier: Apache-2.0
"""Processes of every kind, side by side and beside other ITKs, do what one does alone."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
from torch.utils.data import DataLoader

from support.metric_images import write_small_model
from support.work_of_processes import Works
from support.work_of_processes import work

TESTS = Path(__file__).resolve().parents[1]
# Seconds until a process counts as hanging, on machines that do other work, too.
PATIENCE = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "small.onnx")


@pytest.fixture(scope="module")
def alone(model: Path) -> list[float]:
    """Return what this process finds, which has its threads then."""
    found = work(model)
    assert len(found) > 6
    return found


# Others than forked processes import everything anew, which takes them a while.
@pytest.mark.parametrize(
    "kind",
    ["fork", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("spawn", "forkserver"))],
)
def test_two_processes_give_what_one_does(kind: str, model: Path, alone: list[float]) -> None:
    with multiprocessing.get_context(kind).Pool(2) as pool:
        found = pool.map_async(work, [model] * 3, chunksize=1).get(timeout=PATIENCE)
    assert found == [alone] * 3


@pytest.mark.slow
def test_workers_of_joblib_give_what_one_process_does(model: Path, alone: list[float]) -> None:
    call = joblib.delayed(work)
    found = joblib.Parallel(n_jobs=2, backend="loky", timeout=PATIENCE)([call(model)] * 2)
    assert found == [alone] * 2


def test_workers_of_a_data_loader_give_what_one_process_does(
    model: Path, alone: list[float]
) -> None:
    batches = DataLoader(Works(model, 2), batch_size=None, num_workers=2, timeout=PATIENCE)
    assert list(batches) == [alone] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "order",
    [
        ("ants", "SimpleITK", "support.work_of_processes"),
        ("support.work_of_processes", "ants", "SimpleITK"),
    ],
    ids=["before", "after"],
)
def test_other_itks_in_the_process_change_nothing(
    order: tuple[str, ...], model: Path, alone: list[float]
) -> None:
    pytest.importorskip("ants", reason="needs antspyx: pip install antspyx")
    code = "\n".join(
        [
            f"import sys; sys.path.insert(0, {str(TESTS)!r})",
            *(f"import {name}" for name in order),
            "import json, pathlib, numpy",
            "image = SimpleITK.GaussianSource(SimpleITK.sitkFloat32, [16] * 3)",
            "SimpleITK.SmoothingRecursiveGaussian(image, 1.0)",
            "ants.from_numpy(numpy.eye(8)).smooth_image(1.0)",
            f"found = support.work_of_processes.work(pathlib.Path({str(model)!r}))",
            "print(json.dumps(found))",
        ]
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == alone
