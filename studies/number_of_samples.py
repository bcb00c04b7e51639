# SPDX-License-Identifier: Apache-2.0
"""How far the number of samples can be lowered: NumberOfSpatialSamples against accuracy and time.

    python studies/number_of_samples.py --samples 125 250 500 1000 --seeds 1 2

registers the pair of the demo, whose truth is known: once by the shipped similarity transform,
then by the shipped B-spline with every number of samples (patches per iteration) and seed. Prints
mean and standard deviation over the seeds as a Markdown table. Results are appended to a file of
JSON lines as they come; run again, the script goes on where it was.

``--sampler none`` leaves ImageSampler out of the parameter file. The blocks are the same, but the
optimizer then takes the gradient for exact and chooses its step without regard to its noise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.demo.cases import choose_case
from cnnmetric.demo.measures import measure
from cnnmetric.demo.settings import DemoSettings
from cnnmetric.registration import parameter_files
from cnnmetric.registration.stages import run_stage
from shared import table_head
from shared import table_row

PATCHES_PER_BLOCK = 125  # of 33 voxels, at patches of 17 and a stride of 4
MEASURES = ("dice_mean", "target_registration_error_mean_mm", "seconds")


@dataclass(frozen=True, kw_only=True)
class SamplesSettings(Settings):
    """Which registrations to run, and where to note the results."""

    samples: tuple[int, ...] = setting(
        (125, 250, 500, 1000), help_text="values of NumberOfSpatialSamples", minimum=1
    )
    samplers: tuple[str, ...] = setting(
        ("RandomCoordinate",), help_text="values of ImageSampler; none for no such line"
    )
    seeds: tuple[int, ...] = setting((1, 2), help_text="values of RandomSeed")
    results: Path = setting(
        Path("number_of_samples.jsonl"), help_text="file of JSON lines to continue"
    )
    threads: int = setting(
        0, help_text="threads of elastix, 0 = all cores", unit="threads", minimum=0
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(SamplesSettings, "Accuracy against the number of samples.")

    def command() -> None:
        settings = settings_from(parser.parse_args(arguments))
        print(table(settings, run(settings)))

    return run_command(
        "number_of_samples", command, interrupted="interrupted; the same command goes on"
    )


def run(settings: SamplesSettings) -> list[dict[str, Any]]:
    """Run the registrations that have no result yet and return all results."""
    lines = (
        settings.results.read_text(encoding="utf-8").splitlines()
        if settings.results.is_file()
        else []
    )
    results = [json.loads(line) for line in lines]
    done = {(row["sampler"], row["samples"], row["seed"]) for row in results}
    case = choose_case(DemoSettings())
    start = None
    for seed in settings.seeds:
        for sampler in settings.samplers:
            for samples in settings.samples:
                if (sampler, samples, seed) in done:
                    continue
                if start is None:
                    similarity = parameter_files.read("cnn", "similarity")
                    start = run_stage(case.fixed, case.moving, similarity, name="similarity")
                parameters = bspline_parameters(sampler, samples, seed)
                stage = run_stage(
                    case.fixed,
                    case.moving,
                    parameters,
                    name="bspline",
                    initial=start.parameters,
                    threads=settings.threads,
                )
                found = measure(
                    case, "bspline", transform=stage.transform, seconds=stage.seconds
                ).record()
                row = {"sampler": sampler, "samples": samples, "seed": seed}
                row |= {name: found[name] for name in MEASURES}
                results.append(row)
                with settings.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, file=sys.stderr)
    return results


def bspline_parameters(sampler: str, samples: int, seed: int) -> Any:
    """Return the shipped B-spline parameters with another sampling."""
    overrides = {
        "RandomSeed": str(seed),
        "CNNMetricNumberOfBlocks": str(-(-samples // PATCHES_PER_BLOCK)),
    }
    if sampler != "none":
        overrides |= {"ImageSampler": sampler, "NumberOfSpatialSamples": str(samples)}
    return parameter_files.read("cnn", "bspline", overrides)


def table(settings: SamplesSettings, results: list[dict[str, Any]]) -> str:
    """Return mean and standard deviation over the seeds, one line per sampling."""
    names = ["ImageSampler", "NumberOfSpatialSamples", "Dice", "TRE, mm", "time, s"]
    lines = [table_head(names, texts=2)]
    for sampler in settings.samplers:
        for samples in settings.samples:
            rows = [
                row
                for row in results
                if (row["sampler"], row["samples"]) == (sampler, samples)
                and row["seed"] in settings.seeds
            ]
            cells = [
                f"{np.mean(values):.3g} ({np.std(values, ddof=1) if len(values) > 1 else 0:.2g})"
                for values in ([row[name] for row in rows] for name in MEASURES)
            ]
            lines.append(table_row([sampler, str(samples), *cells]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
