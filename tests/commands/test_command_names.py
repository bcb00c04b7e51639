# SPDX-License-Identifier: Apache-2.0
"""The command `cnnmetric` finds its subcommands, explains them, and does so without loading ITK."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import cnnmetric
from cnnmetric.commands.main import NAMES
from cnnmetric.commands.main import commands_of
from cnnmetric.commands.main import main

ROOM = Path(cnnmetric.__file__).parent / "commands"
PARTS = {
    "__init__",
    "main",
    "command",
    "summary",
    "cohort",
}  # of the room, which are no subcommands


def test_every_file_is_a_subcommand_and_every_subcommand_a_file() -> None:
    assert {file.stem for file in ROOM.glob("*.py")} - PARTS == set(NAMES)


def test_without_words_the_subcommands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    text = capsys.readouterr().out
    assert all(f"\n    {name}" in text for name in NAMES)
    assert "Exit status: 0 done" in " ".join(text.split())


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"cnnmetric {metadata.version('cnnmetric')}\n"


@pytest.mark.parametrize("words", [["regster"], ["--nothing"], ["register"], ["models", "--x"]])
def test_what_is_not_understood_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_every_subcommand_teaches_by_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: cnnmetric {name}")
    assert "Examples:" in text
    assert f"cnnmetric {name}" in text.partition("Examples:")[2]


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_understood(name: str) -> None:
    """Their options exist; files need not."""
    import shlex

    from cnnmetric.command_line import parser_for

    commands = commands_of(name)
    for command in commands.values():
        for _, example in command.examples:
            for part in example.partition(" > ")[0].split("$("):
                words = shlex.split(part.rstrip('")'), posix=True) if "eval" not in part else []
                if words[:2] != ["cnnmetric", name]:
                    continue
                found = commands[words.pop(2)] if words[2:3] and words[2] in commands else command
                parser_for(found.settings, "").parse_args(words[2:])


def test_help_loads_no_large_package() -> None:
    script = (
        "import sys, cnnmetric_command\n"
        "for name in sys.argv[1:]:\n"
        "    sys.argv = ['cnnmetric', name, '--help']\n"
        "    try: cnnmetric_command.main()\n"
        "    except SystemExit as ended: assert ended.code == 0\n"
        "print(sorted({'itk', 'numpy', 'onnxruntime', 'scipy', 'torch'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, *NAMES]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(f"Usage: cnnmetric {name}" in run.stdout for name in NAMES)
    assert run.stdout.endswith("[]\n")


DEFERRED = """
import multiprocessing, sys
import cnnmetric_command

def in_a_worker():
    import cnnmetric
    return "itk" in sys.modules

if __name__ == "__main__":
    cnnmetric_command.started = True
    import cnnmetric
    assert "itk" not in sys.modules
    assert not hasattr(cnnmetric, "nothing")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(in_a_worker)
    assert "itk" not in sys.modules
    from cnnmetric import DissimilarityNetwork
    DissimilarityNetwork("t1t2-fast", device="cpu")
    from cnnmetric import CNNMetricError, errors
    assert CNNMetricError is errors.CNNMetricError
    assert set(cnnmetric.__all__) <= set(dir(cnnmetric))
"""


@pytest.mark.slow
def test_names_that_a_command_deferred_are_there_when_asked_for(tmp_path: Path) -> None:
    """And in a process that the command starts, the package is imported as everywhere."""
    (tmp_path / "script.py").write_text(DEFERRED, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
