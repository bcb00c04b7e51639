# SPDX-License-Identifier: Apache-2.0
"""Which pairs are trained on and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from itertools import count
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.training.data.material_files import MaterialFiles
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.settings import NO_PAIR
from cnnmetric.training.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Split:
    """The files of a run.

    Attributes
    ----------
    materials
        What is trained on.
    held_out
        The pairs to validate on.
    """

    materials: Sequence[MaterialFiles]
    held_out: Sequence[PairFiles] = ()

    @property
    def files(self) -> dict[Path, str]:
        """What each file is called in its table, or in its folder; every file once."""
        pairs = [pair for item in self.materials for pair in item.pairs]
        found = {
            path: name
            for pair in (*pairs, *self.held_out)
            for path, name in zip(pair.paths, pair.names, strict=True)
        }
        return found | {path: path.name for item in self.materials for path in item.label_maps}

    @property
    def real(self) -> list[PairFiles]:
        """The real pairs that are trained on."""
        return [pair for item in self.materials if item.kind == "real" for pair in item.pairs]


def split(settings: TrainingSettings, files: Sequence[MaterialFiles]) -> Split:
    """Divide the files of all sources, as `validation`, `training_pairs` or `hold_out` say.

    By default the last subject is held out where there are two or more.

    Raises
    ------
    DataError
        If a pair of the validation table is trained on.
    SettingsError
        If ``training_pairs`` leaves none to validate on, or ``hold_out`` is no subject or the only
        one.
    """
    files = _labelled(files)
    if settings.validation is not None:
        return _with_table(settings, files)
    if settings.training_pairs:
        return _after_the_first(settings, files)
    return _without_one(settings, files)


def _labelled(files: Sequence[MaterialFiles]) -> list[MaterialFiles]:
    """Return the files with numbers for the real pairs, over all sources."""
    number = count(1)
    return [
        replace(item, pairs=[replace(pair, label=f"pair {next(number)}") for pair in item.pairs])
        if item.kind == "real"
        else item
        for item in files
    ]


def _with_table(settings: TrainingSettings, files: Sequence[MaterialFiles]) -> Split:
    assert settings.validation is not None
    held_out = [
        replace(pair, label=f"validation pair {number}")
        for number, pair in enumerate(
            read_pairs(settings.validation, settings.modality_names), start=1
        )
    ]
    both = {pair.paths[0].resolve() for item in files for pair in item.pairs} & {
        pair.paths[0].resolve() for pair in held_out
    }
    if both:
        msg = (
            f"{', '.join(sorted(map(str, both)))} would be trained on and validated on; take "
            f"it out of {settings.validation} or of what is trained on"
        )
        raise DataError(msg)
    return Split(materials=files, held_out=held_out)


def _after_the_first(settings: TrainingSettings, files: Sequence[MaterialFiles]) -> Split:
    number = settings.training_pairs
    pairs = files[-1].pairs  # the real ones come last
    if number >= len(pairs):
        msg = (
            f"--training-pairs {number} leaves none of the {len(pairs)} pairs of "
            f"{settings.sources[-1].path} to validate on; lower it, or leave it out"
        )
        raise SettingsError(msg)
    kept = [*files[:-1], replace(files[-1], pairs=pairs[:number])]
    return Split(materials=kept, held_out=pairs[number:])


def _without_one(settings: TrainingSettings, files: Sequence[MaterialFiles]) -> Split:
    real = Split(materials=files).real
    subjects = list(dict.fromkeys(pair.subject for pair in real))
    wanted = settings.hold_out
    if wanted is None:
        wanted = subjects[-1] if len(subjects) > 1 else NO_PAIR
    if wanted == NO_PAIR:
        return Split(materials=files)
    if wanted not in subjects:
        msg = (
            f"--hold-out {wanted}: there is no such subject; give {NO_PAIR} or one of "
            f"{', '.join(subjects)}"
        )
        raise SettingsError(msg)
    held_out = [pair for pair in real if pair.subject == wanted]
    seen = {path.resolve() for pair in held_out for path in pair.paths}
    # Of the sources of single images as well.
    materials = [
        replace(
            item,
            pairs=[pair for pair in item.pairs if not seen & {p.resolve() for p in pair.paths}],
        )
        for item in files
    ]
    if not Split(materials=materials).real:
        msg = f"--hold-out {wanted} leaves no real pair to train on; give {NO_PAIR}, or more pairs"
        raise SettingsError(msg)
    left = [item for item in materials if item.pairs or item.label_maps]
    return Split(materials=left, held_out=held_out)
