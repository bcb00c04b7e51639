# SPDX-License-Identifier: Apache-2.0
"""What a new user waits for: installing a wheel without any cache, then a first registration.

    make wheel
    python benchmarks/installation.py dist/cnnmetric-0.1.0-cp311-*.whl fixed.nii.gz moving.nii.gz

makes an empty environment without a compiler, counts minutes and megabytes, and prints them as a
Markdown table. The images are a T1 and a T2 image of your own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from fresh_environment import FreshEnvironment

REGISTER = """
import sys
import cnnmetric

fixed, moving = sys.argv[1:]
cnnmetric.register(fixed, moving, fixed_modality="T1").save("out")
"""


@dataclass(frozen=True, kw_only=True)
class InstallationSettings(Settings):
    """What to install and to register."""

    inputs: tuple[Path, ...] = setting(
        (), help_text="the wheel, the fixed T1 image, the moving T2 image", positional=True
    )

    def broken_rules(self) -> Iterator[str]:
        """Check the number of files."""
        if len(self.inputs) != 3:
            yield f"three files are needed, the wheel and two images, not {len(self.inputs)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(InstallationSettings, __doc__, prog=Path(__file__).name)
    return run_command("installation", lambda: measure(settings_from(parser.parse_args(arguments))))


def measure(settings: InstallationSettings) -> None:
    """Install, register, and print what it took."""
    wheel, fixed, moving = (path.resolve() for path in settings.inputs)
    with tempfile.TemporaryDirectory() as name:
        environment = FreshEnvironment(Path(name))
        before = size(environment.packages)
        start = time.monotonic()
        downloads = environment.install(wheel)
        installed = time.monotonic()
        environment.run("python", "-c", REGISTER, str(fixed), str(moving))
        end = time.monotonic()
        downloaded = size(downloads)
        unpacked = size(environment.packages) - before
    print("| step | minutes | MB |\n|---|---:|---:|")
    print(f"| `pip install`, downloads | {(installed - start) / 60:.1f} | {downloaded / 1e6:.0f} |")
    print(f"| installed | | {unpacked / 1e6:.0f} |")
    print(f"| `cnnmetric.register` | {(end - installed) / 60:.1f} | |")


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
