# SPDX-License-Identifier: Apache-2.0
"""How much memory a process holds."""

from __future__ import annotations

import os
from pathlib import Path


def resident_memory() -> float:
    """Return how much memory this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
