# SPDX-License-Identifier: Apache-2.0
"""What is kept of a registration for the record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from typing import Any

import itk

from cnnmetric.plugin import compatibility
from cnnmetric.plugin.loading import core
from cnnmetric.registration.stage import Stage
from cnnmetric.types import Image


def registration_log(
    *,
    settings: Mapping[str, Any],
    images: Mapping[str, Image],
    notes: Sequence[str],
    stages: Sequence[Stage],
    device: str,
) -> dict[str, Any]:
    """Return versions, settings, images, choices and stages as values for JSON.

    Parameters
    ----------
    settings
        As the caller gave them.
    images
        By role.
    notes
        What was chosen and why, one sentence each.
    stages
        What was done.
    device
        Where the network ran.
    """
    packages = [name for need in compatibility.REQUIRED for name in need.packages]
    versions = {name: compatibility.installed_version(name) for name in packages}
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cnnmetric": str(core.__version__),
            "elastix": str(core.elastix_version),
            **{name: version for name, version in versions.items() if version},
        },
        "device": device,
        "settings": dict(settings),
        "images": {role: _geometry(image) for role, image in images.items()},
        "notes": list(notes),
        "stages": [
            {
                "name": stage.name,
                "seconds": round(stage.seconds, 2),
                "levels": [iteration.level for iteration in stage.trace],
                "values": [_number(iteration.value) for iteration in stage.trace],
            }
            for stage in stages
        ],
    }


def _geometry(image: Image) -> dict[str, Any]:
    return {
        "size": [int(n) for n in itk.size(image)],
        "spacing_mm": [float(value) for value in image.GetSpacing()],
        "origin_mm": [float(value) for value in image.GetOrigin()],
        "direction": itk.array_from_matrix(image.GetDirection()).tolist(),
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
