# SPDX-License-Identifier: Apache-2.0
"""Rivals as programs of their own, fed with files.

Their wheels carry an ITK of their own, which fails in a process that has loaded another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import RegistrationError
from cnnmetric.types import Image

_EXTERNAL = Path(__file__).parent.parent / "external"
_THREADS = ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS")
_LINES_SHOWN = 3


def call(program: str, *arguments: object, threads: int) -> dict[str, Any]:
    """Run a script of the folder ``external`` and return the JSON it prints last.

    Raises
    ------
    RegistrationError
        With the last lines that the program printed, if it fails.
    """
    command = [sys.executable, str(_EXTERNAL / program), *map(str, arguments)]
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-_LINES_SHOWN:]
        msg = f"{program} ended with status {done.returncode}: {' / '.join(lines) or 'no message'}"
        raise RegistrationError(msg)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def write_images(fixed: Image, moving: Image, folder: Path) -> tuple[Path, Path]:
    """Write two images into a folder and return their paths."""
    paths = folder / "fixed.nii.gz", folder / "moving.nii.gz"
    for image, path in zip((fixed, moving), paths, strict=True):
        itk.imwrite(image, str(path))
    return paths


def read_displacement(file: Path) -> NDArray[np.float32]:
    """Read a displacement field in ITK's convention (mm; x, y, z) as an array (z, y, x, 3)."""
    field = itk.imread(str(file), itk.Vector[itk.F, 3])
    return np.array(itk.array_view_from_image(field))
