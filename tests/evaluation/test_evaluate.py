# SPDX-License-Identifier: Apache-2.0
"""`python -m cnnmetric.evaluate`: many registrations, in processes that may die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cnnmetric.evaluate import main
from support.evaluation_subjects import write_subjects
from support.evaluation_subjects import write_translation_parameters
from support.many_registrations import PATIENCE
from support.many_registrations import cluster
from support.many_registrations import stopped
from support.many_registrations import wait_until

SHIFTS = [(0.0, 0.0, 0.0), (4.0, -3.0, 2.0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("subjects")
    write_subjects(found, SHIFTS)
    write_translation_parameters(found)
    lines = (found / "registrations.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (found / "one.csv").write_text("".join(lines[:2]))
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a Dask cluster of two workers on this machine."""
    with cluster(workers=2) as found:
        yield found


def arguments(folder: Path, out: Path, *, methods: str = "mine", own: str = "") -> list[str]:
    return [
        "--subjects",
        str(folder / "subjects.csv"),
        "--registrations",
        str(folder / "registrations.csv"),
        "--out",
        str(out),
        "--methods",
        methods,
        "--own",
        own or f"mine={folder / 'translation.txt'}",
        "--baseline",
        "mine",
    ]


def records(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]


@pytest.mark.slow
def test_registers_on_a_cluster_continues_and_shows(
    folder: Path, tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(folder, tmp_path), "--scheduler", address]) == 0
    first = records(tmp_path)
    assert sorted(r["registration"] for r in first) == ["s0:T1:s1:T2", "s1:T1:s0:T2"]
    for record in first:
        assert record["failure"] is None
        assert record["before"]["dice"] < 0.75 < 0.9 < record["linear"]["dice"]
        assert "deformable" not in record
    assert "| practical | mine | 2 (0) |" in capsys.readouterr().out
    assert (tmp_path / "summary.csv").is_file()

    assert main(["run", *arguments(folder, tmp_path)]) == 0  # nothing is left to do
    assert records(tmp_path) == first
    assert main(["summary", "--out", str(tmp_path), "--baseline", "mine"]) == 0
    assert main(["figures", "--out", str(tmp_path), "--baseline", "mine"]) == 0
    assert "practical-before-after.png" in capsys.readouterr().out


def test_a_registration_that_fails_is_recorded_and_tried_again_on_request(
    folder: Path, tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.txt"
    good = (folder / "translation.txt").read_text(encoding="utf-8")
    file.write_text(good.replace("AdvancedMattesMutualInformation", "NoMetricOfElastix"))
    out, own = tmp_path / "out", f"mine={file}"
    command = [*arguments(folder, out, own=own), "--registrations", str(folder / "one.csv")]
    command += ["--scheduler", address]
    assert main(command) == 0
    reason = "elastix, stage other: The following component could not be created: NoMetricOfElastix"
    assert [r["failure"] for r in records(out)] == [reason]
    assert all("before" in r for r in records(out))
    assert "| practical | mine | 1 (1) |" in capsys.readouterr().out
    first = [r["finished"] for r in records(out)]
    assert main(command) == 0
    assert [r["finished"] for r in records(out)] == first
    assert main([*command, "--retry-failed"]) == 0
    assert len(records(out)) == 1
    assert [r["finished"] for r in records(out)] != first
    # A file that was corrected is another method.
    file.write_text(good)
    assert main(command) == 1
    assert "another content of the parameter files of mine" in capsys.readouterr().err


def test_a_run_that_is_killed_goes_on(folder: Path, tmp_path: Path, address: str) -> None:
    command = [sys.executable, "-m", "cnnmetric.evaluate", *arguments(folder, tmp_path)]
    process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.DEVNULL)
    wait_until(lambda: (tmp_path / "results.jsonl").is_file() or process.poll() is not None)
    process.kill()
    process.wait()
    before = records(tmp_path)
    assert len(before) >= 1
    assert main([*arguments(folder, tmp_path), "--scheduler", address]) == 0
    assert records(tmp_path)[: len(before)] == before
    assert len({r["registration"] for r in records(tmp_path)}) == len(records(tmp_path)) == 2


def test_a_crash_takes_one_registration_with_it(folder: Path, tmp_path: Path) -> None:
    long = write_translation_parameters(tmp_path, iterations=1_000_000)
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "cnnmetric.evaluate"),
        *arguments(folder, out, methods="endless,mine"),
        *("--own", f"endless={long}"),
        *("--registrations", str(folder / "one.csv"), "--workers", "1"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def registers() -> bool:
        assert process.poll() is None, "it ended before it registered anything"
        return registering_child(process.pid) is not None

    try:
        wait_until(registers)
        child = registering_child(process.pid)
        assert child is not None
        os.kill(child, signal.SIGKILL)
        process.wait(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    found = {r["method"]: r for r in records(out)}
    assert found["mine"]["failure"] is None
    died = "the process of the registration died (signal SIGKILL)"
    assert died in found["endless"]["failure"]
    assert found["endless"]["before"] == found["mine"]["before"]
    assert len(records(out)) == 2


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("ctrl_c")
def test_registrations_end_with_the_evaluation(
    number: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    long = write_translation_parameters(tmp_path, iterations=1_000_000)
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "cnnmetric.evaluate"),
        *arguments(folder, out, own=f"mine={long}"),
        *("--workers", "1"),
    ]
    status, errors = stopped(
        command, number, works=lambda process: registering_child(process) is not None
    )
    if number != signal.SIGKILL:
        assert status == 130
        assert errors.strip().endswith("cnnmetric evaluate: interrupted; the same command goes on")
    # What was ended is not done, and is no failure.
    assert not (out / "results.jsonl").exists()


def test_a_folder_that_cannot_be_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(arguments(folder, tmp_path / "file")) == 1
    assert "nothing can be written to the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--methods", "mi,elastix"], "no method 'elastix'"),
        (["--methods", ","], "--methods names no method"),
        (["--methods", "mi,mi"], "names a method twice"),
        (["--labels", "1-"], "--labels 1- is neither"),
        (["--labels", "5-3"], "--labels 5-3 is neither"),
        (["--threads", "0"], "--threads is 0"),
        (["--workers", "-1"], "--workers is -1"),
        (["--subjects", "no.csv"], "cannot read the table of subjects no.csv"),
    ],
)
def test_settings_that_cannot_be_used(
    changes: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments(folder, tmp_path / "out"), *changes]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cnnmetric.registration.batch.runner.CONNECT_SECONDS", 1)
    changes = ["--scheduler", "tcp://127.0.0.1:1"]
    assert main([*arguments(folder, tmp_path), *changes]) == 1
    assert "no Dask scheduler with workers answers at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_a_folder_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "--out", str(tmp_path)]) == 1
    assert "has no results; run the evaluation" in capsys.readouterr().err


def registering_child(process: int) -> int | None:
    """Return the process below `process` that runs elastix: it writes elastix's log."""
    for child in psutil.Process(process).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(Path(file.path).name == "elastix.log" for file in child.open_files()):
                return int(child.pid)
    return None
