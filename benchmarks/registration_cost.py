# SPDX-License-Identifier: Apache-2.0
"""Where the time of one registration goes, on one thread.

    python benchmarks/registration_cost.py fixed_T1.nii.gz moving_T2.nii.gz

runs `cnnmetric.register` and prints, as Markdown tables, the seconds of every stage, those of the
displacement field by what is computed, and the most memory that the process had.
"""

from __future__ import annotations

import cProfile
import pstats
import resource
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cnnmetric
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration.result import RegistrationResult

# Functions of the compiled half, by their names in a profile.
PARTS = {
    "network": "evaluate",
    "interpolation": "sample_displaced",
    "filters": "smooth",
}


@dataclass(frozen=True, kw_only=True)
class RegistrationCostSettings(Settings):
    """What to register, and how."""

    images: tuple[Path, ...] = setting(
        (), help_text="the fixed image and the moving image", positional=True
    )
    fixed_modality: str = setting("T1", help_text="what the fixed image shows")
    model: str = setting(DEFAULT_MODEL, help_text="a name or an .onnx file")

    def broken_rules(self) -> Iterator[str]:
        """Check the number of images."""
        if len(self.images) != 2:
            yield f"two images are needed, the fixed and the moving one, not {len(self.images)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(RegistrationCostSettings, __doc__ or "", prog=Path(__file__).name)
    return run_command(
        "registration_cost", lambda: print(measure(settings_from(parser.parse_args(arguments))))
    )


def measure(settings: RegistrationCostSettings) -> str:
    """Register, and return the tables."""
    fixed, moving = settings.images
    profile = cProfile.Profile()
    started = time.process_time()
    profile.enable()
    result = cnnmetric.register(
        fixed, moving, fixed_modality=settings.fixed_modality, model=settings.model, threads=1
    )
    profile.disable()
    seconds = time.process_time() - started
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # of KB
    rows = ["| stage | s |", "|---|---:|"]
    rows += [f"| {stage.name} | {stage.seconds:.0f} |" for stage in result.stages]
    rows.append(f"| all, processor time | {seconds:.0f} |")
    rows += ["", "| displacement field | s |", "|---|---:|"]
    parts = field_parts(profile, result)
    rows += [f"| {part} | {seconds:.1f} |" for part, seconds in parts.items()]
    return "\n".join([*rows, "", f"Peak: {gigabytes:.2f} GB."])


def field_parts(profile: cProfile.Profile, result: RegistrationResult) -> dict[str, float]:
    """Return the seconds of the displacement field, by what is computed."""
    spent: dict[str, float] = {}
    for (_, _, name), numbers in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        spent[name] = spent.get(name, 0.0) + numbers[2]
    parts = {
        part: spent[f"<built-in method cnnmetric._core.{name}>"] for part, name in PARTS.items()
    }
    parts["everything else"] = result.stages[-1].seconds - sum(parts.values())
    return parts


if __name__ == "__main__":
    sys.exit(main())
