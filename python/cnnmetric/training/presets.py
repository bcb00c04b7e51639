# SPDX-License-Identifier: Apache-2.0
"""Sets of defaults that ``--preset`` chooses from, and those of an architecture.

A preset only fills in what the user leaves open.
"""

from __future__ import annotations

from typing import Any
from typing import Literal
from typing import get_args

Preset = Literal["recommended", "simonovsky2016"]
RECOMMENDED, PAPER_PRESET = get_args(Preset)
# Of `crop_margin`: images stay whole.
NO_CROP = -1

# "recommended" is what the model t1t2-fine was trained with, but for its label maps
# (models/t1t2-fine.json); "simonovsky2016" is Section 2.2 of the paper, and what it leaves open.
PRESETS: dict[str, dict[str, Any]] = {
    RECOMMENDED: {
        "architecture": "self-similarity",
        "similarities": ("context", "near-context", "centre", "strength"),
        "steps": 2000,
        "schedule": "one-cycle",
        "scale": (0.7, 2.2),
        "max_gamma": 1.35,
        "max_gain": 1.25,
        "crop_margin": 12,
    },
    PAPER_PRESET: {
        "architecture": "two-channel",
        "steps": 5000,
        "schedule": "constant",
        "scale": (0.6, 1.6),
        "max_gamma": 1.0,
        "max_gain": 1.0,
        "crop_margin": NO_CROP,
    },
}

_OF_PATCHES: dict[str, Any] = {
    "channels": (96, 192, 256, 512),
    "kernels": (5, 3, 3, 1, 1),
    "strides": (2, 2, 1, 1, 1),
    "learning_rate": 0.01,
    "similarities": (),
}
# What an architecture is trained with unless the user or the preset says otherwise.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "two-channel": _OF_PATCHES,
    "pseudo-siamese": _OF_PATCHES,
    "self-similarity": {
        "channels": (24, 64, 64, 32),
        "kernels": (3, 3, 1, 1),
        "strides": (1, 2, 1, 1),
        "learning_rate": 0.001,
        "similarities": ("context",),
    },
}


def defaults(preset: str, architecture: str | None) -> dict[str, Any]:
    """Return the values of all options that depend on preset and architecture.

    Parameters
    ----------
    preset
        A key of `PRESETS`; an unknown one, which is refused elsewhere, counts as recommended.
    architecture
        The user's choice, or None for the preset's. Of an architecture that is not the preset's,
        the layers are those of `ARCHITECTURES`.
    """
    chosen = PRESETS.get(preset, PRESETS[RECOMMENDED])
    own = chosen["architecture"]
    architecture = architecture or own
    layers = ARCHITECTURES.get(str(architecture), {})
    values = layers | chosen if architecture == own else chosen | layers
    return values | {"architecture": architecture}


def in_presets(text: str, name: str, *, architecture: str | None = None) -> str:
    """Return a help text with the default that each preset gives to an option."""
    ours, papers = (
        _shown(name, defaults(preset, architecture)[name]) for preset in (RECOMMENDED, PAPER_PRESET)
    )
    return f"{text}; default: {ours}, of --preset {PAPER_PRESET}: {papers}"


def _shown(name: str, value: Any) -> str:
    if name == "crop_margin" and value == NO_CROP:
        return f"{NO_CROP}, whole images"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
