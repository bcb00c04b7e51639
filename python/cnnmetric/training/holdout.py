# SPDX-License-Identifier: Apache-2.0
"""Which pairs are trained on and which are held out."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from itertools import count
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.images.dicom import names_series
from cnnmetric.images.dicom import series_files
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

    By default the last subject is held out where there are two or more. No image is on both sides:
    the pairs of a subject stay together, those of the subjects of the first ``training_pairs`` are
    trained on, and single images that are validated on are left out of the sources.

    Raises
    ------
    DataError
        If an image of the validation table is trained on, or ``training_pairs`` divides subjects
        that share an image.
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
    shared = _shared((pair for item in files for pair in item.pairs), held_out)
    if shared:
        msg = (
            f"{_listed(shared)} would be trained on and validated on; take it out of "
            f"{settings.validation} or of what is trained on"
        )
        raise DataError(msg)
    return Split(materials=files, held_out=held_out)


def _after_the_first(settings: TrainingSettings, files: Sequence[MaterialFiles]) -> Split:
    number, table = settings.training_pairs, settings.sources[-1].path
    *others, real = files  # the real ones come last
    subjects = {pair.subject for pair in real.pairs[:number]}
    kept = [pair for pair in real.pairs if pair.subject in subjects]
    held_out = [pair for pair in real.pairs if pair.subject not in subjects]
    if not held_out:
        together = ", as those of a subject stay together" if number < len(real.pairs) else ""
        msg = (
            f"--training-pairs {number} leaves none of the {len(real.pairs)} pairs of {table} to "
            f"validate on{together}; lower it, or leave it out"
        )
        raise SettingsError(msg)
    shared = _shared(kept, held_out)
    if shared:
        msg = (
            f"--training-pairs {number}: {_listed(shared)} would be trained on and validated on; "
            f"give its pairs the same subject in the first column of {table}, or take it out of "
            "some of them"
        )
        raise DataError(msg)
    materials = [*_without(held_out, others), replace(real, pairs=kept)]
    return Split(materials=materials, held_out=held_out)


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
    materials = _without(held_out, files)
    if not Split(materials=materials).real:
        msg = f"--hold-out {wanted} leaves no real pair to train on; give {NO_PAIR}, or more pairs"
        raise SettingsError(msg)
    return Split(materials=materials, held_out=held_out)


def _without(held_out: Sequence[PairFiles], files: Sequence[MaterialFiles]) -> list[MaterialFiles]:
    """Leave out the pairs that share an image with those held out, and sources that end empty."""
    shared = _shared((pair for item in files for pair in item.pairs), held_out)
    left = [
        replace(item, pairs=[pair for pair in item.pairs if not shared.intersection(pair.paths)])
        for item in files
    ]
    return [item for item in left if item.pairs or item.label_maps]


def _shared(trained: Iterable[PairFiles], held_out: Iterable[PairFiles]) -> set[Path]:
    """Return the paths of the ones whose images are images of the others, too."""
    seen = set(_files(held_out).values())
    return {path for path, file in _files(trained).items() if file in seen}


def _files(pairs: Iterable[PairFiles]) -> dict[Path, Path]:
    """Return the file that stands for each image of pairs, however its path is written.

    That is the first slice of a series, which a table may name in several ways.
    """
    paths = dict.fromkeys(path for pair in pairs for path in pair.paths)
    return {
        path: Path(series_files(path)[0] if names_series(path) else path).resolve()
        for path in paths
    }


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(map(str, paths)))
