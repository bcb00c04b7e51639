# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/report.png: the report of the built-in pair, as a browser shows it.

`python scripts/draw_report.py` registers the pair by the defaults and needs the viewer
(scripts/build_viewer.py), playwright and Chromium (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import itk
from playwright.sync_api import sync_playwright

import cnnmetric
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "report.png"
PATIENCE = 180_000  # ms; without a graphics card the viewer takes long


def main() -> None:
    """Register, write the report, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE, help="file of the picture")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        draw(written_report(Path(folder)), out)


def written_report(folder: Path) -> Path:
    """Return the file of the report of the built-in pair, whose images get the names of files."""
    pair = make_phantom(load_anatomy(), seed=0)
    fixed, moving = folder / "subject1_T1.nii.gz", folder / "subject2_T2.nii.gz"
    itk.imwrite(pair.fixed.image, str(fixed))
    itk.imwrite(pair.moving.image, str(moving))
    return cnnmetric.register(fixed, moving).report(folder / "report.html")


def draw(report: Path, out: Path) -> None:
    """Draw a report with the edges of the moving image on the fixed one."""
    with sync_playwright() as started:
        program = started.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = program.new_page(viewport={"width": 1280, "height": 1200})
        page.goto(report.as_uri())
        page.wait_for_selector("#viewer[data-ready]", timeout=PATIENCE)
        page.click("[data-mode=edges]", timeout=PATIENCE)
        page.screenshot(path=out, timeout=PATIENCE)
        program.close()


if __name__ == "__main__":
    main()
