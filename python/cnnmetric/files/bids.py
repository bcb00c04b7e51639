# SPDX-License-Identifier: Apache-2.0
"""Names in the style of the Brain Imaging Data Structure (BIDS), for results."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from cnnmetric.errors import SettingsError

_NAME = re.compile(
    r"(?P<entities>sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9]+)*)_(?P<suffix>[A-Za-z0-9]+)"
)


class BidsNames:
    """The names of a result's files, from those of its two images.

    Parameters
    ----------
    fixed, moving
        File names of the images, as ``sub-01_T1w.nii.gz``.

    Raises
    ------
    SettingsError
        If one is no name of BIDS.

    Examples
    --------
    >>> BidsNames("sub-01_T1w.nii.gz", "sub-02_T2w.nii.gz").of("warped.nii.gz")
    'sub-02_space-01T1w_desc-warped_T2w.nii.gz'
    >>> BidsNames("sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz").of("transform.h5")
    'sub-01_from-T2w_to-T1w_mode-image_xfm.h5'
    """

    def __init__(self, fixed: str, moving: str) -> None:
        (target, target_suffix), (source, self._suffix) = _parts(fixed), _parts(moving)
        self._entities = source
        # The moving image's own space is that of its entities; the fixed image's may be another's.
        other = "" if target == source else re.sub(r"_?[a-z]+-", "", target)
        self._space = other + target_suffix

    def of(self, name: str) -> str:
        """Return the name that one of a result's files gets."""
        stem, dot, ending = name.partition(".")
        if stem == "transform":
            return f"{self._entities}_{self._way}_xfm{dot}{ending}"
        if stem == "displacement":
            return f"{self._entities}_{self._way}_desc-displacement_xfm{dot}{ending}"
        return f"{self._entities}_space-{self._space}_desc-{stem}_{self._suffix}{dot}{ending}"

    def link(self, files: Iterable[Path]) -> list[Path]:
        """Give files their second name, beside the first; return it for each.

        Where the file system has no links, they are copied.
        """
        found = []
        for file in files:
            second = file.with_name(self.of(file.name))
            second.unlink(missing_ok=True)
            try:
                os.link(file, second)
            except OSError:
                shutil.copy2(file, second)
            found.append(second)
        return found

    @property
    def _way(self) -> str:
        # In BIDS, "image" is the way that an image goes by resampling.
        return f"from-{self._suffix}_to-{self._space}_mode-image"


def _parts(name: str) -> tuple[str, str]:
    """Return the entities and the suffix of a file name."""
    stem = name.split(".", maxsplit=1)[0]
    match = _NAME.fullmatch(stem)
    if match is None:
        msg = (
            f"{name or 'an image that is no file'} is no name of BIDS, such as sub-01_T1w.nii.gz, "
            "from which files of the result could be named; leave out bids (--bids)"
        )
        raise SettingsError(msg)
    return match["entities"], match["suffix"]
