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
from cnnmetric.commands.summary import summary
from cnnmetric.commands.summary import verdict
from cnnmetric.files.bids import BidsNames
from cnnmetric.files.output import check_folder
from cnnmetric.files.output import json_text
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.types import Deformation

_HOW, _ELASTIX, _SYSTEM = "how to register", "as in elastix", "computer"
_OUTPUT, _MANY = "what is written and printed", "many pairs"
_OF_A_PAIR = ("fixed_mask", "moving_mask", "initial")


@dataclass(frozen=True, kw_only=True)
class RegisterSettings(Settings):
    """Those of `cnnmetric.register`, and what is written.

    A test compares names and defaults with the function's.
    """

    fixed: Path | None = setting(
        None,
        help_text="image whose grid counts: NIfTI, NRRD, MetaImage, MGZ and others, or a folder "
        "with a DICOM series",
        positional=True,
        aliases=("-f", "--fixed"),
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
    displacement: bool = setting(
        True, help_text="write the displacement at every voxel", group=_OUTPUT
    )
    jacobian: bool = setting(
        False, help_text="write the Jacobian determinant at every voxel", group=_OUTPUT
    )
    report: bool = setting(
        True,
        help_text="judge the result without labels, and write report.html, which shows it",
        group=_OUTPUT,
    )
    bids: bool = setting(
        False,
        help_text="give images, transform and report a second name in the style of BIDS",
        group=_OUTPUT,
    )
    json: bool = setting(
        False, help_text="print JSON on standard output, and no text", group=_OUTPUT
    )
    quiet: bool = setting(False, help_text="print errors only", group=_OUTPUT)
    verbose: bool = setting(False, help_text="print what is done, and elastix's log", group=_OUTPUT)

    fixed_modality: str = setting(
        "",
        help_text="for a model of two modalities, which of them the fixed image shows, for example "
        "T1; its first one where this is left out",
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
    grid_spacing: float | None = setting(
        None,
        help_text="voxel size of the finest level; chosen by the images where left out",
        unit="mm",
        above=0,
        group=_HOW,
    )
    field_smoothing: float | None = setting(
        None,
        help_text="resistance of the displacement field against deformation, SD of a Gaussian; "
        "where left out 1 or, where the images look as of one subject, 2 at the finest level",
        unit="voxels",
        minimum=0,
        group=_HOW,
    )
    seed: int = setting(1, help_text="of whatever is random", minimum=0, group=_HOW)

    fixed_mask: Path | None = setting(
        None,
        help_text="image of which the voxels that are not 0 count",
        aliases=("-fMask",),
        group=_ELASTIX,
    )
    moving_mask: Path | None = setting(
        None,
        help_text="the same for the moving image",
        aliases=("-mMask",),
        group=_ELASTIX,
    )
    initial: Path | None = setting(
        None,
        help_text="transform to start from, of ITK (.h5, .tfm, .mat) or elastix (.txt), or the "
        "folder of an earlier result",
        aliases=("-t0",),
        group=_ELASTIX,
    )
    parameters: tuple[Path, ...] = setting(
        (),
        help_text="parameter file that replaces the built-in stages; several in their order, each "
        "with a -p in front of it",
        separate=True,
        aliases=("-p",),
        group=_ELASTIX,
    )

    device: str = setting("auto", help_text="auto, cpu or cuda:N", group=_SYSTEM)
    threads: int = setting(
        0,
        help_text="of the registration; 0 for all processors",
        minimum=0,
        aliases=("-threads",),
        group=_SYSTEM,
    )

    table: Path | None = setting(
        None,
        help_text="CSV with the columns fixed and moving, and where wanted name, fixed_modality, "
        "fixed_mask, moving_mask and initial, with files relative to it; every pair gets a folder "
        "of its name in --out, and index.html lists them",
        group=_MANY,
    )
    workers: int = setting(
        0,
        help_text="registrations at a time on this machine; 0 for as many as --threads leaves room "
        "for",
        minimum=0,
        group=_MANY,
    )
    scheduler: str = setting(
        "",
        help_text="address of a Dask scheduler whose workers register, such as tcp://node:8786",
        metavar="ADDRESS",
        group=_MANY,
    )

    def broken_rules(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.verbose and (self.quiet or self.json):
            yield "--verbose excludes --quiet and --json"
        if self.table is None:
            if self.fixed is None or self.moving is None:
                yield "give FIXED and MOVING, or --table"
            for name in ("workers", "scheduler"):
                if getattr(self, name):
                    yield f"--{name} goes with --table"
            return
        if self.fixed is not None:
            yield "give FIXED and MOVING, or --table, not both"
        for name in _OF_A_PAIR:
            if getattr(self, name) is not None:
                yield f"--{name.replace('_', '-')} is a column of the --table"
        for name in ("overwrite", "verbose", "bids"):
            if getattr(self, name):
                yield f"--{name} does not go with --table"


# About the folder and what is printed; the other settings go to `cnnmetric.register`.
OF_THE_COMMAND = frozenset(
    {"out", "overwrite", "displacement", "jacobian", "report", "bids", "json", "quiet"}
    | {"table", "workers", "scheduler"}
)


def run(settings: RegisterSettings) -> None:
    """Register, and write the result."""
    if settings.table is not None:
        run_table(
            settings.table,
            settings.out,
            _arguments_of_table(settings),
            quiet=settings.quiet,
            as_json=settings.json,
        )
        return
    from cnnmetric.registration.register import register
    from cnnmetric.registration.result import check_place

    # Refused before the work.
    names = None
    if settings.bids and settings.fixed and settings.moving:
        names = BidsNames(settings.fixed.name, settings.moving.name)
    check_place(settings.out, overwrite=settings.overwrite, names=names)
    check_folder(settings.out, option="--out")
    started = time.perf_counter()
    result = register(**arguments(settings), progress=not settings.quiet)
    files = result.save(
        settings.out,
        overwrite=settings.overwrite,
        displacement=settings.displacement,
        jacobian=settings.jacobian,
        report=settings.report,
        bids=settings.bids,
    )
    found = summary(result, files, seconds=time.perf_counter() - started)
    if settings.json:
        print(json_text(found, indent=2))
    elif not settings.quiet:
        print(*files, sep="\n")
        print(verdict(found))


def arguments(settings: RegisterSettings) -> dict[str, Any]:
    """Return what `cnnmetric.register` is given."""
    return {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in OF_THE_COMMAND
    }


def _arguments_of_table(settings: RegisterSettings) -> dict[str, Any]:
    """Return what `cnnmetric.register_cohort` is given besides table and folder."""
    of_a_pair = {"fixed", "moving", *_OF_A_PAIR, "verbose"}
    shared = {name: value for name, value in arguments(settings).items() if name not in of_a_pair}
    more = ("displacement", "jacobian", "report", "workers", "scheduler")
    return {**shared, **{name: getattr(settings, name) for name in more}}


COMMANDS = {
    "": Command(
        settings=RegisterSettings,
        run=run,
        description="""Bring the moving image onto the fixed image, and write the warped image, the
transform for ITK and for transformix, the displacement and a log into a folder. Model, grid and
device are chosen where nothing is said.""",
        examples=(
            ("A T2 image onto a T1 image", "cnnmetric register T1.nii.gz T2.nii.gz -o out/"),
            (
                "A T1 image onto a T2 image, by the paper's network, which tells them apart",
                "cnnmetric register T2.nii.gz T1.nii.gz -o out/ --model t1t2 --fixed-modality T2",
            ),
            (
                "Folders of DICOM files, into a folder that holds an earlier result",
                "cnnmetric register T1_dicom/ T2_dicom/ -o out/ --overwrite",
            ),
            (
                "Without local deformation, compared inside of a mask",
                "cnnmetric register T1.nii.gz T2.nii.gz -o out/ --deformation affine "
                "-fMask brain.nii.gz",
            ),
            (
                "With your own parameter files of elastix",
                "cnnmetric register T1.nii.gz T2.nii.gz -o out/ -p affine.txt -p bspline.txt",
            ),
            ("All pairs of a table", "cnnmetric register --table pairs.csv -o outs/"),
        ),
    )
}
