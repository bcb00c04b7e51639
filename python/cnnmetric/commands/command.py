# SPDX-License-Identifier: Apache-2.0
"""What a subcommand consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cnnmetric.command_line import Settings
from cnnmetric.command_line.parser import Examples


@dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand: what it takes, what it does, and how its help text explains it.

    Every module of this room has a table ``COMMANDS`` of them. The one with the name ``""`` is
    the subcommand itself; others are words after it, as ``add`` in ``cnnmetric models add``.

    Attributes
    ----------
    settings
        The options.
    run
        Does the work; returns the exit status, or None for 0.
    description
        Of the help text.
    examples
        At the end of the help text: what to do, and the command.
    loads
        Whether ITK and the plugin are loaded before ``run`` is called.
    """

    settings: type[Settings]
    run: Callable[[Any], int | None]
    description: str
    examples: Examples = ()
    loads: bool = True
