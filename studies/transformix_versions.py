# SPDX-License-Identifier: Apache-2.0
"""What transformix of another release makes of transform files (docs/guide/reuse.md).

    python3.11 -m venv old && old/bin/pip install itk-elastix==0.17.1 itk==5.3.0 "numpy<2"
    python studies/transformix_versions.py --python old/bin/python

registers the template of the demo to itself, moved by 12 mm and about 6 degrees, by elastix alone:
a rigid transform and a B-spline. Then it has the transform files read by transformix of the other
environment: those that elastix wrote, and those that `RegistrationResult.save` writes for the same
transforms. Prints by how much each field is wrong on average, in mm, as a Markdown table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
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
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom
from cnnmetric.errors import RegistrationError
from cnnmetric.images import warping
from cnnmetric.registration import elastix_transforms
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject
from shared import table_head
from shared import table_row

SHRINKING = 4  # of the template, which is of 1 mm
SHIFT, ANGLE = (9.0, -6.0, 5.0), 0.1  # mm, radians
# Run by the other environment, which has no cnnmetric.
READ = """
import sys
from importlib import metadata
import itk

file, image, out = sys.argv[1:]
parameters = itk.ParameterObject.New()
parameters.ReadParameterFile(file)
transformix = itk.TransformixFilter.New(itk.imread(image, itk.F))
transformix.SetTransformParameterObject(parameters)
transformix.SetComputeDeformationField(True)
transformix.SetOutputDirectory(out)
transformix.UpdateLargestPossibleRegion()
itk.imwrite(transformix.GetOutputDeformationField(), out + "/field.mha")
print("itk-elastix " + metadata.version("itk-elastix"))
"""


@dataclass(frozen=True, kw_only=True)
class TransformixSettings(Settings):
    """Who reads the files."""

    python: Path = setting(help_text="interpreter of the environment with the other itk-elastix")


def images() -> tuple[Image, Image]:
    """Return a coarse image, and the same one moved."""
    fine = make_phantom(load_anatomy(), seed=1).fixed.image
    fixed = itk.shrink_image_filter(fine, shrink_factors=[SHRINKING] * 3)
    motion = itk.Euler3DTransform[itk.D].New()
    motion.SetRotation(0.0, 0.0, ANGLE)
    motion.SetTranslation(SHIFT)
    return fixed, warping.resample_image(fixed, fixed, motion)


def transform_files(fixed: Image, moving: Image, folder: Path) -> ParameterObject:
    """Register by elastix alone, which writes its files into a folder."""
    parameters = itk.ParameterObject.New()
    for name in ("rigid", "bspline"):
        parameters.AddParameterMap(parameters.GetDefaultParameterMap(name, 3, 16.0))
    for place in range(2):
        parameters.SetParameter(place, "MaximumNumberOfIterations", "100")
        parameters.SetParameter(place, "WriteResultImage", "false")
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    method.SetParameterObject(parameters)
    method.SetOutputDirectory(str(folder))
    method.SetNumberOfThreads(1)
    method.SetLogToConsole(False)
    method.UpdateLargestPossibleRegion()
    return method.GetTransformParameterObject()


def compare(settings: TransformixSettings) -> None:
    """Do what the module says."""
    fixed, moving = images()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        by_elastix, by_save, out = (folder / part for part in ("elastix", "save", "out"))
        for place in (by_elastix, by_save, out):
            place.mkdir()
        found = transform_files(fixed, moving, by_elastix)
        maps = elastix_transforms.parameter_maps(found)
        elastix_transforms.write_chain(maps, by_save)
        truth = elastix_transforms.sampled(found, fixed)
        itk.imwrite(moving, str(folder / "moving.mha"))
        print(table_head(["files written by", "read by", "wrong by, mean (mm)"]))
        for writer, place in (("elastix", by_elastix), ("save", by_save)):
            file = place / f"TransformParameters.{len(maps) - 1}.txt"
            command = [str(settings.python), "-c", READ, str(file), str(folder / "moving.mha")]
            done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                msg = f"{settings.python} cannot read {file.name}: {done.stderr.strip()[-500:]}"
                raise RegistrationError(msg)
            field = itk.array_from_image(itk.imread(str(out / "field.mha")))
            error = np.linalg.norm(field - truth, axis=-1).mean()
            print(table_row([writer, done.stdout.strip().splitlines()[-1], f"{error:.1f}"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(TransformixSettings, __doc__ or "", prog=Path(__file__).name)
    return run_command(
        Path(__file__).stem, lambda: compare(settings_from(parser.parse_args(arguments)))
    )


if __name__ == "__main__":
    sys.exit(main())
