# SPDX-License-Identifier: Apache-2.0
"""Where the console script ``cnnmetric`` starts.

A module beside the package, because importing anything of the package runs its ``__init__``, which
has to know by then that it need not load ITK yet. Processes that a command starts import this
module, too, but do not call :func:`main`: there, the package is imported as everywhere.
"""

from __future__ import annotations

started = False


def without_plugin() -> None:
    """Let the package be imported without ITK and the plug-in, as a command begins."""
    global started
    started = True


def main() -> int:
    """Run the command line and return the exit status."""
    without_plugin()
    from cnnmetric.commands.main import main as command

    return command()
