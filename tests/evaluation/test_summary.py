# SPDX-License-Identifier: Apache-2.0
"""The table of results, its tests of significance, and the pictures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation import figures
from cnnmetric.evaluation.alignment import STEPS
from cnnmetric.evaluation.summary import Summary
from cnnmetric.evaluation.summary import better_than

BEFORE = np.array([0.50, 0.55, 0.60, 0.45, 0.52])
DICE = {
    "mi": np.array([0.60, 0.62, 0.58, 0.61, 0.63]),
    "cnn": np.array([0.66, 0.65, 0.61, 0.60, 0.70]),
}


def overlaps(dice: float, **more: Any) -> dict[str, Any]:
    values = {"1": dice - 0.1, "2": dice + 0.1, "3": None}
    return {
        "dice": dice,
        "jaccard": dice / (2 - dice),
        "dice_of_label": values,
        "jaccard_of_label": values,
        **more,
    }


def record(method: str, number: int, *, failure: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "preset": "practical",
        "method": method,
        "registration": f"r{number}",
        "failure": failure,
        "before": overlaps(BEFORE[number]),
        "linear": overlaps(BEFORE[number] + 0.02, folded=0.0, seconds=2.0),
    }
    if failure is None:
        found["deformable"] = overlaps(DICE[method][number], folded=0.001, seconds=3.0)
    return found


@pytest.fixture
def records() -> list[dict[str, Any]]:
    found = [record(method, number) for method in DICE for number in range(5)]
    random.Random(3).shuffle(found)  # as processes finish
    return found


def row(summary: Summary, method: str) -> pd.Series[Any]:
    found = summary.table[summary.table["method"] == method].iloc[0]
    assert isinstance(found, pd.Series)
    return found


def test_mean_sd_median_wins_and_tests(records: list[dict[str, Any]]) -> None:
    summary = Summary(records, baseline="mi")
    cnn = row(summary, "cnn")
    assert cnn["dice_mean"] == pytest.approx(DICE["cnn"].mean())
    assert cnn["dice_sd"] == pytest.approx(DICE["cnn"].std(ddof=1))
    assert cnn["dice_median"] == pytest.approx(0.65)
    assert cnn["dice_linear_mean"] == pytest.approx(BEFORE.mean() + 0.02)
    assert cnn["jaccard_mean"] == pytest.approx((DICE["cnn"] / (2 - DICE["cnn"])).mean())
    assert cnn["wins"] == 4
    assert cnn["improved"] == 5
    assert row(summary, "mi")["improved"] == 4
    assert cnn["seconds"] == 5.0
    # Student's formula, and SciPy's other ways to the same numbers.
    difference = DICE["cnn"] - DICE["mi"]
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(5))
    assert cnn["p_t"] == pytest.approx(stats.t.sf(t, df=4))
    expected = stats.wilcoxon(difference, alternative="greater").pvalue
    assert cnn["p_wilcoxon"] == pytest.approx(expected)
    assert np.isnan(row(summary, "mi")["p_t"])


def test_a_test_says_nothing_without_differences_or_pairs() -> None:
    assert np.isnan(better_than(DICE["mi"], DICE["mi"])).all()
    assert np.isnan(better_than(DICE["cnn"][:1], DICE["mi"][:1])).all()


def test_a_failed_registration_counts_as_not_registered(records: list[dict[str, Any]]) -> None:
    kept = [r for r in records if (r["method"], r["registration"]) != ("cnn", "r0")]
    summary = Summary([*kept, record("cnn", 0, failure="crash")], baseline="mi")
    cnn = row(summary, "cnn")
    assert cnn["failed"] == 1
    assert cnn["dice_mean"] == pytest.approx((DICE["cnn"][1:].sum() + BEFORE[0]) / 5)
    assert "5 (1)" in summary.markdown()


def died(method: str, number: int) -> dict[str, Any]:
    """Return the record of a process that died before anything was measured."""
    found = record(method, number, failure="the process of the registration died")
    return {name: value for name, value in found.items() if name not in STEPS}


def test_a_process_that_died_counts_as_not_registered(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    kept = [r for r in records if (r["method"], r["registration"]) != ("cnn", "r0")]
    known = [died("cnn", 0), *kept]
    summary = Summary(known, baseline="mi")
    assert row(summary, "mi")["n"] == row(summary, "cnn")["n"] == 5
    assert row(summary, "cnn")["failed"] == 1
    expected = (DICE["cnn"][1:].sum() + BEFORE[0]) / 5
    assert row(summary, "cnn")["dice_mean"] == pytest.approx(expected)
    *_, means = figures.draw_all(known, tmp_path, baseline="mi", label_names=None)
    assert pd.read_csv(means).loc[0, "cnn"] == pytest.approx(expected - 0.1, abs=1e-4)


def test_images_that_no_method_could_read_are_left_out(records: list[dict[str, Any]]) -> None:
    readable = [r for r in records if r["registration"] != "r0"]
    summary = Summary([*readable, died("cnn", 0), died("mi", 0)], baseline="mi")
    assert row(summary, "mi")["n"] == row(summary, "cnn")["n"] == 4
    assert row(summary, "cnn")["failed"] == 0


def test_only_registrations_of_all_methods_are_compared(records: list[dict[str, Any]]) -> None:
    kept = [r for r in records if (r["method"], r["registration"]) != ("cnn", "r0")]
    summary = Summary(kept, baseline="mi")
    assert row(summary, "mi")["n"] == 4
    assert row(summary, "mi")["dice_mean"] == pytest.approx(DICE["mi"][1:].mean())


def test_without_the_papers_baseline_there_are_no_tests(records: list[dict[str, Any]]) -> None:
    summary = Summary(records, baseline="")
    assert summary.table["p_t"].isna().all()
    assert "one-sided" not in summary.markdown()
    masked = [{**r, "method": "mi+mask"} if r["method"] == "mi" else r for r in records]
    summary = Summary(masked, baseline="")
    assert row(summary, "cnn")["wins"] == 4
    assert "higher Dice than with mi+mask" in summary.markdown()


def test_is_saved_as_markdown_and_csv(records: list[dict[str, Any]], tmp_path: Path) -> None:
    Summary(records, baseline="mi").save(tmp_path)
    assert "| practical | cnn | 5 (0) |" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "summary.csv").set_index("method")
    assert table.loc["cnn", "dice_mean"] == pytest.approx(DICE["cnn"].mean())


def test_is_saved_by_registration(records: list[dict[str, Any]], tmp_path: Path) -> None:
    failed = record("cnn", 4, failure="died")
    kept = [r for r in records if r["registration"] != "r4"]
    Summary([failed, *kept], baseline="mi").save(tmp_path)
    rows = pd.read_csv(tmp_path / "summary-registrations.csv")
    assert list(rows["method"]) == ["cnn"] * 5 + ["mi"] * 4
    assert list(rows["registration"]) == [f"r{n}" for n in (*range(5), *range(4))]
    of_cnn = rows[rows["method"] == "cnn"]
    assert of_cnn["dice"].to_numpy() == pytest.approx([*DICE["cnn"][:4], BEFORE[4]])
    assert list(of_cnn["failed"]) == [False] * 4 + [True]


def test_what_cannot_be_summarised(records: list[dict[str, Any]]) -> None:
    with pytest.raises(SettingsError, match="baseline nmi has no results; there are"):
        Summary(records, baseline="nmi")
    unread = {**record("cnn", 0, failure="no image file"), "before": None}
    del unread["before"]
    with pytest.raises(DataError, match=r"no registration has a result; 1 failed.*no image file"):
        Summary([unread], baseline="cnn")
    with pytest.raises(DataError, match=r"no registration has a result$"):
        Summary([], baseline="mi")
    one_each = [record("cnn", 0), record("mi", 1)]
    with pytest.raises(DataError, match="no registration has been run by all methods"):
        Summary(one_each, baseline="mi")


def test_pictures_show_the_results(records: list[dict[str, Any]], tmp_path: Path) -> None:
    names = tmp_path / "names.tsv"
    names.write_text("1\tHippocampus left\n2\tHippocampus right\n")
    found = list(figures.draw_all(records, tmp_path / "figures", baseline="mi", label_names=names))
    assert [file.name for file in found] == [
        "practical-before-after.png",
        "practical-table.png",
        "practical-labels.png",
        "practical-labels.csv",
    ]
    means = pd.read_csv(found[-1], index_col="label")
    assert set(means.columns) == {"name", "cnn", "mi"}
    assert means.loc[1, "name"] == "Hippocampus left"
    values = [r["deformable"]["dice_of_label"]["1"] for r in records if r["method"] == "cnn"]
    assert means.loc[1, "cnn"] == pytest.approx(np.mean(values), abs=1e-4)
    for file in found[:-1]:
        picture = itk.array_from_image(itk.imread(str(file)))
        assert picture.std() > 10  # drawn on
        assert min(picture.shape[:2]) > 200


def test_pictures_of_a_label_that_only_one_method_has(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    for of_cnn in (r for r in records if r["method"] == "cnn"):
        of_cnn["deformable"]["dice_of_label"] = {"1": 0.5, "7": 0.25}
    *_, means = figures.draw_all(records, tmp_path, baseline="mi", label_names=None)
    table = pd.read_csv(means, index_col="label")
    assert table.loc[7, "cnn"] == 0.25
    assert table["mi"].isna().loc[7]


def test_before_and_after_has_a_panel_for_each_method(records: list[dict[str, Any]]) -> None:
    from cnnmetric.evaluation.summary import frame

    figure = figures.before_and_after(frame(records))
    titles = [axes.get_title() for axes in figure.axes]
    assert sorted(titles) == ["cnn: 5 of 5 better", "mi: 4 of 5 better"]
    points = {axes.get_title().split(":")[0]: axes.lines[1].get_xydata() for axes in figure.axes}
    found = sorted(np.asarray(points["cnn"]).tolist())
    assert found == sorted(np.stack([BEFORE, DICE["cnn"]], axis=1).tolist())


@pytest.mark.parametrize("number", [1, 4, 5])
def test_titles_of_before_and_after_are_inside_the_picture(
    records: list[dict[str, Any]], number: int
) -> None:
    from cnnmetric.evaluation.summary import frame

    runs = frame([record for record in records if record["method"] == "cnn"])
    several = pd.concat([runs.assign(method=f"cnn{i}") for i in range(number)])
    figure = figures.before_and_after(several)
    figure.draw_without_rendering()
    assert len(figure.axes) == number
    assert max(axes.title.get_window_extent().y1 for axes in figure.axes) < figure.bbox.y1


@pytest.mark.parametrize("content", ["1 no tab\n", "x\tname\n"])
def test_label_names_of_another_form(content: str, tmp_path: Path) -> None:
    file = tmp_path / "names.tsv"
    file.write_text(content)
    with pytest.raises(DataError, match=r"line 1: .* is not a label, a tab and a name"):
        figures.read_label_names(file)
    with pytest.raises(DataError, match="cannot read the names"):
        figures.read_label_names(tmp_path / "none.tsv")


@pytest.mark.parametrize("number", [3, 10, 20])
def test_each_method_has_its_colour(number: int) -> None:
    assert len(set(figures._colours(number))) == number
