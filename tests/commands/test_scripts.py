# SPDX-License-Identifier: Apache-2.0
"""The scripts of studies and benchmarks start."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("benchmarks", "studies")
    for path in (ROOT / folder).glob("*.py")
    if path.name != "shared.py"  # a module of the others
)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_shows_its_help(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process, which has loaded torch and ITK once, and as Python runs a script.
    monkeypatch.syspath_prepend(ROOT / script.parent)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"Usage: {script.name}")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("registration_cost.py", "two images are needed, the fixed and the moving one, not 1"),
        ("installation.py", "three files are needed, the wheel and two images, not 1"),
    ],
)
def test_another_number_of_files_is_told(
    script: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "one.nii.gz"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "benchmarks" / script), run_name="__main__")
    assert ended.value.code == 1
    assert message in capsys.readouterr().err


def test_every_study_is_explained() -> None:
    page = (ROOT / "studies" / "README.md").read_text(encoding="utf-8")
    studies = [str(path) for path in SCRIPTS if path.parts[0] == "studies"]
    missing = [path for path in studies if path not in page]
    assert not missing
