# SPDX-License-Identifier: Apache-2.0
"""A table of pairs: what is refused before the work, and what a run leaves."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import cnnmetric
from cnnmetric.commands.main import main
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.plugin import package_data
from cnnmetric.registration.batch import job
from cnnmetric.registration.cohort.job import Options
from cnnmetric.registration.cohort.job import PairJob
from cnnmetric.registration.cohort.run import Cohort
from cnnmetric.registration.cohort.table import read_pairs
from support.known_pair import QUICK
from support.known_pair import as_file
from support.many_registrations import cluster
from support.many_registrations import rows_of
from support.many_registrations import stopped
from support.many_registrations import write_pairs

DAMAGED = "damaged.nii.gz"


@pytest.fixture(scope="module")
def images(fixed: Any, moving: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    as_file(fixed, folder / "T1.nii.gz")
    as_file(moving, folder / "T2.nii.gz")
    (folder / DAMAGED).write_bytes(b"no image")
    return folder


def run(table: Path, out: Path, model: Path, **changes: Any) -> Cohort:
    return cnnmetric.register_cohort(table, out, model=model, **{**QUICK, **changes})


def test_a_job_saves_the_result_or_says_what_failed(
    images: Path, difference_model: Path, tmp_path: Path
) -> None:
    """As in a process of its own, of which other tests start some."""
    table = write_pairs(
        images / "jobs.csv",
        "good,T1.nii.gz,T2.nii.gz,T1b",
        f"bad,T1.nii.gz,{DAMAGED},",
        header="name,fixed,moving,fixed_modality",
    )
    options = Options(
        fixed_modality="T1",
        model=str(difference_model),
        deformation="rigid",
        parameters=(),
        grid_spacing=None,
        field_smoothing=None,
        device="cpu",
        threads=1,
        seed=1,
    )
    records = [
        job.run(
            PairJob(
                pair=pair,
                options=options,
                folder=tmp_path / pair.name,
                displacement=False,
                jacobian=True,
                report=True,
            ),
            tmp_path,
        )
        for pair in read_pairs(table)
    ]
    good, bad = records
    assert good["failure"] is None
    assert good["seconds"] > 0.0
    assert good["figures"].keys() == {"agreement (%)", "overlap (%)", "folded (%)"}
    assert good["figures"]["folded (%)"] == 0.0
    log = json.loads((tmp_path / "good" / "log.json").read_text(encoding="utf-8"))
    assert log["settings"]["fixed_modality"] == "T1b"
    assert " ".join(log["quality"]["warnings"]) == good["warning"]
    assert (tmp_path / "good" / "report.html").is_file()
    assert (tmp_path / "good" / "jacobian.nii.gz").is_file()
    assert not (tmp_path / "good" / "displacement.nii.gz").exists()
    assert f"{DAMAGED} cannot be read as an image" in bad["failure"]
    assert not (tmp_path / "bad").exists()


@pytest.mark.slow
def test_a_pair_that_fails_takes_no_other_with_it(
    images: Path, difference_model: Path, tmp_path: Path
) -> None:
    table = write_pairs(images / "two.csv", "good,T1.nii.gz,T2.nii.gz", f"bad,T1.nii.gz,{DAMAGED}")
    out, states = tmp_path / "out", list[Cohort]()
    cohort = run(table, out, difference_model, workers=2, on_pair=states.append)
    assert [record["status"] for record in cohort.records] == ["done", "failed"]
    assert [state.number("waiting") for state in states] == [2, 1, 0]
    assert f"{DAMAGED} cannot be read as an image" in cohort.records[1]["failure"]

    rows = rows_of(out)
    assert [(row["status"], row["folder"]) for row in rows.values()] == [
        ("done", "good"),
        ("failed", ""),
    ]
    assert float(rows["good"]["seconds"]) > 0.0
    assert float(rows["good"]["folded (%)"]) == 0.0
    assert cnnmetric.load_transform(out / "good").dimension == 3
    assert not (out / "bad").exists()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert '<a href="good/report.html">good</a>' in page
    assert "1 done, 1 failed" in page

    # The same pair is done, and is not registered again; its report is linked.
    first = (out / "good" / "log.json").stat().st_mtime_ns
    write_pairs(table, "good,T1.nii.gz,T2.nii.gz")
    assert [r["status"] for r in run(table, out, difference_model).records] == ["done"]
    assert rows_of(out)["bad"]["status"] == "failed"  # of the table before, and not lost
    assert (out / "good" / "log.json").stat().st_mtime_ns == first
    page = (out / "index.html").read_text(encoding="utf-8")
    assert '<a href="good/report.html">good</a>' in page

    with pytest.raises(SettingsError, match="was begun with another --seed, 1, and cannot go on"):
        run(table, out, difference_model, seed=2)
    write_pairs(table, "good,T2.nii.gz,T1.nii.gz")
    with pytest.raises(DataError, match=r"line 2: good was registered with another fixed, .*T1"):
        run(table, out, difference_model)


@pytest.mark.slow
def test_what_failed_is_tried_again_and_what_was_deleted_is_made_again(
    images: Path, difference_model: Path, tmp_path: Path
) -> None:
    table = write_pairs(images / "again.csv", "a,T1.nii.gz,T2.nii.gz", "b,T1.nii.gz,b.nii.gz")
    (images / "b.nii.gz").write_bytes(b"no image")
    out = tmp_path / "out"
    assert run(table, out, difference_model).number("failed") == 1
    (images / "b.nii.gz").write_bytes((images / "T2.nii.gz").read_bytes())
    (out / "a" / "log.json").unlink()  # as an interrupted save leaves it
    cohort = run(table, out, difference_model)
    assert cohort.number("done") == 2
    found = [cnnmetric.load_transform(out / name).apply([[6.0, -4.0, 5.0]]) for name in "ab"]
    assert found[0].tolist() == found[1].tolist()
    lines = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == ["a", "b"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster(workers=1) as found:
        yield found


@pytest.mark.slow
def test_a_cluster_registers_with_masks_start_and_modality(
    images: Path, difference_model: Path, address: str, tmp_path: Path
) -> None:
    first = run(
        write_pairs(images / "first.csv", "a,T1.nii.gz,T2.nii.gz"),
        images / "first",
        difference_model,
        scheduler=address,
    )
    assert first.number("done") == 1, first.records
    table = write_pairs(
        images / "cluster.csv",
        "b,T1.nii.gz,T2.nii.gz,T1.nii.gz,T2.nii.gz,first/a,T1b",
        header="name,fixed,moving,fixed_mask,moving_mask,initial,fixed_modality",
    )
    cohort = run(table, tmp_path / "out", difference_model, scheduler=address)
    assert cohort.number("done") == 1, cohort.records
    log = json.loads((tmp_path / "out" / "b" / "log.json").read_text(encoding="utf-8"))
    given = {name: log["settings"][name] for name in ("fixed_mask", "moving_mask", "initial")}
    assert given == {"fixed_mask": True, "moving_mask": True, "initial": True}
    assert log["settings"]["fixed_modality"] == "T1b"


def registers(process: int) -> bool:
    """Tell whether a process has one of `batch.job` below it, which it starts for a pair."""
    children = psutil.Process(process).children(recursive=True)
    return any("cnnmetric.registration.batch.job" in child.cmdline() for child in children)


@pytest.mark.slow
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_registrations_and_the_next_run_goes_on(
    number: signal.Signals, images: Path, difference_model: Path, tmp_path: Path
) -> None:
    table = write_pairs(images / "stop.csv", "a,T1.nii.gz,T2.nii.gz")
    command = [
        *(sys.executable, "-m", "cnnmetric", "register", "--table", str(table)),
        *("-o", str(tmp_path), "--model", str(difference_model)),
        *("--deformation", "affine", "--threads", "1"),
    ]
    status, errors = stopped(command, number, works=registers)
    assert status == 130
    assert errors.strip().endswith("interrupted; with --table, the same command goes on")
    assert rows_of(tmp_path)["a"]["status"] == "waiting"
    cohort = run(table, tmp_path, difference_model, deformation="affine")
    assert cohort.number("done") == 1


@pytest.mark.slow
def test_the_command_says_what_becomes_of_each_pair(
    images: Path, difference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_pairs(images / "cli.csv", "a,T1.nii.gz,T2.nii.gz", f"b,T1.nii.gz,{DAMAGED}")
    words = ["register", "--table", str(table), "-o", str(tmp_path / "out")]
    own = package_data.folder("elastix_params") / "cnn_rigid.txt"
    words += ["--model", str(difference_model), "-p", str(own), "--threads", "1", "--jacobian"]
    assert main([*words, "--workers", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'out' / 'index.html'}\n"
    first, second, last = printed.err.splitlines()
    assert re.fullmatch(r"\[1/2\] a done, \d+ s.*", first)
    assert re.fullmatch(rf"\[2/2\] b failed: .*{DAMAGED} cannot be read as an image.*", second)
    assert "1 of 2 pairs failed, see" in last
    assert (tmp_path / "out" / "a" / "jacobian.nii.gz").is_file()
    log = json.loads((tmp_path / "out" / "a" / "log.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in log["stages"]] == ["cnn_rigid"]
    write_pairs(table, "a,T1.nii.gz,T2.nii.gz")
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["pairs"][0]["status"] == "done"
    assert printed.err == "1 of 1 pairs are done already\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give FIXED and MOVING, or --table"),
        (["a.nii"], "give FIXED and MOVING, or --table"),
        (["a.nii", "b.nii", "--table", "t.csv"], "give FIXED and MOVING, or --table, not both"),
        (["--table", "t.csv", "--fixed-mask", "m.nii"], "--fixed-mask is a column of the --table"),
        (["--table", "t.csv", "--overwrite"], "--overwrite does not go with --table"),
        (["a.nii", "b.nii", "--scheduler", "tcp://n:1"], "--scheduler goes with --table"),
        (["--table", "no.csv"], "cannot read the table of pairs no.csv"),
    ],
)
def test_command_lines_that_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", "-o", str(tmp_path / "out"), *words]) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("fixed,mooving", ["a,b"], "has no column moving"),
        ("fixed,moving,mask", ["T1.nii.gz,T2.nii.gz,"], "the column mask, which means nothing"),
        ("fixed,moving", [], "has a header and no row"),
        ("fixed,moving", ["T1.nii.gz,"], "line 2 has no moving image"),
        ("fixed,moving", ["T1.nii.gz,no.nii.gz"], "line 2, moving: there is no file .*no.nii.gz"),
        (
            "fixed,moving",
            ["T1.nii.gz,no1.nii.gz", "no2.nii.gz,T2.nii.gz"],
            "line 2, moving: .*no1.nii.gz; line 3, fixed: .*no2.nii.gz",
        ),
        (
            "fixed,moving",
            ["T1.nii.gz,T2.nii.gz"] * 2,
            "lines 2 and 3 both have the name T2_to_T1; give each pair its own",
        ),
        (
            "fixed,moving,name",
            ["T1.nii.gz,T2.nii.gz,A", "T2.nii.gz,T1.nii.gz,a"],
            "lines 2 and 3 both have the name a",
        ),
        ("fixed,moving,name", ["T1.nii.gz,T2.nii.gz,../x"], "'../x' cannot be the name of a fol"),
        ("fixed,moving,name", ["T1.nii.gz,T2.nii.gz,index.html"], "cannot be the name of a folder"),
        ("fixed,moving", ["no,no"] * 12, "and 25 more"),
    ],
)
def test_tables_that_are_refused_before_anything_runs(
    header: str,
    rows: list[str],
    message: str,
    images: Path,
    difference_model: Path,
    tmp_path: Path,
) -> None:
    table = write_pairs(images / "refused.csv", *rows, header=header)
    with pytest.raises(DataError, match=message):
        run(table, tmp_path / "out", difference_model)
    assert not (tmp_path / "out").exists()


def test_files_are_relative_to_the_table_and_names_follow_from_them(images: Path) -> None:
    header = "fixed,moving,fixed_mask,fixed_modality"
    table = write_pairs(images / "t.csv", f"T1.nii.gz,{images}/T2.nii.gz,,T1", header=header)
    (pair,) = read_pairs(table)
    assert (pair.name, pair.line, pair.fixed_modality) == ("T2_to_T1", 2, "T1")
    assert (pair.fixed, pair.moving) == (images / "T1.nii.gz", images / "T2.nii.gz")
    assert (pair.fixed_mask, pair.moving_mask, pair.initial) == (None, None, None)


def test_arguments_are_checked_before_anything_runs(
    images: Path,
    difference_model: Path,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header = "fixed,moving,fixed_modality"
    table = write_pairs(images / "x.csv", "T1.nii.gz,T2.nii.gz,PET", header=header)
    with pytest.raises(DataError, match=r"x\.csv, line 2: .*PET"):
        run(table, tmp_path / "out", small_model)
    write_pairs(table, "T1.nii.gz,T2.nii.gz", header="fixed,moving")
    with pytest.raises(SettingsError, match="deformation is 'much'"):
        run(table, tmp_path / "out", difference_model, deformation="much")
    with pytest.raises(cnnmetric.ModelError, match=r"no\.onnx"):
        run(table, tmp_path / "out", tmp_path / "no.onnx")
    assert not (tmp_path / "out").exists()

    (tmp_path / "mine" / "T2_to_T1").mkdir(parents=True)
    with pytest.raises(SettingsError, match="holds T2_to_T1 already, which no table of pairs has"):
        run(table, tmp_path / "mine", difference_model)

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CompatibilityError, match="a cluster needs the package distributed"):
        run(table, tmp_path / "out", difference_model, scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": {"Metric": "CNNMetric"}}, "parameters of a cohort are files of elastix"),
        ({"parameters": [{"Metric": "CNNMetric"}]}, "parameters of a cohort are files of elastix"),
        ({"workers": -1}, r"workers is -1 \(int\) but must be a whole number"),
    ],
)
def test_arguments_of_a_wrong_kind_leave_no_folder(
    arguments: dict[str, Any], message: str, images: Path, difference_model: Path, tmp_path: Path
) -> None:
    table = write_pairs(images / "kinds.csv", "a,T1.nii.gz,T2.nii.gz")
    with pytest.raises(SettingsError, match=message):
        run(table, tmp_path / "out", difference_model, **arguments)
    assert not (tmp_path / "out").exists()
