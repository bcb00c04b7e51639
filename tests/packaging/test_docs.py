# SPDX-License-Identifier: Apache-2.0
"""The documentation names what there is, in pages that are short and lead somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnnmetric
from cnnmetric import _core
from cnnmetric.evaluation.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTES = ROOT / "studies" / "notes"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "models").glob("*.md"),
        *(ROOT / "studies").rglob("*.md"),
    ]
)
LINES = {
    "README.md": 90,
    "CONTRIBUTING.md": 16,
    # A tutorial is one sitting; the page on messages grows by a row a message.
    **{f"docs/guide/{page}.md": 90 for page in ("start", "t1-to-t2", "cohort", "choose")},
    **{f"docs/guide/{page}.md": 140 for page in ("reuse", "troubleshooting")},
    "docs/research/results.md": 90,
    "docs/research/experiments.md": 80,
    **{f"models/{card.name}": 60 for card in (ROOT / "models").glob("*.md")},
}
COLUMNS = 100
FOLDERS = (
    *("benchmarks", "cpp", "docs", "elastix_params", "examples", "models", "python", "scripts"),
    *("studies", "tests", ".ci", ".github"),
)
# As words, so that this file holds none of them.
BANNED = (("for", "want", "of", "time"), ("in", "place", "of"), ("who", "tries"), ("says", "so"))

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def text_files() -> Iterator[tuple[str, str]]:
    """Yield name and text of every file that people write."""
    files = [file for file in ROOT.iterdir() if file.name == "Makefile" or file.suffix]
    files += [file for folder in FOLDERS for file in (ROOT / folder).rglob("*")]
    for file in files:
        if not file.is_file() or re.search(r"__pycache__|\.egg-info", str(file)):
            continue
        content = file.read_bytes()
        if b"\0" not in content:
            yield file.relative_to(ROOT).as_posix(), content.decode("utf-8", errors="replace")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_tests_that_show_a_feature_exist() -> None:
    named = 0
    for line in read(DOCS / "reference" / "elastix-features.md").splitlines():
        file = ""
        for module, test in re.findall(r"`(test_\w+\.py)?::(test_\w+)", line):
            file = module or file
            (path,) = (ROOT / "tests").rglob(file)
            assert re.search(rf"^def {test}\(", read(path), re.MULTILINE), f"{file}::{test}"
            named += 1
    assert named > 20


def test_every_parameter_is_documented() -> None:
    page = read(DOCS / "reference" / "parameters.md")
    missing = [name for name in _core.parameter_names() if f"| `{name}` |" not in page]
    assert not missing


def test_every_method_of_the_evaluation_is_documented() -> None:
    page = read(DOCS / "guide" / "evaluate.md")
    missing = [name for name in METHODS if f"`{name}`" not in page]
    assert not missing


def test_metrics_are_chosen_by_measured_numbers() -> None:
    chosen = re.findall(r"0\.\d{3} \(0\.\d{3}\)", read(DOCS / "guide" / "choose.md"))
    results = " ".join(read(DOCS / "research" / "results.md").split())
    assert len(chosen) > 8
    assert not [number for number in chosen if number not in results]


def test_public_names_exist() -> None:
    assert all(hasattr(cnnmetric, name) for name in cnnmetric.__all__)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = page.parent / name if name else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_the_index_leads_to_every_page() -> None:
    index = read(DOCS / "index.md")
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    pages += [f"../models/{card.name}" for card in (ROOT / "models").glob("*.md")]
    missing = [page for page in pages if page != "index.md" and f"]({page})" not in index]
    assert not missing


@each_page
def test_files_and_commands_that_a_page_names_exist(page: Path) -> None:
    if page.is_relative_to(NOTES):
        return  # of other revisions
    folders = "|".join(map(re.escape, FOLDERS))
    named = set(re.findall(rf"`((?:{folders})/[\w./+-]*)`", read(page)))
    named |= set(re.findall(r"python ((?:benchmarks|scripts|studies)/\w+\.py)", read(page)))
    modules = set(re.findall(r"python -m cnnmetric\.(\w+)", read(page)))
    package = ROOT / "python" / "cnnmetric"
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [
        name
        for name in modules
        if not (package / f"{name}.py").exists() and not (package / name / "__main__.py").exists()
    ]


def test_pages_that_code_names_exist() -> None:
    missing = [
        f"{name}: {page}"
        for name, text in text_files()
        for page in re.findall(r"\bdocs/[\w./-]+\.(?:csv|md|png)\b", text)
        if not name.endswith(".md") and not (ROOT / page).exists()
    ]
    assert not missing


@each_page
def test_blocks_of_python_are_python(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize(("name", "most"), LINES.items())
def test_a_page_is_no_longer_than_agreed(name: str, most: int) -> None:
    assert len(read(ROOT / name).splitlines()) <= most


@each_page
def test_lines_are_wrapped(page: Path) -> None:
    visible = [re.sub(r"\]\([^)\s]*\)", "]", line) for line in prose(page).splitlines()]
    assert not [line for line in visible if len(line) > COLUMNS and not line.startswith("|")]


@pytest.mark.parametrize("words", BANNED, ids=" ".join)
def test_a_banned_phrase_is_nowhere(words: tuple[str, ...]) -> None:
    # Between words may be the end of a line, and the sign of a comment.
    pattern = re.compile(r"\b" + r"[\s#*/]+".join(words) + r"\b", re.IGNORECASE)
    assert not [name for name, text in text_files() if pattern.search(text)]


def test_revisions_are_for_the_notes() -> None:
    notes = NOTES.relative_to(ROOT).as_posix()
    named = [
        name
        for name, text in text_files()
        if not name.startswith(notes) and re.search(r"\brevisions?\s+[0-9a-f]{7}", text)
    ]
    assert not named
