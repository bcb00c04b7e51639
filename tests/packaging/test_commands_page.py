# SPDX-License-Identifier: Apache-2.0
"""The page of commands says what the commands take."""

from __future__ import annotations

import write_commands_page


def test_the_page_is_what_the_settings_say() -> None:
    page = write_commands_page.PAGE.read_text(encoding="utf-8")
    assert page == write_commands_page.page(), "python scripts/write_commands_page.py"
