# SPDX-License-Identifier: Apache-2.0
"""`cnnmetric register`: the same words as in Python, files, and errors of one line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.commands.main import main
from cnnmetric.commands.register import OF_THE_COMMAND
from cnnmetric.commands.register import RegisterSettings
from cnnmetric.commands.summary import _falls
from cnnmetric.commands.summary import verdict
from cnnmetric.plugin.iteration import Iteration
from support.command import write_pair
from support.command import write_quick_file

FILES = {
    *("warped.nii.gz", "displacement.nii.gz", "jacobian.nii.gz", "transform.h5", "log.json"),
    *("TransformParameters.0.txt", "report.html"),
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, difference_model: Path) -> list[str]:
    """Return a command line that registers quickly, without its --out."""
    folder = tmp_path_factory.mktemp("pair")
    own = ["-p", str(write_quick_file(folder)), "--model", str(difference_model)]
    return ["register", *write_pair(folder), *own, "-threads", "1"]


@pytest.fixture(scope="module")
def done(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a result."""
    out = tmp_path_factory.mktemp("result") / "new" / "out"
    assert main([*words, "-o", str(out), "--jacobian", "--quiet"]) == 0
    return out


def test_settings_are_the_arguments_of_register() -> None:
    arguments = {
        name: dataclasses.MISSING if argument.default is argument.empty else argument.default
        for name, argument in inspect.signature(cnnmetric.register).parameters.items()
        if name not in ("on_iteration", "progress")
    }
    settings = {
        field.name: field.default
        for field in dataclasses.fields(RegisterSettings)
        if field.name not in OF_THE_COMMAND
    }
    # The command may be given a table and not the two images.
    images = {"fixed": None, "moving": None}
    assert settings == arguments | images


def test_writes_what_it_promises(done: Path) -> None:
    assert {file.name for file in done.iterdir()} == FILES
    page = (done / "report.html").read_text(encoding="utf-8")
    assert "parameter files of your own  ·  model " in page
    assert "1 of your own files" in page
    determinant = itk.array_from_image(itk.imread(str(done / "jacobian.nii.gz")))
    np.testing.assert_allclose(determinant, 1.0, atol=1e-3)  # a rigid motion keeps volumes
    log = json.loads((done / "log.json").read_text())
    assert [stage["name"] for stage in log["stages"]] == ["quick"]
    assert log["settings"]["parameters"][0]["Transform"] == ["EulerTransform"]


def test_says_what_was_found(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-o", str(tmp_path)]) == 0
    found = capsys.readouterr()
    lines = found.out.splitlines()
    files, (last, *warned) = lines[: len(FILES) - 1], lines[len(FILES) - 1 :]
    assert all(line.startswith("warning: ") for line in warned)
    assert {Path(file).name for file in files} == FILES - {"jacobian.nii.gz"}
    assert all(Path(file).is_file() for file in files)
    assert last.startswith("done in ")
    assert last.endswith("; no folding")
    stage, level = (line.split(" s  ")[1] for line in found.err.splitlines())
    assert stage == "stage 1 of 1: quick"
    log = json.loads((tmp_path / "log.json").read_text())
    assert [f"warning: {text}" for text in log["quality"]["warnings"]] == warned
    assert level.startswith("  level 1 of 1: 4 iterations, dissimilarity 0.")


def test_json_is_all_that_is_printed(
    words: list[str], done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-t0", str(done / "transform.h5"), "--json", "--quiet", "--no-displacement"]
    more.append("--no-report")
    assert main([*words, "-o", str(tmp_path), *more]) == 0
    text, errors = capsys.readouterr()
    found = json.loads(text)
    assert errors == ""
    assert {Path(file).name for file in found["files"]} >= {"warped.nii.gz", "transform.h5"}
    assert not (tmp_path / "displacement.nii.gz").exists()
    assert not (tmp_path / "report.html").exists()
    assert [stage["name"] for stage in found["stages"]] == ["quick"]
    assert found["stages"][0]["iterations"] == 4
    assert found["folded"] == 0.0
    assert abs(found["dissimilarity_fell_by"]) < 1


def test_replaces_a_result_only_when_told(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jacobian.nii.gz").touch()
    (tmp_path / "warped.nii.gz").touch()
    assert main([*words, "-o", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cnnmetric register: {tmp_path} holds a result already (warped")
    assert "--overwrite" in error
    assert (tmp_path / "warped.nii.gz").stat().st_size == 0
    assert main([*words, "-o", str(tmp_path), "--overwrite", "--quiet"]) == 0
    assert (tmp_path / "warped.nii.gz").stat().st_size > 0
    assert not (tmp_path / "jacobian.nii.gz").exists()  # which is not of this result


def no_metric(folder: Path) -> list[str]:
    text = write_quick_file(folder).read_text().replace('"CNNMetric"', '"AdvancedMeanSquares"')
    (folder / "other.txt").write_text("\n".join(t for t in text.splitlines() if "(CNN" not in t))
    return ["-p", str(folder / "other.txt")]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--grid-spacing", "0"], "--grid-spacing is 0.0; give more than 0"),
        (["--grid-spacing", "2"], "grid_spacing is for the built-in stages"),
        (["--field-smoothing", "-1"], "--field-smoothing is -1.0; give 0 or more"),
        (["--field-smoothing", "2"], "field_smoothing is for the built-in stages"),
        (["--deformation", "rigid"], "deformation is for the built-in stages"),
        (["--quiet", "--verbose"], "--verbose excludes --quiet and --json"),
        (["-fMask", "no.nii"], "there is no image file no.nii"),
        (["-t0", "no.h5"], "there is no file no.h5 with an initial transform"),
        (["-p", "no.txt"], "there is no parameter file no.txt"),
        (["--bids"], "fixed.nii.gz is no name of BIDS"),
        (["--model", "nothing"], "is not an installed model (installed:"),
    ],
)
def test_errors_are_one_line(
    more: list[str],
    message: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, "-o", str(tmp_path / "out"), "--quiet", *more]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert error.startswith("cnnmetric register: ")
    assert message in error


def test_parameter_files_without_the_metric_are_for_elastix_alone(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*words[:3], *no_metric(tmp_path), "-o", str(tmp_path / "out")]
    assert main(line) == 1
    assert 'no parameter map has (Metric "CNNMetric")' in capsys.readouterr().err


def test_users_of_elastix_are_told_where_images_go(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["register", "-f", "fixed.nii", "-m", "moving.nii", "-out", "out"])
    assert ended.value.code == 2
    assert "give FIXED by its place, without -f" in capsys.readouterr().err


def test_an_interruption_ends_with_130(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnmetric.registration.run.RegistrationRun.run", interrupt)
    assert main([*words, "-o", str(tmp_path), "--quiet"]) == 130
    assert capsys.readouterr().err.startswith("cnnmetric register: interrupted;")


@pytest.mark.parametrize(
    ("fell_by", "folded", "line"),
    [
        (0.1, 0.0, "done in 7 s; dissimilarity fell by 0.1000; no folding"),
        (None, 0.0, "done in 7 s; too few iterations to see the dissimilarity fall; no folding"),
        (0.1, 0.0123, "done in 7 s; dissimilarity fell by 0.1000; 1.23% of the voxels fold"),
        (
            *(-0.1, 0.0),
            "done in 7 s; dissimilarity did not fall: look at the images before you use the "
            "result; no folding",
        ),
    ],
)
def test_the_verdict(fell_by: float | None, folded: float, line: str) -> None:
    found = {"seconds": 7.1, "dissimilarity_fell_by": fell_by, "folded": folded}
    assert verdict(found) == line


def test_a_fall_is_of_levels_by_themselves() -> None:
    """A finer grid shows more, and has another value from its first iteration on."""
    values = [*[0.3] * 9, *[0.2] * 9], [*[0.9] * 9, *[0.4] * 9]
    trace = [
        Iteration(level, number, value, 1.0)
        for level, of_level in enumerate(values)
        for number, value in enumerate(of_level)
    ]
    assert list(_falls(trace)) == pytest.approx([0.1, 0.5])


def test_a_fall_of_a_short_level() -> None:
    trace = [Iteration(0, number, value, 1.0) for number, value in enumerate([0.5, 0.4, 0.3, 0.2])]
    assert list(_falls(trace)) == pytest.approx([0.2])
    assert not list(_falls(trace[:1]))


def test_bids_names_are_second_names(words: list[str], tmp_path: Path) -> None:
    fixed, moving = tmp_path / "sub-01_T1w.nii.gz", tmp_path / "sub-02_T2w.nrrd"
    shutil.copy(words[1], fixed)
    shutil.copy(words[2], moving)
    out = tmp_path / "out"
    more = ["-o", str(out), "--bids", "--no-report", "--quiet"]
    assert main([words[0], str(fixed), str(moving), *words[3:], *more]) == 0
    second = {file.name for file in out.iterdir() if file.name.startswith("sub-")}
    assert second == {
        "sub-02_space-01T1w_desc-warped_T2w.nii.gz",
        "sub-02_from-T2w_to-01T1w_mode-image_xfm.h5",
        "sub-02_from-T2w_to-01T1w_mode-image_desc-displacement_xfm.nii.gz",
    }
    assert cnnmetric.load_transform(out).dimension == 3


def test_images_may_stand_between_options(words: list[str], tmp_path: Path) -> None:
    command, fixed, moving, *options = words
    out = tmp_path / "out"
    assert main([command, fixed, "-o", str(out), *options, "--quiet", moving, "--no-report"]) == 0
    assert (out / "log.json").is_file()
