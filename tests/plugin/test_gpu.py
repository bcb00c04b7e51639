# SPDX-License-Identifier: Apache-2.0
"""Who has a GPU learns once that it is not used; nobody else is told."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from cnnmetric.plugin import gpu


@pytest.fixture(autouse=True)
def _nobody_was_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_warned", False)


@pytest.fixture(scope="module")
def report(small_model: Path) -> str:
    """Return what a network says that finds no usable GPU, for whatever there is is hidden."""
    program = (
        "import sys, cnnmetric\n"
        "print(cnnmetric.DissimilarityNetwork(sys.argv[1], device='auto').device_report)"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(small_model)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.rstrip()


def test_the_reason_is_a_warning_once(report: str) -> None:
    with warnings.catch_warnings(record=True) as all_:
        warnings.simplefilter("always")
        gpu.warn_of_fallback(report, gpu=True)
        gpu.warn_of_fallback(report, gpu=True)
    (warning,) = all_
    reason = report.partition("no usable CUDA device: ")[2].removesuffix(")")
    assert len(reason) > 10
    assert issubclass(warning.category, RuntimeWarning)
    assert reason in str(warning.message)


def test_the_text_of_a_metric_on_images_holds_the_reason_too(report: str) -> None:
    with pytest.warns(RuntimeWarning, match="no usable|the CPU"):
        gpu.warn_of_fallback(f"8 blocks, 2 threads, {report}.", gpu=True)


def test_without_a_gpu_or_with_one_in_use_there_is_no_warning(report: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpu.warn_of_fallback(report, gpu=False)
        gpu.warn_of_fallback("CPU, ONNX Runtime 1.31.1", gpu=True)
        gpu.warn_of_fallback("CUDA device 0, ONNX Runtime 1.31.1", gpu=True)


@pytest.mark.parametrize("file", ["dev/nvidia0", "dev/nvidia3", "usr/lib/wsl/lib/libcuda.so.1"])
def test_a_gpu_is_there_with_its_driver_unless_it_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert not gpu.is_here(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    assert gpu.is_here(tmp_path)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not gpu.is_here(tmp_path)
