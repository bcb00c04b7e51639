# SPDX-License-Identifier: Apache-2.0
"""Tables of subjects and registrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnmetric.errors import DataError
from cnnmetric.evaluation.tables import read_registrations

SUBJECTS = "subject,T1,T2,labels\na,a1.nii,a2.nii,al.nii\nb,b1.nii,,bl.nii\n"
HEADER = "fixed_subject,fixed_modality,moving_subject,moving_modality\n"


def tables(folder: Path, subjects: str, registrations: str) -> tuple[Path, Path]:
    for name in ("a1", "a2", "al", "b1", "bl"):
        (folder / f"{name}.nii").touch()
    paths = folder / "subjects.csv", folder / "registrations.csv"
    paths[0].write_text(subjects)
    paths[1].write_text(registrations)
    return paths


def test_reads_registrations_in_the_order_of_the_table(tmp_path: Path) -> None:
    found = read_registrations(*tables(tmp_path, SUBJECTS, HEADER + "b,T1,a,T2\na,T1,b,T1\n"))
    assert [registration.name for registration in found] == ["b:T1:a:T2", "a:T1:b:T1"]
    assert found[0].moving == tmp_path / "a2.nii"
    assert found[0].fixed_labels == tmp_path / "bl.nii"


def test_images_and_labels_may_be_series_of_dicom(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    subjects = SUBJECTS + "c,scans,,scans#1.2.840\n"
    (found,) = read_registrations(*tables(tmp_path, subjects, HEADER + "c,T1,a,T1\n"))
    assert found.fixed == tmp_path / "scans"
    assert found.fixed_labels == tmp_path / "scans#1.2.840"


@pytest.mark.parametrize(
    ("subjects", "rows", "message"),
    [
        (SUBJECTS, "", "table of registrations .* has a header and no row"),
        ("subject,T1,labels\n", "a,T1,b,T1\n", "table of subjects .* has a header and no row"),
        ("subject,T1\na,a1.nii\n", "a,T1,b,T1\n", "has no column labels"),
        (SUBJECTS, "a,T1,c,T1\n", "line 2: there is no subject 'c' in"),
        (SUBJECTS, "a,T1,b,T2\n", "line 2: subject b has no 'T2' .* it has T1, labels"),
        (SUBJECTS, "a,PD,b,T1\n", "subject a has no 'PD'"),
        (SUBJECTS, "a,T1,b,T1\na,T1,b,T1\n", "line 3: registration a:T1:b:T1 is listed twice"),
        (SUBJECTS + "a,a1.nii,,al.nii\n", "a,T1,b,T1\n", "line 4: subject a is listed twice"),
        (SUBJECTS + "\na,a1.nii,,al.nii\n", "a,T1,b,T1\n", "line 5: subject a is listed twice"),
        (SUBJECTS, "\n\na,T1,c,T1\n", "line 4: there is no subject 'c' in"),
        (SUBJECTS + "c,no.nii,,al.nii\n", "a,T1,c,T1\n", "no.nii .T1 of c., which does not exist"),
    ],
)
def test_tables_that_do_not_fit(subjects: str, rows: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_registrations(*tables(tmp_path, subjects, HEADER + rows))
