# SPDX-License-Identifier: Apache-2.0
"""One registration by one method, from files to overlap of label maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnmetric.evaluation import methods
from cnnmetric.evaluation.methods.elastix import ParameterFiles
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.score import score_before
from cnnmetric.evaluation.tables import Registration
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from cnnmetric.registration.batch.job import leave


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of :mod:`cnnmetric.registration.batch`; its record is in docs/guide/evaluate.md.

    Attributes
    ----------
    own
        Absolute paths of the parameter files that the method is; empty for one of
        `cnnmetric.evaluation.methods`.
    model
        Name of an installed model, or absolute path of a file.
    """

    registration: Registration
    method: str
    own: tuple[Path, ...]
    preset: str
    model: str
    labels: tuple[int, ...] | None
    threads: int
    seed: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one record from another: preset, method and registration."""
        return self.preset, self.method, self.registration.name

    def empty_record(self) -> dict[str, Any]:
        """Return a record without results."""
        registration = self.registration
        return {
            "preset": self.preset,
            "method": self.method,
            "registration": registration.name,
            "fixed_subject": registration.fixed_subject,
            "fixed_modality": registration.fixed_modality,
            "moving_subject": registration.moving_subject,
            "moving_modality": registration.moving_modality,
            "threads": self.threads,
            "seed": self.seed,
            "failure": None,
        }

    def work(self, record: dict[str, Any], folder: Path) -> None:
        """Register and measure, step by step."""
        registration = self.registration
        pair = read_pair(registration)
        record["before"] = score_before(pair, self.labels)
        leave(record, folder)  # with which a method counts that takes its process down
        task = methods.Task(
            fixed=pair.fixed,
            moving=pair.moving,
            fixed_modality=registration.fixed_modality,
            moving_modality=registration.moving_modality,
            preset=self.preset,
            model=self.model,
            threads=self.threads,
            seed=self.seed,
            folder=folder,
        )
        method = ParameterFiles(list(self.own)) if self.own else methods.find(self.method)
        for alignment in method.register(task):
            record[alignment.step] = score(pair, alignment, self.labels)


def read_pair(registration: Registration) -> LabelledPair:
    """Read the images and label maps of a registration.

    Raises
    ------
    DataError
        If a file is missing, cannot be read, or is not 3D.
    """
    return LabelledPair(
        fixed=read_image(registration.fixed),
        moving=read_image(registration.moving),
        fixed_labels=read_labels(registration.fixed_labels),
        moving_labels=read_labels(registration.moving_labels),
    )
