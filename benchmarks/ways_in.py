# SPDX-License-Identifier: Apache-2.0
"""What a user writes and waits for, with several tools, until the same things are on disk.

    python benchmarks/ways_in.py

From two images and the labels of the moving one to the warped image, the displacement in mm, the
Jacobian determinant and the labels on the fixed image. Prints a Markdown table: lines to write,
files that are left, seconds, and the Dice overlap of the labels with the true ones (no tool sees
them). The pair is the one of the examples. Tools that are not installed are left out. Each is used
as its own documentation shows it, with its defaults for two modalities.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

CNNMETRIC = """\
cnnmetric register subject1_T1.nii.gz subject2_T2.nii.gz -o out/ --fixed-modality T1 --jacobian
cnnmetric transform out/ subject2_labels.nii.gz -o labels.nii.gz --labels
"""
ANTSPY = """\
import shutil, ants
fixed, moving = ants.image_read("subject1_T1.nii.gz"), ants.image_read("subject2_T2.nii.gz")
found = ants.registration(fixed, moving, "SyN")["fwdtransforms"]
ants.image_write(ants.apply_transforms(fixed, moving, found), "warped.nii.gz")
field = ants.apply_transforms(fixed, moving, found, compose="all")
shutil.move(field, "displacement.nii.gz")
jacobian = ants.create_jacobian_determinant_image(fixed, "displacement.nii.gz")
ants.image_write(jacobian, "jacobian.nii.gz")
labels = ants.image_read("subject2_labels.nii.gz")
labels = ants.apply_transforms(fixed, labels, found, interpolator="genericLabel")
ants.image_write(labels, "labels.nii.gz")
"""
GREEDY = """\
from picsl_greedy import Greedy3D
pair = "-d 3 -i subject1_T1.nii.gz subject2_T2.nii.gz -m NMI -n 100x50x20"
Greedy3D().execute(f"{pair} -a -ia-image-centers -o affine.mat")
Greedy3D().execute(f"{pair} -it affine.mat -s 4vox 1.5vox -o warp.nii.gz")
apply = "-d 3 -rf subject1_T1.nii.gz -r warp.nii.gz affine.mat"
Greedy3D().execute(f"{apply} -rm subject2_T2.nii.gz warped.nii.gz -rc displacement.nii.gz")
Greedy3D().execute(f"{apply} -ri LABEL 0.2vox -rm subject2_labels.nii.gz labels.nii.gz")
Greedy3D().execute(f"{apply} -rj jacobian.nii.gz")
"""
ELASTIX = """\
import itk
fixed, moving = (itk.imread(n, itk.F) for n in ("subject1_T1.nii.gz", "subject2_T2.nii.gz"))
parameters = itk.ParameterObject.New()
for kind in ("affine", "bspline"):
    parameters.AddParameterMap(parameters.GetDefaultParameterMap(kind))
warped, found = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
itk.imwrite(warped, "warped.nii.gz")
field = itk.transformix_deformation_field(moving, found)
itk.imwrite(field, "displacement.nii.gz")
itk.imwrite(itk.displacement_field_jacobian_determinant_filter(field), "jacobian.nii.gz")
found.SetParameter("FinalBSplineInterpolationOrder", "0")
labels = itk.transformix_filter(itk.imread("subject2_labels.nii.gz", itk.F), found)
itk.imwrite(labels, "labels.nii.gz")
"""


@dataclass(frozen=True)
class Tool:
    """How a tool is used.

    Attributes
    ----------
    name
        For the table.
    package
        Python package that it needs.
    text
        What the user writes, Python unless ``shell``.
    shell
        It is commands.
    """

    name: str
    package: str
    text: str
    shell: bool = False

    @property
    def lines(self) -> int:
        """How many lines the user writes."""
        return len(self.text.splitlines())

    def run(self, folder: Path, *, threads: int) -> float:
        """Do it in a folder; return the seconds.

        Raises
        ------
        RuntimeError
            With what it printed, if it fails.
        """
        command = ["sh", "-ec", self.text] if self.shell else [sys.executable, "-c", self.text]
        names = ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS")
        variables = os.environ | dict.fromkeys(names, str(threads))
        variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            msg = f"{self.name} ended with {done.returncode}: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
        return time.monotonic() - start


TOOLS = (
    Tool("cnnmetric", "cnnmetric", CNNMETRIC, shell=True),
    Tool("ANTsPy", "ants", ANTSPY),
    Tool("Greedy", "picsl_greedy", GREEDY),
    Tool("elastix (mutual information)", "itk", ELASTIX),
)


@dataclass(frozen=True, kw_only=True)
class WaysInSettings(Settings):
    """On which images, with how much of the machine."""

    voxel_size: float = setting(1.0, help_text="of the images", unit="mm", above=0)
    threads: int = setting(1, help_text="of each tool", minimum=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(WaysInSettings, __doc__, prog=Path(__file__).name)
    return run_command("ways_in", lambda: compare(settings_from(parser.parse_args(arguments))))


def compare(settings: WaysInSettings) -> None:
    """Run every tool, one after the other, and print the table."""
    print("| tool | lines | files | seconds | Dice |\n|---|---:|---:|---:|---:|", flush=True)
    for tool in TOOLS:
        if importlib.util.find_spec(tool.package) is None:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make = [sys.executable, str(EXAMPLES / "make_pair.py"), str(folder)]
            subprocess.run([*make, "--voxel-size", str(settings.voxel_size)], check=True)
            given = set(folder.rglob("*"))
            seconds = tool.run(folder, threads=settings.threads)
            files = [file for file in folder.rglob("*") if file.is_file() and file not in given]
            overlap = mean_dice(folder / "labels.nii.gz", folder / "subject1_labels.nii.gz")
        print(
            f"| {tool.name} | {tool.lines} | {len(files)} | {seconds:.0f} | {overlap:.3f} |",
            flush=True,
        )


def mean_dice(found: Path, expected: Path) -> float:
    """Return the mean Dice overlap of all labels but the background."""
    first, second = (np.rint(itk.array_from_image(itk.imread(str(f)))) for f in (found, expected))
    shares = [
        2 * np.sum((first == label) & (second == label)) / (np.sum(first == label) + size)
        for label, size in zip(*np.unique(second, return_counts=True), strict=True)
        if label != 0
    ]
    return float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(main())
