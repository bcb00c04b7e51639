# SPDX-License-Identifier: Apache-2.0
"""The table of pairs as it is read, and the page and the table of results as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnnmetric.errors import DataError
from cnnmetric.registration.cohort.page import write_overview
from cnnmetric.registration.cohort.table import read_pairs
from support.many_registrations import rows_of
from support.many_registrations import write_pairs


def test_a_series_of_a_folder_is_an_image_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "b.nii").touch()
    table = write_pairs(tmp_path / "t.csv", "scan#1.2.840,b.nii", header="fixed,moving")
    (pair,) = read_pairs(table)
    assert (pair.name, pair.fixed) == ("b_to_scan", tmp_path / "scan#1.2.840")
    write_pairs(table, "no#1.2,b.nii,scan#1.2", header="fixed,moving,initial")
    with pytest.raises(DataError) as raised:
        read_pairs(table)
    assert "line 2, fixed: there is no file" in str(raised.value)
    assert "line 2, initial: there is no file" in str(raised.value)  # a transform is no series


def test_a_pair_has_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "gaps.csv", "", "a,no.nii,no.nii", "", "b,no.nii,no.nii")
    with pytest.raises(DataError, match=r"line 3, fixed: .* line 5, fixed: "):
        read_pairs(table)


def test_the_page_and_the_table_show_what_they_are_given(tmp_path: Path) -> None:
    common: dict[str, Any] = {"figures": {}, "warning": "", "failure": None, "seconds": None}
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "report.html").write_text("")
    records: list[dict[str, Any]] = [
        {**common, "name": "a b", "status": "done", "seconds": 61.5, "figures": {"x (%)": 0.25}},
        {**common, "name": "<c>", "status": "failed", "failure": "a <b> & c, d"},
        {**common, "name": "e", "status": "waiting"},
    ]
    write_overview(tmp_path, records, title="Registrations of <here>")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<h1>Registrations of &lt;here&gt;</h1>" in page
    assert '<a href="a%20b/report.html">a b</a>' in page
    assert 'data-value="61.5">1:02 min</td><td class="number" data-value="0.25">0.25</td>' in page
    assert "Number.isFinite(p) && Number.isFinite(q)" in page  # 0.3 after 0.012
    assert "&lt;c&gt;" in page
    assert "a &lt;b&gt; &amp; c, d" in page
    assert "1 done, 1 failed, 1 waiting" in page
    assert "http" not in page  # nothing is fetched
    rows = rows_of(tmp_path)
    assert rows["a b"]["x (%)"] == "0.25"
    assert rows["<c>"]["failure"] == "a <b> & c, d"
    assert rows["e"] == {
        **dict.fromkeys(rows["e"], ""),
        "name": "e",
        "status": "waiting",
    }
