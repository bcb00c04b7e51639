# SPDX-License-Identifier: Apache-2.0
"""The page on error messages quotes messages that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.sources import texts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "troubleshooting.md"
LONGEST_GAP = 200  # characters between two parts of a message, in the sources
TEXTS = tuple(texts())


def quoted() -> list[str]:
    """Return the first cell of every row: a message, with "..." for what differs."""
    rows = re.findall(r"^\| `(.+?)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [row for row in rows if "..." in row or " " in row]


def is_printed(message: str) -> bool:
    parts = [re.escape(part.strip()) for part in message.split("...") if part.strip()]
    pattern = re.compile(rf".{{0,{LONGEST_GAP}}}?".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in TEXTS)


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_in_the_sources(message: str) -> None:
    assert is_printed(message)


def test_there_are_enough_messages_and_others_are_found_missing() -> None:
    assert len(quoted()) >= 25
    assert not is_printed("the fixed image has ... voxels of cheese")
