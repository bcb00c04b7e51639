# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's CUDA provider against the processor: results and times of the shipped models.

    python benchmarks/onnx_providers.py

needs a GPU, onnxruntime-gpu and PyTorch, and no ITK. Prints a Markdown table. Blocks are smooth
random images with a little noise. A difference is the largest one, relative to the largest value:
of the dissimilarity, and of the gradients by the first and the second image. Where a rectifier's
input is 0 to rounding, a gradient may jump.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))
import cnnmetric_command  # noqa: E402

cnnmetric_command.without_plugin()

from cnnmetric.command_line import Settings  # noqa: E402
from cnnmetric.command_line import parser_for  # noqa: E402
from cnnmetric.command_line import run_command  # noqa: E402
from cnnmetric.command_line import setting  # noqa: E402
from cnnmetric.command_line import settings_from  # noqa: E402
from cnnmetric.errors import SettingsError  # noqa: E402

MODELS = ROOT / "models"
PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider")
# Blocks, and about how many voxels each has along an axis.
BATCHES = ((1, 83), (8, 83), (64, 27), (1, 159))
# Larger batches are not computed by the processor.
MOST_ON_CPU = 2_000_000


def sessions(file: Path) -> dict[str, Any]:
    """Return a session of each provider, in full float32."""
    found = {}
    for name in PROVIDERS:
        options = {"use_tf32": "0"} if name.startswith("CUDA") else {}
        session = onnxruntime.InferenceSession(str(file), providers=[(name, options)])
        if session.get_providers()[0] != name:
            msg = f"ONNX Runtime cannot use {name}; install onnxruntime-gpu"
            raise SettingsError(msg)
        found[name] = session
    return found


def feeds(count: int, edge: int, places: int) -> dict[str, Any]:
    """Return the inputs of a model for so many blocks."""
    generator = torch.manual_seed(1)
    coarse = torch.rand(count, 2, *(edge // 4 + 2,) * 3, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(edge,) * 3, mode="trilinear")
    noise = 0.02 * torch.randn(smooth.shape, generator=generator)
    return {
        "patches": (smooth + noise).clamp(0, 1).numpy(),
        "weights": np.ones((count, 1, *(places,) * 3), np.float32),
        "gradients_wanted": np.ones(2, bool),
    }


def seconds(session: Any, inputs: dict[str, Any], repeats: int) -> float:
    """Return the median time of an evaluation."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        session.run(None, inputs)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def row(model: str, both: dict[str, Any], count: int, wanted: int, repeats: int) -> str:
    """Measure one model on one batch."""
    cpu, cuda = both.values()
    about = cuda.get_modelmeta().custom_metadata_map
    field, stride = (int(about[f"cnnmetric.{key}"]) for key in ("receptive_field", "stride"))
    places = (wanted - field) // stride + 1
    edge = (places - 1) * stride + field
    inputs = feeds(count, edge, places)
    on_gpu = cuda.run(None, inputs)
    time_gpu = seconds(cuda, inputs, repeats)
    time_cpu, differences = "", ""
    if count * edge**3 <= MOST_ON_CPU:
        expected = cpu.run(None, inputs)
        time_cpu = f"{seconds(cpu, inputs, 1):.3f}"
        differences = ", ".join(
            f"{np.abs(a - b).max() / np.abs(b).max():.1e}"
            for a, b in zip(on_gpu, expected, strict=True)
        )
    each = 1e9 * time_gpu / (count * edge**3)
    return (
        f"| {model} | {count} x {edge}^3 | {time_cpu} | {time_gpu:.4f} | {each:.1f} | "
        f"{differences} |"
    )


@dataclass(frozen=True, kw_only=True)
class ProviderSettings(Settings):
    """What is measured."""

    repeats: int = setting(5, help_text="evaluations of which the median counts", minimum=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(ProviderSettings, __doc__ or "")
    return run_command(
        "onnx_providers", lambda: compare(settings_from(parser.parse_args(arguments)))
    )


def compare(settings: ProviderSettings) -> None:
    """Measure all models and print the table."""
    if not torch.cuda.is_available():
        msg = "PyTorch finds no CUDA device; run this on a machine with a GPU"
        raise SettingsError(msg)
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # PyTorch's CUDA libraries
    print(f"ONNX Runtime {onnxruntime.__version__}, {torch.cuda.get_device_name()}\n")
    print("| model | blocks | processor [s] | CUDA [s] | CUDA [ns per voxel] | differences |")
    print("|---|---|---:|---:|---:|---|")
    for file in sorted(MODELS.glob("*.onnx")):
        both = sessions(file)
        for count, wanted in BATCHES:
            print(row(file.stem, both, count, wanted, settings.repeats), flush=True)


if __name__ == "__main__":
    sys.exit(main())
