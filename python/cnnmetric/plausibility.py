# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.plausibility``: the metric's value and derivative around an alignment."""

from __future__ import annotations

import sys

from cnnmetric.evaluation.plausibility.command import main

if __name__ == "__main__":
    sys.exit(main())
