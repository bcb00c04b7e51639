# SPDX-License-Identifier: Apache-2.0
"""Command lines and records derived from settings."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal

import pytest

from cnnmetric.command_line import Bounds
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.command_line import to_record
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError


@dataclass(frozen=True)
class Example(Settings):
    files: tuple[Path, ...] = setting(help_text="files, 100% of them", positional=True)
    rate: float = setting(0.5, help_text="rate", unit="mm", source="paper", minimum=0)
    scale: tuple[float, float] = setting((0.5, 2.0), help_text="range", above=0)
    mirror: bool = setting(True, help_text="mirror")
    limit: int | None = setting(None, help_text="limit")
    mode: Literal["a", "b"] = setting("a", help_text="mode")
    number_of_blocks: int = setting(8, help_text="blocks", choices=(4, 8))
    source: tuple[str, ...] = setting(("a", "b"), help_text="sources", repeatable=True)
    channels: tuple[int, ...] = setting((), help_text="channels")
    share: float = setting(0.0, help_text="share", minimum=0, below=1)
    last: int = setting(0, help_text="last", minimum=0, maximum=9, positional=True)

    def broken_rules(self) -> Iterator[str]:
        if self.scale[0] > self.scale[1]:
            yield "--scale must have the smaller one first"


def read(words: str) -> Example:
    settings = settings_from(parser_for(Example, "Test.").parse_args(words.split()))
    assert isinstance(settings, Example)
    return settings


def test_defaults() -> None:
    assert read("x.csv") == Example((Path("x.csv"),))


def test_every_kind_of_value() -> None:
    words = "x y --rate 1e-3 --scale 1 3 --no-mirror --limit 4 --mode b --number-of-blocks 4"
    assert read(words) == Example((Path("x"), Path("y")), 1e-3, (1.0, 3.0), False, 4, "b", 4)


def test_an_option_of_several_values_may_be_given_several_times() -> None:
    assert read("x").source == ("a", "b")
    assert read("x --source c").source == ("c",)
    assert read("x --source c d --source e").source == ("c", "d", "e")
    assert read("x --channels 1 2 --channels 3").channels == (3,)


def test_options_may_be_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "first.txt").write_text("--rate 3  # mm\n\n# nothing\n--source 'a b'\n")
    (tmp_path / "second.txt").write_text("--rate 2\n")
    found = read(f"x @{tmp_path / 'first.txt'} @{tmp_path / 'second.txt'}")
    assert (found.rate, found.source) == (2, ("a b",))


def test_a_file_of_options_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options.txt").write_text("--source 'a b\n")
    with pytest.raises(SystemExit):
        read(f"x @{tmp_path / 'options.txt'}")
    assert 'cannot read the line "--source \'a b" of a file' in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "x --mode c", "x --scale 1", "x --rate fast"])
def test_refuses_what_cannot_be_read(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(words)
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": -1.0}, "--rate is -1.0; give 0 or more"),
        ({"rate": math.nan}, "--rate is nan; give a finite number, 0 or more"),
        ({"rate": math.inf}, "--rate is inf; give a finite number, 0 or more"),
        ({"scale": (0.0, 1.0)}, "--scale is 0.0 1.0; give values of more than 0"),
        ({"share": 1.0}, "--share is 1.0; give 0 or more and less than 1"),
        ({"last": 10}, "last is 10; give 0 to 9"),
        ({"mode": "c"}, "--mode is c; give a or b"),
        ({"number_of_blocks": 5}, "--number-of-blocks is 5; give 4 or 8"),
        (
            {"rate": -1.0, "scale": (2.0, 1.0)},
            "--rate is -1.0; give 0 or more; --scale must have the smaller one first",
        ),
    ],
)
def test_settings_check_themselves(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Example((Path("x"),), **values)
    assert str(raised.value) == message


def test_the_ends_of_bounds() -> None:
    closed, open_ = Bounds(minimum=0, maximum=1), Bounds(above=0, below=1)
    assert [closed.allow(value) for value in (-0.1, 0, 0.5, 1, 1.1)] == [0, 1, 1, 1, 0]
    assert [open_.allow(value) for value in (-0.1, 0, 0.5, 1, 1.1)] == [0, 0, 1, 0, 0]
    assert not closed.allow(math.nan)
    assert not Bounds().allow(math.inf)


def test_help_tells_unit_default_and_source() -> None:
    text = " ".join(parser_for(Example, "Test.").format_help().split())
    assert "rate (in mm; 0 or more; default: 0.5; source: paper)" in text
    assert "files, 100% of them" in text
    assert "range (more than 0; default: 0.5 2.0)" in text


def test_record_is_json() -> None:
    record = json.loads(json.dumps(to_record(read("x"))))
    assert record["files"] == ["x"]
    assert record["scale"] == [0.5, 2.0]
    assert record["limit"] is None


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DataError("no image"), 1, "cnnmetric.train: no image\n"),
        (DataError("no column a\nb"), 1, "cnnmetric.train: no column a b\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/model.json"),
            1,
            "cnnmetric.train: No space left on device: out/model.json\n",
        ),
        (
            RuntimeError("itkFile.cxx:1:\nITK ERROR: no image\n"),
            1,
            "cnnmetric.train: itkFile.cxx:1: ITK ERROR: no image "
            "(RuntimeError; CNNMETRIC_DEBUG=1 shows where)\n",
        ),
        (
            MemoryError(),
            1,
            "cnnmetric.train: no message (MemoryError; CNNMETRIC_DEBUG=1 shows where)\n",
        ),
        (KeyboardInterrupt(), 130, "cnnmetric.train: interrupted; --resume goes on\n"),
    ],
)
def test_a_command_ends_with_a_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_command(
        "cnnmetric.train", lambda: raising(error), interrupted="interrupted; --resume goes on"
    )
    assert found == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_may_have_a_status_of_its_own(returned: int | None, status: int) -> None:
    assert run_command("cnnmetric.doctor", lambda: returned) == status


def test_errors_may_be_shown_with_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNMETRIC_DEBUG", "1")
    with pytest.raises(DataError):
        run_command("cnnmetric.train", lambda: raising(DataError("no image")))


def test_a_fault_of_ours_is_no_line_of_advice() -> None:
    with pytest.raises(RecursionError):
        run_command("cnnmetric.train", lambda: raising(RecursionError()))
    with pytest.raises(ZeroDivisionError):
        run_command("cnnmetric.train", lambda: 1 // 0)


def test_refuses_a_type_without_command_line_form() -> None:
    @dataclass(frozen=True)
    class Odd(Settings):
        value: complex = setting(1j, help_text="odd")

    Odd.__annotations__["value"] = complex
    with pytest.raises(TypeError, match="has no command-line form"):
        parser_for(Odd, "Test.")
