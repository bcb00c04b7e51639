# SPDX-License-Identifier: Apache-2.0
"""Write images to files, whole or not at all, and over nothing that is there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import itk

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import check_new
from cnnmetric.types import Image

# ITK writes more, of which the others lose where an image lies, write one slice, or abort Python.
# As ITK has them: it does not know all of them in capitals.
_SUFFIXES = (
    *(".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".nhdr"),
    *(".hdr", ".img", ".hdr.gz", ".img.gz", ".mnc", ".h5", ".hdf5"),
)


def check_image_file(file: Path, *, overwrite: bool) -> None:
    """Refuse the name of a file that no image can be written to, before the work.

    Raises
    ------
    SettingsError
        If the file exists and may not be replaced, is a folder, or its name is of no format that
        keeps where an image lies.
    """
    if file.is_dir():
        msg = f"{file} is a folder; name a file, for example {file / 'image.nii.gz'}"
        raise SettingsError(msg)
    check_new(file, overwrite=overwrite)
    if not file.name.endswith(_SUFFIXES):
        msg = (
            f"no image can be written to {file}: its name is of no format that keeps where an "
            f"image lies; name a file that ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
        )
        raise SettingsError(msg)


def write_image(image: Image, file: Path, *, overwrite: bool = False) -> None:
    """Write an image in the format that the name of the file says.

    Parameters
    ----------
    image
        Of ITK.
    file
        Of a format that keeps where the image lies, also one of two files, as ``.mhd``. Its folder
        is made.
    overwrite
        Replace files that exist.

    Raises
    ------
    SettingsError
        As :func:`check_image_file`, also for the second file.
    DataError
        If ITK or the system cannot write it.
    """
    check_image_file(file, overwrite=overwrite)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".cnnmetric-") as folder:
            itk.imwrite(image, str(Path(folder) / file.name), compression=True)
            written = sorted(Path(folder).iterdir())
            there = [path.name for path in written if (file.parent / path.name).exists()]
            if there and not overwrite:
                msg = f"{file.parent} holds {' and '.join(there)}; name another file"
                raise SettingsError(msg)
            for path in written:
                os.replace(path, file.parent / path.name)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        msg = f"{file} cannot be written: {reason}"
        raise DataError(msg) from error
