# SPDX-License-Identifier: Apache-2.0
"""The hinge loss of Section 2.2."""

from __future__ import annotations

import torch

ALIGNED = -1.0
MISALIGNED = 1.0


def hinge_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean over the batch of ``max(0, 1 - y_i N(X_i))``.

    The paper writes a sum; the mean is what the authors' framework computed by default, and what
    makes the learning rate independent of the batch size.

    Parameters
    ----------
    scores
        Dissimilarities ``N(X_i)``, shape ``(B,)``.
    labels
        ``y_i``, shape ``(B,)``: -1 for aligned patches, +1 for misaligned ones.
    """
    return torch.relu(1 - labels * scores).mean()


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the share of patch pairs on the right side of zero; shapes as :func:`hinge_loss`."""
    return (scores * labels > 0).float().mean()
