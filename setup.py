# SPDX-License-Identifier: Apache-2.0
"""Build the C++ plugin with CMake as part of the Python package.

All static metadata is in pyproject.toml; here is only what needs to run: the checks that give a
clear message before the compiler gives a hundred unclear ones, the headers, and CMake.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from importlib import import_module
from importlib import metadata
from pathlib import Path
from typing import Any

from setuptools import Extension
from setuptools import find_packages
from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError
from setuptools.errors import SetupError

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT / "scripts"))

from build_viewer import build_or_warn  # noqa: E402 (needs the line above)
from fetch_headers import HeadersError  # noqa: E402
from fetch_headers import check_platform  # noqa: E402
from fetch_headers import find_headers  # noqa: E402
from long_description import long_description  # noqa: E402


class BuildWithViewer(build_py):
    """Bundle the viewer of reports before the files of the package are collected."""

    def run(self) -> None:
        """Do so where npm is there."""
        build_or_warn()
        super().run()


class CMakeBuild(build_ext):
    """Compile the extension modules with CMake."""

    def run(self) -> None:
        """Remember whether the libraries stay in the source tree, which setuptools forgets."""
        self.stays_in_place = bool(self.inplace)
        super().run()

    def build_extensions(self) -> None:
        """Configure and build the top-level CMakeLists.txt, which makes all of them at once."""
        check_wheels()
        cmake, ninja = build_tool("cmake", "CMAKE_BIN_DIR"), build_tool("ninja", "BIN_DIR")
        swig = build_tool("swig", "BIN_DIR")  # importing it also sets SWIG_LIB, which it needs
        check_compiler()
        try:
            headers = find_headers(os.environ)
        except HeadersError as error:
            raise SetupError(str(error)) from None
        package = Path(self.get_ext_fullpath(self.extensions[0].name)).parent.resolve()
        wheel = wheel_directory()
        sanitize = os.environ.get("CNNMETRIC_SANITIZE", "")  # set by `make sanitize`
        definitions = {
            "CMAKE_BUILD_TYPE": "Release",
            # Else CMake adds the folder of the wheel, a temporary one in isolated builds.
            "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
            # Installed, the extension finds the wheel beside itself; not so where it is tested in
            # place, as in an editable install.
            "CMAKE_INSTALL_RPATH": wheel if self.stays_in_place or sanitize else "$ORIGIN/../itk",
            "CMAKE_LIBRARY_OUTPUT_DIRECTORY": package,
            "CMAKE_MAKE_PROGRAM": ninja,
            "CNNMETRIC_SANITIZE": sanitize,
            "CNNMETRIC_VERSION": self.distribution.get_version(),
            "ITK_WHEEL_DIR": wheel,
            "Python_EXECUTABLE": sys.executable,
            "SWIG_EXECUTABLE": swig,
            "pybind11_DIR": import_module("pybind11").get_cmake_dir(),
            **headers,
        }
        folder = Path(self.build_temp).resolve() / "cmake"
        configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-G", "Ninja"]
        configure += [f"-D{name}={value}" for name, value in definitions.items()]
        start_over_if_changed(folder, configure)
        jobs = str(len(os.sched_getaffinity(0)))
        for command in (configure, [cmake, "--build", str(folder), "--parallel", jobs]):
            if subprocess.run(command, check=False).returncode != 0:
                msg = (
                    "The C++ plugin was not built, for the reason above; see docs/guide/install.md."
                )
                raise CompileError(msg)


def start_over_if_changed(folder: Path, configure: list[str]) -> None:
    """Remove a build folder that was made with other tools, headers or flags.

    CMake would keep some of them, which may be gone: pip has its tools in another place every time.
    """
    flags = {name: os.environ.get(name) for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")}
    current = json.dumps([configure, flags], indent=1)
    record = folder / "configured-with.json"
    if folder.exists() and not (record.exists() and record.read_text(encoding="utf-8") == current):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(current, encoding="utf-8")


def pyproject() -> dict[str, Any]:
    """Return what pyproject.toml says."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def check_wheels() -> None:
    """Refuse to link against any other release of the ITK wheels than the pinned ones."""
    for requirement in pyproject()["build-system"]["requires"]:
        package, _, version = requirement.partition("==")
        if version and package.startswith("itk"):
            try:
                found = metadata.version(package)
            except metadata.PackageNotFoundError:
                found = "none"
            if found != version:
                msg = (
                    f"The plugin is linked against {package} {version}; found {found}. "
                    f'Run: {sys.executable} -m pip install "{requirement}"'
                )
                raise SetupError(msg)


def wheel_directory() -> Path:
    """Return the folder of the installed itk wheels that holds elastix's library."""
    directory = Path(str(metadata.distribution("itk-elastix").locate_file("itk"))).resolve()
    if not (directory / "_ElastixPython.abi3.so").exists():
        msg = (
            f"itk-elastix is installed, but {directory} holds no _ElastixPython.abi3.so. The wheel "
            "from PyPI for Python 3.11 or later does; other builds will not do."
        )
        raise SetupError(msg)
    return directory


def build_tool(name: str, folder_constant: str) -> str:
    """Return the path of a tool, of the Python package of its name if that is installed."""
    try:
        folder = getattr(import_module(name), folder_constant)
    except ImportError:
        folder = None
    # pip's isolated builds have such packages on the path, but not where the packages think.
    tool = (folder and shutil.which(name, path=folder)) or shutil.which(name)
    if not tool:
        msg = f"{name} is not installed. Run: {sys.executable} -m pip install {name}"
        raise SetupError(msg)
    return tool


def check_compiler() -> None:
    """Refuse a compiler that cannot do C++17, and a Python without its own headers."""
    named = os.environ.get("CXX")
    compiler = named or next(filter(shutil.which, ("c++", "g++", "clang++")), "")
    hint = "Install one (Debian: apt-get install g++) or name it: CXX=<compiler>."
    if not compiler:
        msg = f"A C++17 compiler is needed, and none of c++, g++, clang++ is here. {hint}"
        raise SetupError(msg)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <optional>\nint main() { return *std::optional<int>{0}; }\n")
        command = [*compiler.split(), "-std=c++17", str(source), "-o", str(source.with_suffix(""))]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            failed, output = result.returncode != 0, result.stderr.strip()
        except OSError as error:
            failed, output = True, str(error)
    if failed:
        msg = f"A C++17 compiler is needed, and '{compiler}' is none: {output[:500]}\n{hint}"
        raise SetupError(msg)
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        msg = (
            f"Python's C headers are needed, and {include} holds no Python.h. "
            "Install them (Debian: apt-get install python3-dev)."
        )
        raise SetupError(msg)


def main() -> None:
    """Refuse unfit platforms at once, even before pip looks for the dependencies; then build."""
    try:
        check_platform()
    except HeadersError as error:
        sys.exit(f"error: {error}")
    urls = pyproject()["project"]["urls"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=long_description(readme, source=urls.get("Source")),
        long_description_content_type="text/markdown",
        packages=[*find_packages("python"), "cnnmetric.elastix_params", "cnnmetric.models"],
        # CMake knows the sources; this makes the wheel one of this platform and this Python.
        ext_modules=[Extension(f"cnnmetric.{name}", sources=[]) for name in ("_core", "_itkv4")],
        cmdclass={"build_ext": CMakeBuild, "build_py": BuildWithViewer},
    )


if __name__ == "__main__":
    main()
