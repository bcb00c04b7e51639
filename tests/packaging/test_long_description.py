# SPDX-License-Identifier: Apache-2.0
"""The package's description, as an index shows it, has no link that leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from long_description import long_description

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)]+)\)")


@pytest.mark.parametrize("source", [None, "https://host/project/blob/main"])
def test_every_link_of_the_readme_is_absolute(source: str | None) -> None:
    assert any(not target.startswith("https://") for target in LINK.findall(README))
    text = long_description(README, source=source)
    assert all(target.startswith("https://") for target in LINK.findall(text))
    assert "pip install" in text
    assert "0.738 (0.015)" in text


def test_links_are_completed_or_become_their_text() -> None:
    readme = "[a](guide/a.md#b), [c](https://d/e), [here](#part)\n\n![f](g.png)\n\nh\n"
    assert long_description("[a](guide/a.md#b) ![f](g.png)", source="https://s/") == (
        "[a](https://s/guide/a.md#b) ![f](https://s/g.png)"
    )
    assert long_description(readme, source=None) == ("a, [c](https://d/e), [here](#part)\n\nh\n")
