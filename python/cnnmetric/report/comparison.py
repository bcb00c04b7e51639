# SPDX-License-Identifier: Apache-2.0
"""How the images of a registration were compared, and from where it started."""

from __future__ import annotations

from dataclasses import dataclass

from cnnmetric.types import Mask
from cnnmetric.types import Transform


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What a registration was given besides its two images.

    Attributes
    ----------
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        What the fixed image shows, one of the model's.
    device, threads
        As for :func:`cnnmetric.register`.
    initial
        ITK transforms that it started from, the last of which is applied first; none for the
        headers of the images.
    fixed_mask, moving_mask
        On the grid of their image, or None.
    fixed_name, moving_name
        File names, for people; empty for images that came from elsewhere.
    """

    model: str
    fixed_modality: str
    device: str
    threads: int
    initial: tuple[Transform, ...] = ()
    fixed_mask: Mask | None = None
    moving_mask: Mask | None = None
    fixed_name: str = ""
    moving_name: str = ""
