# SPDX-License-Identifier: Apache-2.0
"""Names of the groups of self-similarities, for the command line, which does not load PyTorch."""

from __future__ import annotations

from typing import Literal
from typing import get_args

Similarity = Literal["context", "near-context", "centre", "near-centre", "strength"]
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)
