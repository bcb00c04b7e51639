# SPDX-License-Identifier: Apache-2.0
"""The blocks of code in the pages, and what has to be there for them to run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from markdown_it import MarkdownIt

import cnnmetric
from support.metric_images import subject

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"\bcnnmetric (?P<name>[a-z]+)\b|-m cnnmetric\.(?P<module>\w+)")
SIZE, SPACING = (26, 28, 25), 1.9  # voxels, mm; as small as the shipped parameter files bear
PARAMETERS = """\
(Metric "CNNMetric")
(Transform "EulerTransform")
(Optimizer "AdaptiveStochasticGradientDescent")
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
(Registration "MultiResolutionRegistration")
(NumberOfResolutions 1)
(MaximumNumberOfIterations 5)
(NewSamplesEveryIteration "true")
"""
OF_ELASTIX = '(InitialTransformParameterFileName "NoInitialTransform")\n'
PAIRS = "name,fixed,moving\n" + "".join(
    f"{name},subject1_T1.nii.gz,subject2_T2.nii.gz\n" for name in ("one", "two")
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code, the line of the page before its first one, and its language.

    The language of an indented block is empty.
    """

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        Block(language=token.info, text=token.content, line=(token.map or [0])[0] + 1)
        for token in tokens
        if token.type in ("fence", "code_block")
    ]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command of ours in the blocks: subcommand, options, values."""
    texts = [block.text for block in blocks(page) if block.language in ("", "sh")]
    yield from _commands_in("\n".join(texts))


def mentions(page: Path) -> Iterator[list[str]]:
    """Yield the same of the commands within sentences, which may leave out what is needed."""
    inline = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    yield from _commands_in("\n".join(inline))


def _commands_in(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        found = COMMAND.search(line)
        if found and not line.lstrip().startswith("#") and "..." not in line:
            ours = re.split(r" > |\)\"", line[found.end() :])[0]  # what follows is the shell's
            words = shlex.split(ours, comments=True)
            yield [found["name"] or found["module"], *words]


def prepare(folder: Path) -> None:
    """Write the files that the pages name."""
    for number in (1, 2):
        for name, modality, angle in (
            (f"subject{number}_T1", "T1", 0.1 * number),
            (f"subject{number}_T2", "T2", 0.1 * number),
            (f"T{number}", f"T{number}", 0.1),
        ):
            image = subject(modality, size=SIZE, spacing=(SPACING,) * 3, angle=angle)
            itk.imwrite(image, str(folder / f"{name}.nii.gz"))
            if name.endswith("T1"):
                brain = itk.array_from_image(image) > 0.2
                labels = itk.image_from_array(brain.astype(np.uint8))
                labels.CopyInformation(image)
                itk.imwrite(labels, str(folder / f"subject{number}_labels.nii.gz"))
                itk.imwrite(labels, str(folder / "brain.nii.gz"))
    shutil.copy(folder / "subject2_T1.nii.gz", folder / "subject2_FLAIR.nii.gz")
    (folder / "landmarks.csv").write_text("x,y,z\n1.0,2.0,3.0\n")
    (folder / "my_parameters.txt").write_text(PARAMETERS)
    (folder / "pairs.csv").write_text(PAIRS)
    (folder / "TransformParameters.0.txt").write_text(OF_ELASTIX)
    (folder / "examples").symlink_to(ROOT / "examples")


def run(page: Path, folder: Path) -> int:
    """Run the blocks of Python, in one namespace, and of the shell; return how many there are.

    The working directory has to be the folder.
    """
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = [block for block in blocks(page) if block.language in ("python", "sh")]
    for block in found:
        if block.language == "python":
            shifted = "\n" * block.line + block.text  # so that a traceback has the page's lines
            exec(compile(shifted, str(page), "exec"), namespace)
        else:
            _run_in_shell(block.text, folder)
    return len(found)


def _run_in_shell(text: str, folder: Path) -> None:
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    if not (programs / "cnnmetric").exists():  # as pip makes it; there is none beside sources
        script = f'#!/bin/sh\nexec "{sys.executable}" -m cnnmetric "$@"\n'
        (programs / "cnnmetric").write_text(script)
        (programs / "cnnmetric").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(cnnmetric.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
