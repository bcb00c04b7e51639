# SPDX-License-Identifier: Apache-2.0
"""What models cost: time of value and moving gradient per voxel of the evaluation grid.

    python benchmarks/model_cost.py t1t2 t1t2-fast

evaluates the same random images by every model in turns on one thread, and prints the median of the
processor time and its ratio to the first model's as a Markdown table. Of models that describe each
image by itself, also the time of the evaluations that follow the first one.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import cnnmetric
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.metric.network import KeptDescriptors


@dataclass(frozen=True, kw_only=True)
class CostSettings(Settings):
    """Which models to compare, and how."""

    models: tuple[str, ...] = setting(
        ("t1t2", "t1t2-fast"), help_text="names or .onnx files", positional=True
    )
    edge: int = setting(81, help_text="edge of the images", unit="voxels", minimum=1)
    rounds: int = setting(7, help_text="evaluations of each model", minimum=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(CostSettings, __doc__ or "")

    def command() -> None:
        settings = settings_from(parser.parse_args(arguments))
        print(table(measure(settings), settings))

    return run_command("model_cost", command)


def measure(settings: CostSettings) -> list[tuple[float, float | None]]:
    """Return the median seconds of each model, whole and with descriptors kept, in turns."""
    networks = [cnnmetric.DissimilarityNetwork(m, number_of_threads=1) for m in settings.models]
    shape = (settings.edge,) * 3
    rng = np.random.default_rng(0)
    first, second = (rng.random(shape, dtype=np.float32) for _ in range(2))
    kept: list[KeptDescriptors] = [{} for _ in networks]
    whole: list[list[float]] = [[] for _ in networks]
    half: list[list[float]] = [[] for _ in networks]

    def seconds(network: cnnmetric.DissimilarityNetwork, known: KeptDescriptors | None) -> float:
        started = time.process_time()
        # As in a registration: the gradient with respect to the moving image.
        network.map_and_gradient(
            first, second, normalised=True, gradients_wanted=(False, True), kept=known
        )
        return time.process_time() - started

    for network, known in zip(networks, kept, strict=True):
        seconds(network, known)
    for _ in range(settings.rounds):
        for number, network in enumerate(networks):
            whole[number].append(seconds(network, None))
            if network.has_descriptors:
                half[number].append(seconds(network, kept[number]))
    return [
        (statistics.median(of_all), statistics.median(of_half) if of_half else None)
        for of_all, of_half in zip(whole, half, strict=True)
    ]


def table(seconds: Sequence[tuple[float, float | None]], settings: CostSettings) -> str:
    """Return the Markdown table."""
    rows = [
        "| model | ns per voxel | times cheaper | descriptors kept, ns |",
        "|---|---:|---:|---:|",
    ]
    per_voxel = 1e9 / settings.edge**3
    for model, (whole, half) in zip(settings.models, seconds, strict=True):
        kept = "" if half is None else f"{half * per_voxel:.0f}"
        ratio = seconds[0][0] / whole
        rows.append(f"| `{model}` | {whole * per_voxel:.0f} | {ratio:.1f} | {kept} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
