# SPDX-License-Identifier: Apache-2.0
"""Settings of ``python -m cnnmetric.plausibility``; its command line follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.plugin.package_data import DEFAULT_MODEL


@dataclass(frozen=True, kw_only=True)
class PlausibilitySettings(Settings):
    """Which aligned pair to look at, and how far to move away from it."""

    fixed: Path = setting(positional=True, help_text="fixed image, 3D")
    moving: Path = setting(
        positional=True, help_text="moving image of the same subject, aligned, of another modality"
    )
    out: Path = setting(help_text="folder for the pictures and the table; made if missing")
    model: str = setting(
        DEFAULT_MODEL, help_text="name of a shipped model or path of an .onnx file"
    )
    fixed_modality: str = setting(
        "T1", help_text="which of the model's two modalities the fixed image shows"
    )
    grid_spacing: float = setting(
        0.0, help_text="voxel size at which the network looks, 0 = the model's own", unit="mm"
    )
    rotation: float = setting(20.0, help_text="largest rotation about z", unit="degrees", above=0)
    translation: float = setting(10.0, help_text="largest translation along x", unit="mm", above=0)
    scale: float = setting(
        20.0, help_text="largest change of scale", unit="percent", above=0, below=100
    )
    control_point: float = setting(
        10.0,
        help_text="largest displacement of one B-spline control point along x",
        unit="mm",
        above=0,
    )
    control_point_spacing: float = setting(
        16.0, help_text="of the B-spline grid", unit="mm", above=0
    )
    points: int = setting(
        21, help_text="number of places on each curve; odd, to include 0", minimum=3
    )
    bins: int = setting(32, help_text="histogram bins of mutual information", minimum=5)
    offset: float = setting(
        0.0, help_text="translation along x at which the maps are drawn", unit="mm"
    )
    threads: int = setting(0, help_text="of the learned metric, 0 = all cores", unit="threads")

    def broken_rules(self) -> Iterator[str]:
        """Yield what bounds cannot say."""
        if self.points % 2 == 0:
            yield f"--points is {self.points}; give an odd number, so that 0 is among them"
