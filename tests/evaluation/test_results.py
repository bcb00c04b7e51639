# SPDX-License-Identifier: Apache-2.0
"""The file of records that runs continue."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.results import Results


def record(number: int, failure: str | None = None) -> dict[str, Any]:
    return {
        "preset": "practical",
        "method": "mi",
        "registration": f"r{number}",
        "failure": failure,
    }


def test_records_are_there_for_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    Results(folder).append(record(1))
    Results(folder).append(record(2))
    assert Results(folder).keys == {("practical", "mi", "r1"), ("practical", "mi", "r2")}


def test_a_line_that_a_killed_run_left_incomplete_is_dropped(tmp_path: Path) -> None:
    Results(tmp_path).append(record(1))
    file = tmp_path / "results.jsonl"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + whole[:20])
    results = Results(tmp_path)
    assert results.records == [record(1)]
    results.append(record(2))
    assert Results(tmp_path).records == [record(1), record(2)]


def test_reading_leaves_a_line_that_is_being_written_alone(tmp_path: Path) -> None:
    Results(tmp_path).append(record(1))
    file = tmp_path / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    assert Results(tmp_path).records == [record(1)]
    assert file.read_bytes() == whole + whole[:20]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    Results(tmp_path).append(record(1))
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text(encoding="utf-8") + "rubbish\n")
    with pytest.raises(DataError, match=r"line 2, is no record .* remove the line"):
        Results(tmp_path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"5", "it is a int"),
        (b"{}", "it has no preset and no method"),
        (b'{"preset": "x", "method": "mi", "registration": "r2"}', "it has no failure"),
    ],
)
def test_a_line_that_holds_something_else_is_named(line: bytes, fault: str, tmp_path: Path) -> None:
    Results(tmp_path).append(record(1))
    file = tmp_path / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + line + b"\n")
    message = rf"results\.jsonl, line 2, is no record .*{fault}.*remove the line, and the next run"
    with pytest.raises(DataError, match=message):
        Results(tmp_path)
    assert file.read_bytes() == whole + line + b"\n"
    file.write_bytes(whole)
    assert Results(tmp_path).records == [record(1)]


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path) -> None:
    results = Results(tmp_path)
    numbers = {"before": {"dice": math.nan, "of_label": [math.inf, 0.5]}}
    results.append({**record(1, failure="crash"), **numbers})
    results.append({**record(2), **numbers})
    expected = {"dice": None, "of_label": [None, 0.5]}
    assert [r["before"] for r in Results(tmp_path).records] == [expected] * 2
    results.drop_failures()
    assert [r["before"] for r in Results(tmp_path).records] == [expected]


def test_failures_can_be_taken_out_to_be_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.append(record(1, failure="crash"))
    results.append(record(2))
    assert results.drop_failures() == 1
    assert results.records == Results(tmp_path).records == [record(2)]
    assert results.drop_failures() == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_settings_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(DataError, match=r"settings\.json does not hold the settings of a run"):
        Results(tmp_path).check_settings({"--labels": "1-50"})


def test_settings_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Results(tmp_path).check_settings({"--seed": "1"})
    before = (tmp_path / "settings.json").read_text(encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        Results(tmp_path).check_settings({"--seed": "1", "--model": "t1t2"})
    assert (tmp_path / "settings.json").read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    settings = {"--labels": "1-50", "--model": "t1t2"}
    Results(tmp_path).check_settings(settings)
    Results(tmp_path).append(record(1))
    Results(tmp_path).check_settings({**settings, "files of mine": "a"})
    with pytest.raises(SettingsError, match="begun with another files of mine, a, and"):
        Results(tmp_path).check_settings({"files of mine": "b"})
    with pytest.raises(
        SettingsError, match="begun with another --labels, 1-50, and cannot go on with all"
    ):
        Results(tmp_path).check_settings({**settings, "--labels": "all"})


def test_a_folder_of_before_there_was_an_option_has_its_default(tmp_path: Path) -> None:
    Results(tmp_path).check_settings({"--seed": "1"}, unsaid={"--new": "None"})
    Results(tmp_path).append(record(1))
    old = Results(tmp_path)
    with pytest.raises(SettingsError, match="begun with another --new, None, and cannot go on"):
        old.check_settings({"--seed": "1", "--new": "2"}, unsaid={"--new": "None"})
    old.check_settings({"--seed": "1", "--new": "None"}, unsaid={"--new": "None"})
    with pytest.raises(SettingsError, match="begun with another --new, None"):
        old.check_settings({"--new": "2"}, unsaid={"--new": "None"})


def test_a_folder_without_results_takes_corrected_settings(tmp_path: Path) -> None:
    Results(tmp_path).check_settings({"--labels": "1-5", "files of mine": "a"})
    Results(tmp_path).check_settings({"--labels": "1-50"})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"--labels": "1-50"}
    Results(tmp_path).append(record(1))
    with pytest.raises(SettingsError, match="begun with another --labels, 1-50"):
        Results(tmp_path).check_settings({"--labels": "1-5"})
