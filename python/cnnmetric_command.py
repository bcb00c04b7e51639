# SPDX-License-Identifier: Apache-2.0
"""Where the console script ``cnnmetric`` starts.

A module beside the package, because importing anything of the package runs its ``__init__``, which
has to know by then that it need not load ITK yet. Processes that a command starts import this
module, too, but do not call :func:`main`: there, the package is imported as everywhere.
"""

from __future__ import annotations

started = False


def main() -> int:
    """Run the command line and return the exit status."""
    global started
    started = True
    from cnnmetric.commands.main import main as command

    return command()
