# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric register``: two images in, a folder with the result out; or a table of pairs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.commands.cohort import run_table
from cnnmetric.commands.command import Command
from cnnmetric.files.output import check_folder
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.types import Deformation

_HOW, _OUTPUT, _SYSTEM = "how to register", "what is written and printed", "computer"
_COHORT = "many pairs"
_OF_A_PAIR = ("initial", "fixed_mask", "moving_mask")


@dataclass(frozen=True, kw_only=True)
class RegisterSettings(Settings):
    """Those of `cnnmetric.register`, and what is written.

    A test compares names and defaults with the function's.
    """

    fixed: Path | None = setting(
        None, help_text="image whose grid counts", positional=True, aliases=("-f", "--fixed")
    )
    moving: Path | None = setting(
        None, help_text="image that is moved", positional=True, aliases=("-m", "--moving")
    )
    out: Path = setting(
        help_text="folder for the result; made if it does not exist",
        aliases=("-o", "-out"),
        metavar="FOLDER",
        group=_OUTPUT,
    )
    overwrite: bool = setting(
        False, help_text="replace the result that the folder holds", group=_OUTPUT
    )

    fixed_modality: str = setting(
        "",
        help_text="which of the model's modalities the fixed image shows, for example T1; the "
        "model's first one where this is left out",
        group=_HOW,
    )
    model: str = setting(
        DEFAULT_MODEL,
        help_text="name of an installed model (see: cnnmetric models), or an .onnx file",
        group=_HOW,
    )
    deformation: Deformation = setting(
        "field",
        help_text="what the moving image may undergo; field is the most accurate",
        group=_HOW,
    )
    initial: Path | None = setting(
        None,
        help_text="transform to start from, of ITK (.h5, .tfm, .mat) or elastix (.txt)",
        aliases=("-t0",),
        group=_HOW,
    )
    fixed_mask: Path | None = setting(
        None,
        help_text="image on the fixed image's grid, not 0 where to compare",
        aliases=("-fMask",),
        group=_HOW,
    )
    moving_mask: Path | None = setting(
        None,
        help_text="the same for the moving image",
        aliases=("-mMask",),
        group=_HOW,
    )
    grid_spacing: float | None = setting(
        None,
        help_text="voxel size of the finest level; chosen by the images where left out",
        unit="mm",
        above=0,
        group=_HOW,
    )
    seed: int = setting(1, help_text="of whatever is random", minimum=0, group=_HOW)
    device: str = setting("auto", help_text="auto, cpu or cuda:N", group=_SYSTEM)
    threads: int = setting(
        0,
        help_text="of the registration; 0 for all processors",
        minimum=0,
        aliases=("-threads",),
        group=_SYSTEM,
    )
    verbose: bool = setting(False, help_text="print what is done, and elastix's log", group=_OUTPUT)

    table: Path | None = setting(
        None,
        help_text="CSV with the columns fixed and moving, and where wanted name, fixed_modality, "
        "fixed_mask, moving_mask and initial, with files relative to it; every pair gets a folder "
        "of its name in --out, and index.html lists them",
        group=_COHORT,
    )
    workers: int = setting(
        0,
        help_text="registrations at a time on this machine; 0 for as many as --threads leaves room "
        "for",
        minimum=0,
        group=_COHORT,
    )
    scheduler: str = setting(
        "",
        help_text="address of a Dask scheduler whose workers register, such as tcp://node:8786",
        metavar="ADDRESS",
        group=_COHORT,
    )

    def broken_rules(self) -> Iterator[str]:
        """Check that there are two images, or a table and nothing that belongs into it."""
        if self.table is None:
            if self.fixed is None or self.moving is None:
                yield "give FIXED and MOVING, or --table"
            for name in ("workers", "scheduler"):
                if getattr(self, name):
                    yield f"--{name} goes with --table"
            return
        for name in ("fixed", "moving", *_OF_A_PAIR):
            if getattr(self, name) is not None:
                shown = name.upper() if name in ("fixed", "moving") else f"--{name}"
                yield f"{shown.replace('_', '-')} is a column of the --table; give one of them"
        for name in ("overwrite", "verbose"):
            if getattr(self, name):
                yield f"--{name} does not go with --table"


# What the folder and the messages are about; the other settings go to `cnnmetric.register`.
_OF_A_TABLE = frozenset({"table", "workers", "scheduler"})
OF_THE_COMMAND = frozenset({"out", "overwrite"}) | _OF_A_TABLE


def run(settings: RegisterSettings) -> None:
    """Register, and write the result."""
    if settings.table is not None:
        run_table(settings.table, settings.out, _options_of_table(settings))
        return
    from cnnmetric.registration import result as results
    from cnnmetric.registration.register import register

    check_folder(settings.out, option="--out")
    results.check_place(settings.out, overwrite=settings.overwrite)
    started = time.perf_counter()
    result = register(**arguments(settings))
    files = result.save(settings.out, overwrite=settings.overwrite)
    seconds = time.perf_counter() - started
    for file in files:
        print(file)
    print(f"done in {seconds:.0f} s")


def arguments(settings: RegisterSettings) -> dict[str, Any]:
    """Return what `cnnmetric.register` is given."""
    return {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in OF_THE_COMMAND
    }


def _options_of_table(settings: RegisterSettings) -> dict[str, Any]:
    """Return what `cnnmetric.register_cohort` is given besides table and folder."""
    of_a_pair = ("fixed", "moving", *_OF_A_PAIR, "verbose")
    shared = {name: v for name, v in arguments(settings).items() if name not in of_a_pair}
    return {**shared, "workers": settings.workers, "scheduler": settings.scheduler}


COMMANDS = {
    "": Command(
        settings=RegisterSettings,
        run=run,
        description="""Bring the moving image onto the fixed image, and write the warped image, the
transform, the displacement and a log into a folder.""",
        examples=(
            ("A T2 image onto a T1 image", "cnnmetric register T1.nii.gz T2.nii.gz -o out/"),
            (
                "A T1 image onto a T2 image",
                "cnnmetric register T2.nii.gz T1.nii.gz -o out/ --fixed-modality T2",
            ),
            (
                "Without local deformation, compared inside of a mask",
                "cnnmetric register T1.nii.gz T2.nii.gz -o out/ --deformation affine "
                "--fixed-mask brain.nii.gz",
            ),
            ("All pairs of a table", "cnnmetric register --table pairs.csv -o outs/"),
        ),
    )
}
