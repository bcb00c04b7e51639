# SPDX-License-Identifier: Apache-2.0
"""The files that a run writes: nothing is overwritten that was not meant to be."""

from __future__ import annotations

from cnnmetric.errors import SettingsError
from cnnmetric.files.output import check_file
from cnnmetric.training.settings import TrainingSettings


def check_outputs(settings: TrainingSettings) -> None:
    """Refuse outputs that cannot be written or would replace something.

    Raises
    ------
    SettingsError
        If one cannot be written, is a file that is read, or is there already and neither
        ``overwrite`` nor ``resume`` nor ``export_only`` says that this is meant.
    """
    read = {source.path.resolve() for source in settings.sources}
    if settings.validation is not None:
        read.add(settings.validation.resolve())
    for file in settings.outputs:
        check_file(file, option="--out")
        if file.resolve() in read:
            msg = (
                f"{file} is read and would be overwritten by what is written beside "
                f"{settings.out.name}; choose another --out"
            )
            raise SettingsError(msg)
    if settings.overwrite or settings.resume or settings.export_only:
        return
    there = [file for file in settings.outputs if file.exists()]
    if there:
        resume = "give --resume to go on with that run, " if settings.checkpoint in there else ""
        msg = (
            f"{', '.join(file.name for file in there)} in {settings.out.parent} would be "
            f"overwritten; {resume}give --overwrite to train anew, or choose another --out"
        )
        raise SettingsError(msg)
