# SPDX-License-Identifier: Apache-2.0
"""What the doctor found, and the two forms it is told in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal

_WIDTH = 18


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, in one line, and what to do about it, in another."""

    what: str
    advice: str
    stops_registration: bool


@dataclass(frozen=True)
class Check:
    """One step on the way to a registration."""

    name: str
    state: Literal["ok", "failed", "not tried"]
    found: str = ""


@dataclass(frozen=True)
class Model:
    """An installed model; what the file says of itself is there if it could be opened."""

    name: str
    megabytes: float
    state: Literal["opens", "cannot be used", "not tried"]
    modalities: tuple[str, ...] = ()
    dimension: int | None = None
    spacing_mm: float | None = None


@dataclass
class Report:
    """Everything that is known of an installation."""

    versions: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    model_folder: str = ""
    models: list[Model] = field(default_factory=list)
    parameter_file_folder: str = ""
    parameter_files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def registration_can_run(self) -> bool:
        """Whether nothing was found that stops every registration."""
        return not any(problem.stops_registration for problem in self.problems)

    def record(self) -> dict[str, Any]:
        """Return everything as a dictionary that ``json.dump`` accepts."""
        return {**dataclasses.asdict(self), "registration_can_run": self.registration_can_run}

    def text(self) -> str:
        """Return everything as lines for people."""
        lines = ["Versions", *_rows(self.versions.items())]
        lines += ["Checks", *_rows((check.state, _sentence(check)) for check in self.checks)]
        lines += ["Devices", *_rows(self.devices.items())]
        lines += [f"Models in {self.model_folder}"]
        lines += _rows((model.name, _description(model)) for model in self.models)
        lines += [f"Parameter files in {self.parameter_file_folder}"]
        lines += [f"  {', '.join(self.parameter_files) or 'none'}"]
        if self.problems:
            lines.append("Problems")
        for number, problem in enumerate(self.problems, start=1):
            lines += [f"  {number}. {problem.what}", f"     Advice: {problem.advice}"]
        verdict = "can run" if self.registration_can_run else "cannot run"
        return "\n".join([*lines, f"A registration with CNNMetric {verdict}."])


def _rows(pairs: Any) -> list[str]:
    return [f"  {name:<{_WIDTH}} {value}" for name, value in pairs] or ["  none"]


def _sentence(check: Check) -> str:
    return f"{check.name}: {check.found}" if check.found else check.name


def _description(model: Model) -> str:
    parts = []
    if model.state == "opens":
        modalities = " and ".join(model.modalities)
        parts = [modalities, f"{model.dimension}D", f"{model.spacing_mm:g} mm"]
    return ", ".join([*parts, f"{model.megabytes:.1f} MB", model.state])
