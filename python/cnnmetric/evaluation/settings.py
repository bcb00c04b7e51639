# SPDX-License-Identifier: Apache-2.0
"""Settings of ``python -m cnnmetric.evaluate``; its command lines follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation import names
from cnnmetric.plugin.package_data import DEFAULT_MODEL

BASELINE_HELP = "method that the others are tested against; by default mi+mask, where it was run"
OUT_HELP = "folder of the results, which a further run continues"
PRESET_HELP = (
    "settings of the elastix methods: practical (the shipped parameter files), simonovsky2016 (the "
    "paper's protocol, hours per registration without a GPU) or simonovsky2016-short (a tenth of "
    "its iterations)"
)


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """What to register with what, and where."""

    subjects: Path = setting(help_text="CSV with subject, one column per modality, and labels")
    registrations: Path = setting(
        help_text="CSV with fixed_subject, fixed_modality, moving_subject, moving_modality"
    )
    methods: str = setting(
        "cnn,mi,mi+mask", help_text=f"of {', '.join(names.METHODS)}, separated by commas"
    )
    out: Path = setting(help_text=OUT_HELP)
    preset: str = setting("practical", help_text=PRESET_HELP, choices=names.PRESETS)
    own: tuple[str, ...] = setting(
        (),
        help_text="a method of your own parameter files, as name=first.txt,second.txt; name it in "
        "--methods, too",
        repeatable=True,
    )
    model: str = setting(
        DEFAULT_MODEL, help_text="model of the learned metric, a name or an .onnx file"
    )
    labels: str = setting("all", help_text="labels to compare, for example 1-50,85; all but 0: all")
    baseline: str = setting("", help_text=BASELINE_HELP)
    threads: int = setting(1, help_text="of each registration", unit="threads", minimum=1)
    workers: int = setting(
        0,
        help_text="registrations at a time on this machine, 0 = as many as cores allow",
        minimum=0,
    )
    scheduler: str = setting(
        "", help_text="address of a Dask scheduler whose workers do the registrations"
    )
    seed: int = setting(1, help_text="of whatever is random in a registration")
    retry_failed: bool = setting(False, help_text="run registrations that failed before again")

    def broken_rules(self) -> Iterator[str]:
        """Check methods and labels, which needs no images.

        Raises
        ------
        SettingsError
            If there is no such method, or the labels cannot be understood.
        DataError
            If a parameter file does not exist.
        """
        from cnnmetric.evaluation import methods  # of ITK, which a help text does not need

        for name in self.method_names:
            methods.find(name, self.own)
        parse_labels(self.labels)
        left_out = [name for name in methods.split_own(self.own) if name not in self.method_names]
        if left_out:
            yield f"--own {left_out[0]} would not be run: add {','.join(left_out)} to --methods"
        if not self.method_names:
            yield "--methods names no method"
        if len(set(self.method_names)) < len(self.method_names):
            yield f"--methods {self.methods} names a method twice"

    @property
    def method_names(self) -> list[str]:
        """The methods, one by one."""
        return [name.strip() for name in self.methods.split(",") if name.strip()]


@dataclass(frozen=True, kw_only=True)
class SummarySettings(Settings):
    """Which results to show as tables."""

    out: Path = setting(help_text="folder of the results")
    baseline: str = setting("", help_text=BASELINE_HELP)


@dataclass(frozen=True, kw_only=True)
class FigureSettings(Settings):
    """Which results to draw."""

    out: Path = setting(help_text="folder of the results; pictures go to its folder figures")
    baseline: str = setting("", help_text=BASELINE_HELP)
    label_names: Path | None = setting(
        None, help_text="text file with a label and its name per line, separated by a tab"
    )


def parse_labels(text: str) -> tuple[int, ...] | None:
    """Return the labels that ``1-50,85`` stands for, or None for ``all``.

    Raises
    ------
    SettingsError
        If the text has another form.
    """
    if text == "all":
        return None
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            msg = f"--labels {text} is neither 'all' nor labels and ranges such as 1-50,85"
            raise SettingsError(msg)
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(dict.fromkeys(found))
