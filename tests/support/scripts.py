# SPDX-License-Identifier: Apache-2.0
"""Scripts in an interpreter of their own, for what would end the process of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cnnmetric


def run_script(
    script: str, *arguments: object, timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """Run a script that may import `cnnmetric` and the tests' `support`.

    Parameters
    ----------
    script
        Python.
    arguments
        Become ``sys.argv[1:]``.
    timeout
        In seconds; a start with sanitizers takes a minute by itself.
    """
    folders = [str(Path(cnnmetric.__file__).parents[1]), str(Path(__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
    )
