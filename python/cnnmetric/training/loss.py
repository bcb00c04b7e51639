# SPDX-License-Identifier: Apache-2.0
"""The losses of Section 2.2, and the contrastive loss of descriptors."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy
from torch.nn.functional import softplus

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


def logistic_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy, which the paper found to be worse than the hinge loss.

    That of a softmax over "aligned" and "misaligned" depends on the difference of the two scores
    alone; here N is that difference. Shapes as :func:`hinge_loss`; a label between -1 and +1 is a
    probability between 0 and 1 of being misaligned.
    """
    misaligned = (1 + labels) / 2
    return (misaligned * softplus(-scores) + (1 - misaligned) * softplus(scores)).mean()


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the share of patch pairs on the right side of zero; shapes as :func:`hinge_loss`."""
    return (scores * labels > 0).float().mean()


def contrastive_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    shifted: torch.Tensor,
    content: torch.Tensor,
    *,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cross-entropy and accuracy of finding a patch's partner (InfoNCE, van den Oord 2018).

    Every patch of the first modality is asked for its partner twice: among the patches of the
    aligned second image, and among these and those of the shifted one.

    Parameters
    ----------
    first, second, shifted
        Unit vectors ``(B, C, n)`` of ``n`` patches; the same places for the first two.
    content
        ``(B, n)``: whether a patch is asked for; empty ones all look alike.
    temperature
        Divides the cosines.
    """
    cosines = first.transpose(1, 2) @ torch.cat([second, shifted], dim=2) / temperature
    count = second.shape[2]
    partner = torch.arange(count, device=first.device).expand(len(first), count)
    total = sum(
        cross_entropy(choices.transpose(1, 2), partner, reduction="none") * content
        for choices in (cosines, cosines[:, :, :count])
    )
    asked = content.sum().clamp(min=1)
    found = ((cosines.argmax(2) == partner) & content).sum()
    return torch.as_tensor(total).sum() / (2 * asked), found / asked
