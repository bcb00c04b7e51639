# SPDX-License-Identifier: Apache-2.0
"""Command lines and records derived from settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.command_line import to_record
from cnnmetric.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    files: tuple[Path, ...] = setting(help_text="files, 100% of them", positional=True)
    rate: float = setting(0.5, help_text="rate", unit="mm", source="paper")
    scale: tuple[float, float] = setting((0.5, 2.0), help_text="range")
    mirror: bool = setting(True, help_text="mirror")
    limit: int | None = setting(None, help_text="limit")
    mode: Literal["a", "b"] = setting("a", help_text="mode")
    number_of_blocks: int = setting(8, help_text="blocks", choices=(4, 8))
    source: tuple[str, ...] = setting(("a", "b"), help_text="sources", repeatable=True)
    channels: tuple[int, ...] = setting((), help_text="channels")

    def __post_init__(self) -> None:
        if self.rate < 0:
            msg = "the rate is negative"
            raise SettingsError(msg)


def read(words: str) -> Settings:
    settings = settings_from(parser_for(Settings, "Test.").parse_args(words.split()))
    assert isinstance(settings, Settings)
    return settings


def test_defaults() -> None:
    assert read("x.csv") == Settings((Path("x.csv"),))


def test_every_kind_of_value() -> None:
    words = "x y --rate 1e-3 --scale 1 3 --no-mirror --limit 4 --mode b --number-of-blocks 4"
    assert read(words) == Settings((Path("x"), Path("y")), 1e-3, (1.0, 3.0), False, 4, "b", 4)


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


@pytest.mark.parametrize("words", ["", "x --mode c", "x --scale 1", "x --rate fast"])
def test_refuses_what_cannot_be_read(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(words)
    assert "error" in capsys.readouterr().err


def test_the_settings_check_themselves() -> None:
    with pytest.raises(SettingsError, match="negative"):
        read("x --rate -1")


def test_help_tells_unit_default_and_source() -> None:
    text = " ".join(parser_for(Settings, "Test.").format_help().split())
    assert "rate (in mm; default: 0.5; source: paper)" in text
    assert "files, 100% of them" in text
    assert "range (default: 0.5 2.0)" in text


def test_record_is_json() -> None:
    record = json.loads(json.dumps(to_record(read("x"))))
    assert record["files"] == ["x"]
    assert record["scale"] == [0.5, 2.0]
    assert record["limit"] is None


def test_refuses_a_type_without_command_line_form() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: complex = setting(1j, help_text="odd")

    Odd.__annotations__["value"] = complex
    with pytest.raises(TypeError, match="has no command-line form"):
        parser_for(Odd, "Test.")
