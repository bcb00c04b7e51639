# SPDX-License-Identifier: Apache-2.0
"""The IXI data set as it is downloaded, without a table.

Its archives hold files like ``IXI002-Guys-0828-T1.nii.gz``: subject, hospital, number of the scan
and modality (T1, T2, PD, MRA). T1 and T2 have grids of their own and are aligned by their headers.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.metric.modalities import ANY

_NAME = re.compile(r"(IXI\d+-[^-]+-\d+)-([^-.]+)\.nii(?:\.gz)?")


def find_ixi(folder: Path, modalities: tuple[str, ...]) -> list[tuple[Path, ...]]:
    """Return the files of every subject that has all modalities, sorted by name.

    Parameters
    ----------
    folder
        Where the archives were unpacked, in one folder or in one for each modality.
    modalities
        As IXI calls them, for example ``("T1", "T2")``; with ``(ANY, ANY)``, any two images of a
        subject are a pair.

    Raises
    ------
    DataError
        If there is no such subject, with the modalities that were found.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.rglob("IXI*.nii*")):
        name = _NAME.fullmatch(path.name)
        if name:
            found.setdefault(name[1], {})[name[2]] = path
    every = modalities == (ANY, ANY)
    pairs = [
        tuple(files[modality] for modality in chosen)
        for _, files in sorted(found.items())
        for chosen in (combinations(sorted(files), 2) if every else [modalities])
        if set(chosen) <= set(files)
    ]
    if not pairs:
        there = sorted({modality for files in found.values() for modality in files})
        msg = (
            f"the folder {folder} has no subject with "
            f"{'two images' if every else ' and '.join(modalities)} in files named "
            f"like IXI002-Guys-0828-T1.nii.gz ({', '.join(there) or 'no such file'} found); give "
            "the folder of IXI, or a table of pairs"
        )
        raise DataError(msg)
    return pairs
