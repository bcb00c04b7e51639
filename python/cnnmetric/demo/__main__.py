# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.demo``: the same as ``cnnmetric demo``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cnnmetric.commands.main import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run("demo", arguments, program="python -m cnnmetric.demo")


if __name__ == "__main__":
    sys.exit(main())
