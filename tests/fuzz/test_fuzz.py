# SPDX-License-Identifier: Apache-2.0
"""The share of the cases that every run of the tests does, and faults that have to be noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.scripts import run_script

CASES = 1500

# In an interpreter of its own: that of the tests has threads, which a fork does not survive.
MAIN = "import sys; from fuzz.__main__ import main; sys.exit(main())"
PLANTED = "import os, sys; os.chdir(sys.argv[1]); from fuzz import planted; planted.main()"


def test_no_case_is_a_fault(tmp_path: Path) -> None:
    words = ("--cases", CASES, "--seed", 1, "--journal", tmp_path / "journal")
    run = run_script(MAIN, *words, timeout=600)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert f"{CASES} cases: " in run.stdout
    lines = (tmp_path / "journal").read_text(encoding="utf-8").splitlines()
    ended = [record for record in map(json.loads, lines) if record["status"]]
    assert len(ended) == CASES
    # Neither all of them succeed nor all are refused, or little was tried.
    for kind in {record["kind"] for record in ended}:
        of_it = [record["status"] for record in ended if record["kind"] == kind]
        for status in ("success", "refused"):
            assert of_it.count(status) > 0.05 * len(of_it), (kind, status)


def test_a_case_done_again_leaves_nothing_behind(tmp_path: Path) -> None:
    again = f"import os, sys; os.chdir(sys.argv.pop(1)); {MAIN}"
    # A command with images and parameters in files, of which one is wrong.
    run = run_script(again, tmp_path, "commands", "--case", 1454, "--seed", 1)
    assert "cnnmetric register: elastix, stage p: Casting entry number 0" in run.stdout
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = run_script(PLANTED, tmp_path_factory.mktemp("planted"), timeout=300)
    assert not run.returncode, run.stderr
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


def test_planted_faults_are_noticed(found: dict[str, Any]) -> None:
    for name, status in found["judged"].items():
        assert status == name.partition(":")[0], name


def test_the_end_of_a_process_is_told(found: dict[str, Any]) -> None:
    endings = found["endings"]
    assert endings["crash"].startswith("crashes: SIGSEGV")
    assert endings["leave"].startswith("ends the process with status 3")
    assert "of the harness" in endings["fail"]
    assert endings["compute"] == "hangs: more than 1 s of the processor"
    assert endings["wait"] == "hangs: nothing for 5 s"
    assert "File too large" in endings["write"]
    assert endings["finish"] == "done"


def test_a_case_is_a_function_of_seed_and_number(found: dict[str, Any]) -> None:
    cases = found["cases"]
    assert all(one == other for one, other in cases)
    assert len({one for one, _ in cases}) > 0.9 * len(cases)


def test_known_faults_are_there_still(found: dict[str, Any]) -> None:
    gone = [name for name, is_there in found["known"].items() if not is_there]
    assert not gone, "no longer faults; take them off the list"
