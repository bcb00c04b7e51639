# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/report.png: the report of the built-in pair, as a browser shows it.

`python scripts/draw_report.py` registers the pair by the defaults and needs the viewer
(scripts/build_viewer.py), playwright and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import itk

import cnnmetric
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "report.png"
PATIENCE = 180_000  # ms; without a graphics card the viewer takes long
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def main() -> None:
    """Register, write the report, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE, help="file of the picture")
    out = parser.parse_args().out
    program = chromium()
    if program is None:
        sys.exit("no Chromium is here to draw the report (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder, browser_page(program, height=1200) as page:
        open_report(page, written_report(Path(folder)))
        page.click("[data-mode=edges]", timeout=PATIENCE)
        page.screenshot(path=out, timeout=PATIENCE)


def written_report(folder: Path) -> Path:
    """Return the file of the report of the built-in pair, whose images get the names of files."""
    pair = make_phantom(load_anatomy(), seed=0)
    fixed, moving = folder / "subject1_T1.nii.gz", folder / "subject2_T2.nii.gz"
    itk.imwrite(pair.fixed.image, str(fixed))
    itk.imwrite(pair.moving.image, str(moving))
    return cnnmetric.register(fixed, moving).report(folder / "report.html")


def chromium() -> str | None:
    """Return the program of the system's browser; None if there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextlib.contextmanager
def browser_page(program: str, *, height: int) -> Iterator[Page]:
    """Give an empty page, 1280 pixels wide, that draws without a graphics card."""
    from playwright.sync_api import sync_playwright  # not needed to ask for a browser

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser.new_page(viewport={"width": 1280, "height": height})
        browser.close()


def open_report(page: Page, file: Path) -> None:
    """Open a report and wait until its viewer shows something."""
    page.goto(file.as_uri())
    page.wait_for_selector("#viewer[data-ready]", timeout=PATIENCE)


if __name__ == "__main__":
    main()
