# SPDX-License-Identifier: Apache-2.0
"""An environment as a new user has it: a Python, pip and nothing else, no compiler, no headers."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path


class FreshEnvironment:
    """A virtual environment whose programs see no other one of this machine.

    Parameters
    ----------
    folder
        Made; holds the environment, and what its programs write by default.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "environment" / "bin"
        venv.create(folder / "environment", with_pip=True)
        self.home = folder / "home"
        self.home.mkdir()

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (folder,) = self._programs.parent.glob("lib/python*/site-packages")
        return folder

    def run(self, *command: str) -> str:
        """Run a program of the environment and return what it prints.

        Raises
        ------
        RuntimeError
            With what it printed, if it fails.
        """
        # Neither this machine's compilers nor what tells them where headers are.
        left_out = (
            "PYTHON",
            "CNNMETRIC",
            "ITK_",
            "ELASTIX_",
            "ONNXRUNTIME_",
            "CC",
            "CXX",
            "CPATH",
        )
        variables = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        variables |= {"PATH": str(self._programs), "HOME": str(self.home)}
        program, *arguments = command
        result = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.home,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            msg = f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr[-3000:]}"
            raise RuntimeError(msg)
        return result.stdout

    def install(self, wheel: Path, *, extras: str = "") -> Path:
        """Install a wheel of cnnmetric, with pip alone, and return the folder of its downloads.

        Parameters
        ----------
        wheel
            Its file.
        extras
            In brackets, for example ``"[demo]"``.
        """
        downloads = self.folder / "downloads"
        wanted = f"{wheel.resolve()}{extras}"
        quietly = ["--no-input", "--quiet", "--no-cache-dir"]
        # One after the other, so that what came can be counted.
        fetch = ["download", *quietly, "--only-binary", ":all:", "--dest", str(downloads), wanted]
        self.run("python", "-m", "pip", *fetch)
        local = ["--no-index", "--find-links", str(downloads)]
        self.run("python", "-m", "pip", "install", *quietly, *local, wanted)
        return downloads
