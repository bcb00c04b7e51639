# SPDX-License-Identifier: Apache-2.0
"""Every block of code in the pages runs as it stands, and every command is understood."""

from __future__ import annotations

import argparse
from pathlib import Path

import itk
import numpy as np
import pytest

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import settings_from
from cnnmetric.commands.main import NAMES
from cnnmetric.commands.main import commands_of
from support.pages import ROOT
from support.pages import blocks
from support.pages import commands
from support.pages import mentions
from support.pages import prepare
from support.pages import run

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").glob("*.md")]
)
README = ROOT / "README.md"
TRAINING = ROOT / "docs" / "guide" / "train.md"  # run by tests/training/test_train_page.py
WITH_CODE = [
    page
    for page in PAGES
    if page != TRAINING and any(block.language in ("python", "sh") for block in blocks(page))
]
LANGUAGES = {"", "python", "sh"}  # others would be left out here
FILES = {
    *("warped.nii.gz", "transform.h5", "displacement.nii.gz", "deformation.nii.gz", "log.json"),
    *(f"TransformParameters.{number}.txt" for number in range(3)),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with the files that the pages name."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def parser_of(subcommand: str, words: list[str]) -> argparse.ArgumentParser:
    """Return the real parser; a second word of the command is taken out of the words."""
    assert subcommand in NAMES, subcommand
    known = commands_of(subcommand)
    command = known[words.pop(0)] if words and words[0] in known else known[""]
    return parser_for(command.settings, "")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_understood(page: Path) -> None:
    for subcommand, *words in commands(page):
        parser = parser_of(subcommand, words)
        status: object = 0
        try:
            settings_from(parser.parse_args(words))
        except SystemExit as end:
            status = end.code
        assert status == 0, f"{subcommand} {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_exist(page: Path) -> None:
    for subcommand, *words in mentions(page):
        known = parser_of(subcommand, words)._option_string_actions
        assert {word for word in words if word.startswith("-")} <= known.keys(), subcommand


@pytest.mark.parametrize("page", [page for page in PAGES if page != TRAINING], ids=name)
def test_blocks_have_a_language_that_is_tried(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if page != README], ids=name)
def test_blocks_run(page: Path, folder: Path) -> None:
    assert run(page, folder) > 0


def test_the_first_example_runs(folder: Path) -> None:
    assert run(README, folder) == 1
    assert {file.name for file in (folder / "out").iterdir()} >= FILES
    warped = itk.imread(str(folder / "out" / "warped.nii.gz"), itk.F)
    fixed = itk.imread(str(folder / "subject1_T1.nii.gz"), itk.F)
    assert itk.size(warped) == itk.size(fixed)
    np.testing.assert_allclose(np.asarray(warped.GetOrigin()), np.asarray(fixed.GetOrigin()))
