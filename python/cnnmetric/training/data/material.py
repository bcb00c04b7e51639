# SPDX-License-Identifier: Apache-2.0
"""What the sources of a run hold, as arrays; needs no ITK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.sources import Kind


@dataclass(frozen=True, kw_only=True)
class Material:
    """The images of one source, to sample from."""

    kind: Kind
    weight: float = 1.0
    pairs: Sequence[AlignedPair] = ()
    label_maps: Sequence[NDArray[np.int16]] = ()


def cumulative_shares(materials: Sequence[Material]) -> NDArray[np.float64]:
    """Return where each material but the last one ends, if all weights are laid from 0 to 1."""
    weights = np.array([material.weight for material in materials])
    return np.asarray(np.cumsum(weights / weights.sum())[:-1])
