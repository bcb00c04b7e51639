# SPDX-License-Identifier: Apache-2.0
"""The smooth displacement of control points that their potentials want.

Unary potentials with a quadratic smoothness term, solved in turns: every control point takes the
best displacement near to that of its smoothed neighbourhood, and the neighbourhood is smoothed
again, more and more tightly coupled (Heinrich, Papiez, Schnabel, Handels: Non-parametric discrete
registration with convex optimisation, WBIR 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnmetric.plugin import loading
from cnnmetric.registration.discrete.potentials import Potentials
from cnnmetric.registration.discrete.potentials import displacements

# Of the potentials' spread, per squared voxel.
COUPLINGS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_CONSISTENCY = 10  # iterations


def solve(
    potentials: Potentials, radius: int, *, smoothing: float, threads: int
) -> NDArray[np.float32]:
    """Return the displacement of every control point, in voxels.

    Parameters
    ----------
    potentials
        Of all displacements up to the radius.
    radius
        In voxels.
    smoothing
        Standard deviation of the Gaussian over control points, in their distance.
    threads
        For the filter; 0 for all processors.

    Returns
    -------
    numpy.ndarray
        Shape (lattice z, y, x, dimension), along z, y, x.
    """
    lattice = potentials.shape[:-1]
    labels = displacements(radius, len(lattice))
    costs = potentials.reshape(-1, len(labels))
    spread = float(np.sqrt(costs.var(axis=1).mean()))
    squares = (labels**2).sum(axis=1)

    def smoothed(chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        field = labels[chosen].reshape(*lattice, len(lattice))
        loading.core.smooth(field, smoothing, number_of_threads=threads)
        return field

    field = smoothed(costs.argmin(axis=1))
    for coupling in COUPLINGS:
        near = squares - 2 * field.reshape(-1, len(lattice)) @ labels.T
        field = smoothed((costs + np.float32(coupling * spread) * near).argmin(axis=1))
    return field


def consistent(
    forward: NDArray[np.float32], backward: NDArray[np.float32], *, threads: int
) -> NDArray[np.float32]:
    """Return the forward field, made the inverse of the backward one as far as both agree.

    Both in voxels of their grid, from the fixed to the moving image and back.
    """
    for _ in range(_CONSISTENCY):
        forward, backward = (
            (
                one
                - loading.core.sample_displaced(other, one, nearest=True, number_of_threads=threads)
            )
            * np.float32(0.5)
            for one, other in ((forward, backward), (backward, forward))
        )
    return forward
