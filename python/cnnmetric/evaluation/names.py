# SPDX-License-Identifier: Apache-2.0
"""Names that the command line knows, apart from what they stand for, which needs ITK."""

from __future__ import annotations

METHODS = (
    *("cnn", "cnn+mask", "cnn+field", "cnn+smooth", "cnn+discrete", "mi", "mi+mask", "nmi"),
    *("mind", "ants", "greedy", "convexadam", "deedsbcv"),
)
PRESETS = ("practical", "simonovsky2016", "simonovsky2016-short")
