# SPDX-License-Identifier: Apache-2.0
"""What models cost: time of value and moving gradient per voxel of the evaluation grid.

    python benchmarks/model_cost.py t1t2 t1t2-fast

evaluates the same random images by every model in turns on one thread, and prints the median time
and its ratio to the first model's as a Markdown table.
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


def measure(settings: CostSettings) -> list[float]:
    """Return the median seconds of each model; the models take turns."""
    networks = [cnnmetric.DissimilarityNetwork(m, number_of_threads=1) for m in settings.models]
    shape = (settings.edge,) * 3
    rng = np.random.default_rng(0)
    first, second = (rng.random(shape, dtype=np.float32) for _ in range(2))
    seconds: list[list[float]] = [[] for _ in networks]
    for _ in range(settings.rounds):
        for network, times in zip(networks, seconds, strict=True):
            started = time.perf_counter()
            # As in a registration: the gradient with respect to the moving image.
            network.map_and_gradient(first, second, gradients_wanted=(False, True))
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in seconds]


def table(seconds: Sequence[float], settings: CostSettings) -> str:
    """Return the Markdown table."""
    rows = ["| model | ns per voxel | times cheaper |", "|---|---:|---:|"]
    for model, time_taken in zip(settings.models, seconds, strict=True):
        rows.append(
            f"| `{model}` | {time_taken / settings.edge**3 * 1e9:.0f} | "
            f"{seconds[0] / time_taken:.1f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
