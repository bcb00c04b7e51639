# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric``: the same as the command ``cnnmetric``."""

from __future__ import annotations

import sys

from cnnmetric.commands.main import main

if __name__ == "__main__":
    sys.exit(main(program="python -m cnnmetric"))
