# SPDX-License-Identifier: Apache-2.0
"""setup.py: each thing that a build needs, when it is not there."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path

import pytest
from setuptools.errors import SetupError

import setup


def test_the_tools_of_this_environment_will_do() -> None:
    setup.check_wheels()
    setup.check_compiler()
    assert Path(setup.build_tool("cmake", "CMAKE_BIN_DIR")).is_file()
    assert Path(setup.build_tool("ninja", "BIN_DIR")).is_file()
    assert (setup.wheel_directory() / "_ElastixPython.abi3.so").is_file()


def test_another_platform_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(SystemExit, match=r"error: cnnmetric is a plugin .* this is Linux arm64"):
        setup.main()


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(SetupError, match=r"A C\+\+17 compiler is needed, .*apt-get install g\+\+"):
        setup.check_compiler()


@pytest.mark.parametrize(
    ("compiler", "reason"), [("false", "is none"), ("no-such-compiler", "No such file")]
)
def test_an_unfit_compiler_is_refused(
    monkeypatch: pytest.MonkeyPatch, compiler: str, reason: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(
        SetupError, match=rf"C\+\+17 compiler is needed, and '{compiler}'.*{reason}"
    ):
        setup.check_compiler()


def test_a_python_without_its_headers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SetupError, match=r"holds no Python\.h.*apt-get install python3-dev"):
        setup.check_compiler()


def test_a_missing_cmake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmake", None)  # what an import then fails on
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(SetupError, match=r"cmake is not installed\. Run: .* -m pip install cmake"):
        setup.build_tool("cmake", "CMAKE_BIN_DIR")


def test_wheels_of_another_release_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "itk_elastix-0.25.4.dist-info"
    info.mkdir()
    text = "Metadata-Version: 2.1\nName: itk-elastix\nVersion: 0.25.4\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        SetupError, match=r"itk-elastix 0\.25\.3; found 0\.25\.4\. Run: .*pip install"
    ):
        setup.check_wheels()
    with pytest.raises(SetupError, match=r"holds no _ElastixPython\.abi3\.so"):
        setup.wheel_directory()


def test_missing_wheels_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(SetupError, match=r"linked against itk 5\.4\.7; found none"):
        setup.check_wheels()


def test_a_build_folder_is_kept_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "build"
    setup.start_over_if_changed(folder, ["cmake", "-DA=1"])
    (folder / "object.o").touch()
    setup.start_over_if_changed(folder, ["cmake", "-DA=1"])
    assert (folder / "object.o").exists()

    setup.start_over_if_changed(folder, ["cmake", "-DA=2"])
    assert not (folder / "object.o").exists()

    (folder / "object.o").touch()
    monkeypatch.setenv("CXXFLAGS", "-O0")
    setup.start_over_if_changed(folder, ["cmake", "-DA=2"])
    assert not (folder / "object.o").exists()
