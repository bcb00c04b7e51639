# SPDX-License-Identifier: Apache-2.0
"""Register one pair of a table and save its result."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnmetric.registration.cohort.table import Pair
from cnnmetric.registration.register import register
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.types import Deformation

NAME = "name"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What holds for all pairs: arguments of :func:`cnnmetric.register`; files are absolute."""

    fixed_modality: str
    model: str
    deformation: Deformation
    parameters: tuple[Path, ...]
    grid_spacing: float | None
    field_smoothing: float | None
    device: str
    threads: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class PairJob:
    """A job of :mod:`cnnmetric.registration.batch`.

    Its record has the name and the files of the pair, ``seconds``, ``figures`` (numbers by what
    they are called on the page), ``warning`` and ``failure``.
    """

    pair: Pair
    options: Options
    folder: Path
    displacement: bool
    jacobian: bool
    report: bool

    @property
    def threads(self) -> int:
        """Of the process."""
        return self.options.threads

    @property
    def key(self) -> tuple[str]:
        """The name of the pair."""
        return (self.pair.name,)

    def empty_record(self) -> dict[str, Any]:
        """Return a record without results."""
        return {
            NAME: self.pair.name,
            **self.pair.inputs(),
            "seconds": None,
            "figures": {},
            "warning": "",
            "failure": None,
        }

    def work(self, record: dict[str, Any], folder: Path) -> None:
        """Register and save; what an interrupted run has left of the result is replaced."""
        del folder
        started = time.perf_counter()
        options = asdict(self.options)
        options["fixed_modality"] = self.pair.fixed_modality or options["fixed_modality"]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            result = register(
                self.pair.fixed,
                self.pair.moving,
                fixed_mask=self.pair.fixed_mask,
                moving_mask=self.pair.moving_mask,
                initial=self.pair.initial,
                **options,
            )
            result.save(
                self.folder,
                overwrite=True,
                displacement=self.displacement,
                jacobian=self.jacobian,
                report=self.report,
            )
            described = _described(result)
        said = [str(warning.message) for warning in caught]
        record["warning"] = " ".join(dict.fromkeys([*described.pop("warnings"), *said]))
        record["figures"] = described
        record["seconds"] = round(time.perf_counter() - started, 1)


def _described(result: RegistrationResult) -> dict[str, Any]:
    """Return figures for the page by their names, and ``warnings``, a list of sentences."""
    folded = round(100 * result.jacobian().folded, 3)
    quality = result.log.get("quality", {"warnings": []})  # which `save` has measured
    if "agreement" not in quality:
        said = [f"The transform folds at {folded:.2g} % of the voxels."] if folded else []
        return {"folded (%)": folded, "warnings": [*said, *quality["warnings"]]}
    return {
        "agreement (%)": round(100 * quality["agreement"], 1),
        "overlap (%)": round(100 * quality["overlap"], 1),
        "folded (%)": folded,
        "warnings": quality["warnings"],
    }
