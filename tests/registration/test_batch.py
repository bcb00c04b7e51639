# SPDX-License-Identifier: Apache-2.0
"""Many registrations: processes, of which a script takes the place, and the folder's lock."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.plugin import package_data
from cnnmetric.registration.batch import model
from cnnmetric.registration.batch import runner
from cnnmetric.registration.batch.lock import LOCK
from cnnmetric.registration.batch.lock import only_run
from cnnmetric.registration.cohort.job import PairJob

FINISHED = {"name": "x", "failure": None, "finished": "today"}
WITH_LOCK = "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.flock(file, fcntl.LOCK_EX)"


@dataclass(frozen=True)
class Nothing:
    """A job that nobody does."""

    threads: int

    @property
    def key(self) -> tuple[str, ...]:
        return ("x",)

    def empty_record(self) -> dict[str, Any]:
        return {"name": "x", "failure": None}

    def work(self, record: dict[str, Any], folder: Path) -> None:
        msg = "the process that `process` puts in its place does not come here"
        raise AssertionError(msg)


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that says what every process does, and the record that `leave` leaves."""

    def does(*lines: str, record: dict[str, Any]) -> None:
        (tmp_path / "record").write_bytes(pickle.dumps(record))
        leave = f'folder=$3; leave() {{ cp {tmp_path / "record"} "$folder/record.pickle"; }}'
        script = tmp_path / "process"
        script.write_text("\n".join(["#!/bin/sh", leave, *lines, ""]))
        script.chmod(0o755)
        monkeypatch.setattr("cnnmetric.registration.batch.runner.sys.executable", str(script))

    return does


def wait_for(file: Path) -> None:
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end, f"there is no {file}"
        time.sleep(0.01)


def test_the_end_of_one_run_leaves_another_alone(
    process: Callable[..., None], tmp_path: Path
) -> None:
    began, go_on = tmp_path / "began", tmp_path / "go-on"
    wait = f"touch {began}; while [ ! -e {go_on} ]; do sleep 0.02; done"
    process(f'if [ "$OMP_NUM_THREADS" = 2 ]; then {wait}; fi', "leave", record=FINISHED)
    with ThreadPoolExecutor(1) as thread:
        long = thread.submit(list, runner.run_all([Nothing(2)], workers=1, scheduler=""))
        try:
            wait_for(began)
            assert list(runner.run_all([Nothing(1)], workers=1, scheduler="")) == [FINISHED]
        finally:
            go_on.touch()
        assert long.result() == [FINISHED]


def test_a_process_that_dies_leaves_what_it_had_found(process: Callable[..., None]) -> None:
    record = {"name": "x", "failure": None, "before": {"dice": 0.5}}
    process("leave", "echo no memory", "kill -KILL $$", record=record)
    (found,) = runner.run_all([Nothing(1)], workers=1, scheduler="")
    assert found["before"] == {"dice": 0.5}
    assert found["failure"] == ("the process of the registration died (signal SIGKILL): no memory")


@pytest.mark.parametrize("leaves", [":", "leave"])
def test_a_process_that_ends_before_its_job_has_failed(
    leaves: str, process: Callable[..., None]
) -> None:
    process(leaves, record={"name": "x", "failure": None})
    (found,) = runner.run_all([Nothing(1)], workers=1, scheduler="")
    assert found["failure"] == "the process of the registration died (status 0): no message"


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    message = rf"another run writes to {tmp_path}; wait until it has ended, or stop it, or choose"
    with only_run(tmp_path):
        with pytest.raises(SettingsError, match=message), only_run(tmp_path):
            pass
        child = subprocess.Popen(["sleep", "60"])
    try:
        with only_run(tmp_path):  # which a process that was started meanwhile does not hold
            pass
    finally:
        child.kill()
        child.wait()


def test_a_run_that_is_killed_holds_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    command = f"{WITH_LOCK}; print(flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-S", "-c", command, str(tmp_path / LOCK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(SettingsError, match="another run writes"), only_run(tmp_path):
            pass
        other.kill()
        other.wait()
        with only_run(tmp_path):
            pass


def test_a_file_system_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", fail)
    with only_run(tmp_path):
        pass
    (tmp_path / LOCK).unlink()
    (tmp_path / LOCK).mkdir()
    with (
        pytest.raises(SettingsError, match=r"\.lock cannot be opened \(Is a directory\); remove"),
        only_run(tmp_path),
    ):
        pass


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of a pair of images that nobody reads."""
    (tmp_path / "T1.nii.gz").touch()
    found = tmp_path / "pairs.csv"
    found.write_text("fixed,moving\nT1.nii.gz,T1.nii.gz\n")
    return found


def test_pairs_are_not_registered_twice_at_the_same_time(
    table: Path, difference_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with only_run(out), pytest.raises(SettingsError, match=f"another run writes to {out}"):
        cnnmetric.register_cohort(table, out, model=difference_model)
    assert [path.name for path in out.iterdir()] == [LOCK]


def test_a_model_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model.findable("mine.onnx") == str(tmp_path / "mine.onnx")
    assert model.findable("models/mine") == str(tmp_path / "models" / "mine")
    assert model.findable("t1t2-fine") == "t1t2-fine"


def test_a_model_that_can_be_exchanged_is_told_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    added = package_data.user_models() / "mine.onnx"
    added.parent.mkdir(parents=True)
    found = []
    for content in (b"first", b"second"):
        added.write_bytes(content)
        assert model.content("mine") == model.content(str(added))
        found.append(model.content("mine")["content of the model (SHA-256)"])
    assert len(set(found)) == 2
    (added.parent / "t1t2-fine.onnx").write_bytes(b"which the shipped one hides")
    assert model.content("t1t2-fine") == model.content("no-model") == {}
    with pytest.raises(DataError, match=r"the model .*no\.onnx cannot be read \(No such file"):
        model.content(str(tmp_path / "no.onnx"))


def test_a_cohort_refuses_another_model_at_the_same_path(
    table: Path,
    difference_model: Path,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(jobs: Sequence[PairJob], **_: object) -> Iterator[dict[str, Any]]:
        yield from ({**job.empty_record(), "failure": "stopped"} for job in jobs)

    monkeypatch.setattr(runner, "run_all", fail)
    own = tmp_path / "own.onnx"
    own.write_bytes(difference_model.read_bytes())
    cnnmetric.register_cohort(table, tmp_path / "out", model=own)
    own.write_bytes(small_model.read_bytes())
    with pytest.raises(SettingsError, match="begun with another content of the model"):
        cnnmetric.register_cohort(table, tmp_path / "out", model=own)
