# SPDX-License-Identifier: Apache-2.0
"""Settings of the demo; its command line follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.types import Deformation


@dataclass(frozen=True)
class DemoSettings(Settings):
    """What to register and how to show it."""

    fixed: Path | None = setting(
        None, help_text="fixed image; with --moving replaces the built-in pair"
    )
    moving: Path | None = setting(None, help_text="moving image, of the other modality")
    fixed_labels: Path | None = setting(None, help_text="label map of the fixed image, for Dice")
    moving_labels: Path | None = setting(None, help_text="label map of the moving image, for Dice")
    fixed_modality: str = setting(
        "T1", help_text="which of the model's two modalities the fixed image shows (with --fixed)"
    )
    model: str = setting(
        DEFAULT_MODEL, help_text="name of a shipped model or path of an .onnx file"
    )
    metric: Literal["cnn", "mi"] = setting("cnn", help_text="learned metric or mutual information")
    compare_mi: bool = setting(
        False, help_text="run mutual information in the same pipeline as well"
    )
    deformation: Deformation = setting(
        "bspline", help_text="how the learned metric deforms the moving image"
    )
    seed: int = setting(1, help_text="seed of the built-in pair", minimum=0)
    threads: int = setting(
        0, help_text="threads of the registration, 0 = all cores", unit="threads", minimum=0
    )
    output: Path = setting(
        Path("demo.png"), help_text="picture to write; the numbers go beside it as .json"
    )
    verbose: bool = setting(False, help_text="print elastix's log")

    def broken_rules(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if (self.fixed is None) != (self.moving is None):
            yield "give both --fixed and --moving, or neither"
        if (self.fixed_labels is None) != (self.moving_labels is None):
            yield "give both --fixed-labels and --moving-labels, or neither"
        if self.fixed_labels is not None and self.fixed is None:
            yield "--fixed-labels and --moving-labels need --fixed and --moving"
