# SPDX-License-Identifier: Apache-2.0
"""What a registration method is, to the evaluation."""

from __future__ import annotations

import importlib.util
from abc import ABC
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.plugin.installation import install_extra
from cnnmetric.types import Image


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a method is given.

    Attributes
    ----------
    fixed, moving
        ITK images of float, 3D, each on its own grid.
    fixed_modality, moving_modality
        What they show, as in the table of registrations.
    preset
        Settings of the elastix methods, one of `cnnmetric.evaluation.names.PRESETS`.
    model
        Name or file of the learned metric's model.
    threads
        How many threads the method may use.
    seed
        Of whatever is random.
    folder
        Empty, for whatever the method has to write; removed afterwards.
    """

    fixed: Image
    moving: Image
    fixed_modality: str
    moving_modality: str
    preset: str
    model: str
    threads: int
    seed: int
    folder: Path


class Method(ABC):
    """A registration method.

    To add one, write a class like those beside this file and list it in `methods/__init__.py`.

    Attributes
    ----------
    name
        As it is asked for on the command line and called in tables.
    packages
        What it imports beyond cnnmetric's own dependencies.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def missing(cls) -> str:
        """Return what has to be installed to use this method, empty if nothing has."""
        missing = [name for name in cls.packages if importlib.util.find_spec(name) is None]
        if not missing:
            return ""
        return f"{cls.name} needs {' and '.join(missing)}. {install_extra('rivals')}"

    @abstractmethod
    def register(self, task: Task) -> Iterator[Alignment]:
        """Register, and yield the alignment after each step of `alignment.STEPS` that there is."""
