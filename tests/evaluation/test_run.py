# SPDX-License-Identifier: Apache-2.0
"""What an evaluation tells its registrations, and what it keeps apart; none of them is done."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cnnmetric.evaluate import main
from cnnmetric.evaluation import job
from cnnmetric.evaluation import methods
from cnnmetric.evaluation.job import Job
from cnnmetric.evaluation.tables import Registration
from cnnmetric.registration.batch.job import RECORD_FILE
from cnnmetric.registration.batch.lock import only_run
from support.evaluation_subjects import shifted_pair

OVERLAP: dict[str, Any] = {
    "dice": 0.5,
    "jaccard": 0.3,
    "dice_of_label": {"1": 0.5},
    "jaccard_of_label": {"1": 0.3},
}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Go to a folder with tables, a parameter file and a model; return what is to be done there."""
    for name in ("T1", "T2", "labels"):
        (tmp_path / name).touch()
    (tmp_path / "subjects.csv").write_text("subject,T1,T2,labels\na,T1,T2,labels\n")
    header = "fixed_subject,fixed_modality,moving_subject,moving_modality"
    (tmp_path / "registrations.csv").write_text(f"{header}\na,T1,a,T2\n")
    (tmp_path / "own.txt").write_text('(Transform "TranslationTransform")\n')
    (tmp_path / "model.onnx").write_bytes(b"first")
    monkeypatch.chdir(tmp_path)
    found: list[Job] = []

    def run_all(to_do: Sequence[Job], **_: Any) -> Iterator[dict[str, Any]]:
        found.extend(to_do)
        for one in to_do:
            yield {
                **one.empty_record(),
                "before": OVERLAP,
                "linear": {**OVERLAP, "folded": 0.0, "seconds": 1.0},
            }

    monkeypatch.setattr("cnnmetric.registration.batch.runner.run_all", run_all)
    return found


def evaluate(*words: str) -> int:
    tables = ["--subjects", "subjects.csv", "--registrations", "registrations.csv"]
    return main(["run", *tables, "--out", "out", *words])


def test_registrations_find_files_from_every_folder(jobs: list[Job], tmp_path: Path) -> None:
    words = ["--methods", "mine,mi", "--own", "mine=own.txt,./own.txt", "--model", "model.onnx"]
    assert evaluate(*words) == 0
    assert {one.method: one.own for one in jobs} == {"mine": (tmp_path / "own.txt",) * 2, "mi": ()}
    assert {one.model for one in jobs} == {str(tmp_path / "model.onnx")}
    assert evaluate(*words, "--model", str(tmp_path / "model.onnx")) == 0


def test_a_model_that_was_trained_anew_is_refused(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--methods", "mi", "--model", "model.onnx"]
    assert evaluate(*words) == 0
    (tmp_path / "model.onnx").write_bytes(b"second")
    assert evaluate(*words) == 1
    assert "out was begun with another content of the model" in capsys.readouterr().err
    assert len(jobs) == 1
    (tmp_path / "model.onnx").unlink()
    assert evaluate(*words, "--out", "other") == 1
    assert "model.onnx cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("jobs")
def test_the_settings_name_a_shipped_model_and_nothing_more(tmp_path: Path) -> None:
    assert evaluate("--methods", "mi", "--model", "t1t2") == 0
    assert json.loads((tmp_path / "out" / "settings.json").read_text()) == {
        "--subjects": str(tmp_path / "subjects.csv"),
        "--labels": "all",
        "--model": "t1t2",
        "--seed": "1",
    }


def test_a_second_run_is_refused_and_reading_is_not(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--methods", "mi") == 0
    with only_run(tmp_path / "out"):
        assert evaluate("--methods", "mi,nmi") == 1
        assert "another run writes to out; wait until it has ended" in capsys.readouterr().err
        assert main(["summary", "--out", "out"]) == 0
        assert main(["figures", "--out", "out"]) == 0
    assert len(jobs) == 1
    assert evaluate("--methods", "mi,nmi") == 0


def test_overlap_before_registration_outlives_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[dict[str, Any]] = []

    class Reads:
        def register(self, task: methods.Task) -> Iterator[None]:
            left.append(pickle.loads((task.folder / RECORD_FILE).read_bytes()))
            yield from ()

    monkeypatch.setattr(job, "read_pair", lambda _: shifted_pair((3.0, 0.0, 0.0)))
    monkeypatch.setattr(methods, "find", lambda _: Reads())
    files = dict.fromkeys(("fixed", "moving", "fixed_labels", "moving_labels"), tmp_path)
    registration = Registration(
        fixed_subject="a", fixed_modality="T1", moving_subject="b", moving_modality="T2", **files
    )
    one = Job(
        registration=registration,
        method="x",
        own=(),
        preset="practical",
        model="t1t2",
        labels=None,
        threads=1,
        seed=1,
    )
    record = one.empty_record()
    one.work(record, tmp_path)
    assert left == [record]
    assert 0.0 < record["before"]["dice"] < 1.0


def test_a_baseline_that_is_not_run_is_found_before_the_registrations(
    jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--methods", "mi", "--baseline", "mi+mesk") == 1
    assert "--baseline mi+mesk has no results and is not run; give one of mi," in (
        capsys.readouterr().err
    )
    assert not jobs
    assert not (tmp_path / "out").exists()
    assert evaluate("--methods", "mi") == 0
    assert evaluate("--methods", "nmi", "--baseline", "mi") == 0


def test_parameter_files_that_no_method_is_asked_for_are_told(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--methods", "mi", "--own", "mine=own.txt") == 1
    assert "--own mine would not be run: add mine to --methods" in capsys.readouterr().err
    assert not jobs


def test_methods_on_changed_label_maps_are_not_compared(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--methods", "mi") == 0
    monkeypatch.setitem(OVERLAP["dice_of_label"], "1", 0.5 + 1e-9)
    assert evaluate("--methods", "mi,nmi") == 0
    monkeypatch.setitem(OVERLAP["dice_of_label"], "1", 0.4)
    assert evaluate("--methods", "mi,nmi,cnn") == 1
    told = capsys.readouterr().err
    assert "the results of a:T1:a:T2 are not comparable" in told
    assert "take another --out, or remove the lines of a:T1:a:T2 from results.jsonl" in told
    assert len(jobs) == 3
