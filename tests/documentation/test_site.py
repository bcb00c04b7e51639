# SPDX-License-Identifier: Apache-2.0
"""The site has every page and every public name, and asks no other machine for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cnnmetric

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"
PAGES = sorted(
    page.relative_to(ROOT).with_suffix("").as_posix()
    for pattern in ("docs/**/*.md", "models/*.md", "examples/*.md", "CHANGELOG.md")
    for page in ROOT.glob(pattern)
)
LOADED = re.compile(r'(?:src|href)="(https?://[^"]+)"[^>]*?(?:rel="stylesheet"|></script>)')


def test_every_public_name_is_in_the_reference() -> None:
    page = (SITE / "api.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)", page, flags=re.MULTILINE))
    wanted = {name for name in cnnmetric.__all__ if name != "__version__"}
    assert wanted <= {name.rpartition(".")[2] for name in named}


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (SITE / "contents.txt").read_text(encoding="utf-8")
    missing = [page for page in PAGES if f" </{page}>\n" not in contents]
    assert missing == ["docs/index"]  # which the table is put into


def test_every_shipped_parameter_file_is_shown() -> None:
    page = (SITE / "elastix_params.rst").read_text(encoding="utf-8")
    files = [file.relative_to(ROOT).as_posix() for file in ROOT.glob("elastix_params/*.txt")]
    assert files
    assert not [file for file in files if f":: /{file}" not in page]


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    command = [*(sys.executable, "-m", "sphinx", "-q", "--fail-on-warning"), "-c", str(SITE)]
    doctrees = ["-d", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [*command, *doctrees, str(ROOT), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    for page in (*PAGES, "docs/site/api"):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert not LOADED.findall(text), page
        for target in re.findall(r'href="([^":#?]+\.html)', text):
            assert (site / page).parent.joinpath(target).exists(), f"{page}: {target}"
    assert (site / "index.html").exists()
