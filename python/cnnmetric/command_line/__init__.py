# SPDX-License-Identifier: Apache-2.0
"""Command lines and run records derived from settings dataclasses.

A command describes its settings once, as a frozen dataclass derived from :class:`Settings` whose
fields are made with :func:`setting`; its ``--options``, its help text, the check of its values and
the JSON record of a run all follow from that.
"""

from __future__ import annotations

from cnnmetric.command_line.parser import parser_for
from cnnmetric.command_line.parser import settings_from
from cnnmetric.command_line.running import run_command
from cnnmetric.command_line.settings import Bounds
from cnnmetric.command_line.settings import Settings
from cnnmetric.command_line.settings import setting
from cnnmetric.command_line.settings import to_record

__all__ = [
    "Bounds",
    "Settings",
    "parser_for",
    "run_command",
    "setting",
    "settings_from",
    "to_record",
]
