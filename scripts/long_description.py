# SPDX-License-Identifier: Apache-2.0
"""Make of README.md what a package index shows, where links into the checkout lead nowhere."""

from __future__ import annotations

import re

# A picture, or a link, whose target is neither an address nor a place in the same page.
_RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def long_description(readme: str, *, source: str | None) -> str:
    """Return the text of README.md with links that work everywhere.

    Parameters
    ----------
    readme
        The text, in Markdown.
    source
        Address under which the files of the checkout can be read, for example that of a branch;
        None if they are nowhere: of a link then remains its text, of a picture nothing.
    """

    def absolute(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        if source:
            return f"{picture}[{text}]({source.rstrip('/')}/{target})"
        return "" if picture else text

    return re.sub(r"\n{3,}", "\n\n", _RELATIVE.sub(absolute, readme))
