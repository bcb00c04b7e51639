# SPDX-License-Identifier: Apache-2.0
"""Second names of a result's files, in the style of BIDS."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.files.bids import BidsNames


@pytest.mark.parametrize(
    ("fixed", "moving", "file", "name"),
    [
        (
            "sub-01_T1w.nii.gz",
            "sub-01_T2w.nii.gz",
            "warped.nii.gz",
            "space-T1w_desc-warped_T2w.nii.gz",
        ),
        (
            "sub-01_T1w.nii.gz",
            "sub-01_T2w.nii.gz",
            "transform.h5",
            "from-T2w_to-T1w_mode-image_xfm.h5",
        ),
        (
            "sub-02_ses-b_T1w.nii",
            "sub-01_T2w.mha",
            "displacement.nii.gz",
            "from-T2w_to-02bT1w_mode-image_desc-displacement_xfm.nii.gz",
        ),
        ("sub-02_T1w.nii", "sub-01_T2w.nii", "report.html", "space-02T1w_desc-report_T2w.html"),
    ],
)
def test_names_follow_from_those_of_the_images(
    fixed: str, moving: str, file: str, name: str
) -> None:
    assert BidsNames(fixed, moving).of(file) == f"sub-01_{name}"


@pytest.mark.parametrize("name", ["T1.nii.gz", "sub-01.nii.gz", "sub-0 1_T1w.nii.gz", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"no name of BIDS, such as sub-01_T1w.*--bids"):
        BidsNames("sub-01_T1w.nii.gz", name)


def test_a_file_gets_a_second_name(tmp_path: Path) -> None:
    file = tmp_path / "warped.nii.gz"
    file.write_text("new")
    second = tmp_path / "sub-01_space-T1w_desc-warped_T2w.nii.gz"
    second.write_text("of an earlier result")
    assert BidsNames("sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz").link([file]) == [second]
    assert second.read_text() == file.read_text() == "new"
