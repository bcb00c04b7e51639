# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from cnnmetric.errors import CompatibilityError
from cnnmetric.plugin import compatibility


def install(folder: Path, package: str, version: str) -> None:
    """Write the metadata that pip leaves of an installed package."""
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")


def test_the_environment_of_the_tests_is_accepted() -> None:
    compatibility.check()


@pytest.mark.parametrize(
    ("package", "version", "command"),
    [
        ("itk-elastix", "0.25.4", '-m pip install "itk-elastix==0.25.3"'),
        ("itk-elastix", "0.25.2", '-m pip install "itk-elastix==0.25.3"'),
        ("itk-elastix", "0.25.3.post1", '-m pip install "itk-elastix==0.25.3"'),
        ("itk-core", "5.4.6", '-m pip install "itk==5.4.7"'),
    ],
)
def test_another_version_is_refused_with_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, version: str, command: str
) -> None:
    install(tmp_path, package, version)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CompatibilityError) as caught:
        compatibility.check()
    message = str(caught.value)
    assert f"installed is {package} {version}" in message
    assert re.search(rf"needs {package} ==[\d.]+, because", message)
    assert f"Run: {sys.executable} {command}" in message


def test_a_missing_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(CompatibilityError, match=r"needs itk-core ==5\.4\.7.*installed is none"):
        compatibility.check()


@pytest.mark.parametrize("installed", [{"onnxruntime": "1.19.0"}, {"onnxruntime-gpu": "1.31.1"}])
def test_either_onnxruntime_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]
) -> None:
    for package, version in {"itk-core": "5.4.7", "itk-elastix": "0.25.3", **installed}.items():
        install(tmp_path, package, version)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    compatibility.check()


@pytest.mark.parametrize("version", ["1.18.1", "2.0.0"])
def test_an_onnxruntime_without_the_api_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    installed = {"itk-core": "5.4.7", "itk-elastix": "0.25.3", "onnxruntime": version}
    for package, number in installed.items():
        install(tmp_path, package, number)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(CompatibilityError, match=rf"installed is onnxruntime {version}"):
        compatibility.check()


def test_another_platform_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(CompatibilityError, match=r"Linux x86_64 only.*this is Linux aarch64"):
        compatibility.check()


def test_an_older_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    with pytest.raises(CompatibilityError, match=r"CPython 3\.11 or later.*this is cpython 3\.10"):
        compatibility.check()


def test_local_builds_are_the_same_release_and_numbers_are_compared_as_numbers() -> None:
    elastix, onnxruntime = compatibility.REQUIRED[1:]
    assert elastix.accepts("0.25.3+local")
    assert onnxruntime.accepts("1.100.0")
    assert not onnxruntime.accepts("1.9.0")


def test_libraries_are_found_without_importing_their_packages() -> None:
    script = (
        "import importlib.util, sys\n"
        "from pathlib import Path\n"
        "from cnnmetric.plugin.compatibility import elastix_library, onnxruntime_library\n"
        "before = set(sys.modules)\n"
        "print(elastix_library())\n"
        "print(onnxruntime_library())\n"
        "assert not {'itk', 'onnxruntime'} & (set(sys.modules) - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    elastix, onnxruntime = map(Path, run.stdout.split())
    assert elastix.name == "_ElastixPython.abi3.so"
    assert re.fullmatch(r"libonnxruntime\.so\.1\.[\d.]+", onnxruntime.name)
    assert elastix.is_file()
    assert onnxruntime.is_file()


def test_the_newest_of_two_onnxruntime_libraries_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    for version in ("1.9.0", "1.20.1", "1.3.2"):
        (folder / f"libonnxruntime.so.{version}").touch()
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert compatibility.onnxruntime_library() == folder / "libonnxruntime.so.1.20.1"


@pytest.mark.parametrize(
    ("package", "function"),
    [
        ("itk", compatibility.elastix_library),
        ("onnxruntime", compatibility.onnxruntime_library),
    ],
)
def test_a_package_without_its_library_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    function: Callable[[], Path],
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CompatibilityError, match=r"is not in .*--force-reinstall"):
        function()


@pytest.mark.slow
def test_itk_elastix_0_25_4_is_refused_in_an_environment_that_has_it(tmp_path: Path) -> None:
    """The plugin would crash the process there; it must not get as far as being loaded."""
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    onnxruntime = metadata.version("onnxruntime-gpu")
    wheels = ["itk==5.4.7", "itk-elastix==0.25.4", f"onnxruntime-gpu=={onnxruntime}"]
    subprocess.run([python, "-m", "pip", "install", "-qq", *wheels], check=True)
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", query], capture_output=True, text=True, check=True)
    installed = Path(sysconfig.get_path("purelib")) / "cnnmetric"
    shutil.copytree(installed, Path(site.stdout.strip()) / "cnnmetric")

    run = subprocess.run(
        [python, "-c", "import cnnmetric"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "cnnmetric.errors.CompatibilityError: cnnmetric needs itk-elastix ==0.25.3"
    )
    assert "installed is itk-elastix 0.25.4" in last
    assert 'pip install "itk-elastix==0.25.3"' in last
