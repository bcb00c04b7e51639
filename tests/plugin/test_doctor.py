# SPDX-License-Identifier: Apache-2.0
"""Every problem that can be provoked ends in a line of advice, and never in a crash of the doctor.

The doctor runs in processes of its own, with folders in front of the installed packages that hold
what is wrong.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import itk
import pytest

import cnnmetric
from cnnmetric.doctor.runner import run_probes
from cnnmetric.plugin import compatibility
from cnnmetric.plugin import installation

PACKAGE = Path(cnnmetric.__file__).parent
PIP = f"Run: {sys.executable} -m pip"


def doctor(
    *options: str, path: list[Path], python: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the doctor with folders in front of the path of packages."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))} | environment
    command = [python, "-m", "cnnmetric.doctor", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def problems(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return problem and advice of a report in JSON."""
    return {entry["what"]: entry["advice"] for entry in json.loads(run.stdout)["problems"]}


def install(folder: Path, package: str, version: str) -> Path:
    """Write the metadata that pip leaves of an installed package."""
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    return folder


def write_itk(folder: Path, code: str = "") -> Path:
    """Write a package `itk` that does something else when it is imported."""
    (folder / "itk").mkdir(parents=True)
    (folder / "itk" / "_ElastixPython.abi3.so").touch()
    (folder / "itk" / "__init__.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package that has neither models nor parameter files."""
    leave_out = shutil.ignore_patterns("__pycache__", "models", "elastix_params")
    folder = tmp_path / "copy" / "python"
    shutil.copytree(PACKAGE, folder / "cnnmetric", ignore=leave_out)
    for name in ("models", "elastix_params"):
        (folder / "cnnmetric" / name).mkdir()
    return folder


def compiled_part(copy: Path) -> Path:
    (file,) = (copy / "cnnmetric").glob("_core*.so")
    return file


@pytest.mark.slow
def test_healthy() -> None:
    run = doctor("--json", path=[PACKAGE.parent], CUDA_VISIBLE_DEVICES="", PATH="")
    report = json.loads(run.stdout)
    assert run.returncode == 0, run.stdout
    assert report["registration_can_run"]
    assert {check["state"] for check in report["checks"]} == {"ok"}
    found = {check["name"]: check["found"] for check in report["checks"]}
    assert "class layout agrees; compiled for ITK 5.4.7" in found["plugin inside elastix"]
    assert found["metric for ITKv4"] == "class layout agrees"
    assert report["versions"]["itk-elastix"] == "0.25.3"
    assert "CPUExecutionProvider" in report["devices"]["ONNX Runtime"]
    assert re.fullmatch(
        r"\d+\.\d+ needed by ONNX Runtime; the driver (runs up to \d+\.\d+|is not there)",
        report["devices"]["CUDA"],
    )
    assert report["devices"]["cuda:0"].startswith("cannot be used: CUDA device 'cuda:0'")
    (model,) = [model for model in report["models"] if model["name"] == "t1t2"]
    assert model["state"] == "opens"
    assert (model["modalities"], model["dimension"], model["spacing_mm"]) == (["T1", "T2"], 3, 1.0)
    assert {"cnn_similarity", "cnn_bspline"} <= set(report["parameter_files"])


def test_wrong_version_in_words(tmp_path: Path) -> None:
    install(tmp_path, "itk-elastix", "0.25.4")
    run = doctor(path=[tmp_path, PACKAGE.parent])
    lines = run.stdout.splitlines()
    assert run.returncode == 1
    place = next(i for i, line in enumerate(lines) if line.startswith("  1. cnnmetric needs"))
    assert "installed is itk-elastix 0.25.4" in lines[place]
    assert lines[place + 1] == f'     Advice: {PIP} install "itk-elastix==0.25.3"'
    assert any(line.split()[:2] == ["itk-elastix", "0.25.4"] for line in lines)
    assert any(line.split()[:3] == ["not", "tried", "plugin"] for line in lines)
    assert any(line.split()[0] == "t1t2" and "not tried" in line for line in lines)
    assert lines[-1] == "A registration with CNNMetric cannot run."


def test_several_problems_are_all_found(tmp_path: Path) -> None:
    install(tmp_path, "itk-core", "5.4.6")
    install(tmp_path, "onnxruntime", "1.20.0")
    install(tmp_path, "onnxruntime-gpu", "1.20.0")
    # Looked up by the platform check, before anything of the package runs.
    (tmp_path / "sitecustomize.py").write_text(
        "import platform\nplatform.machine = lambda: 'aarch64'\n", encoding="utf-8"
    )
    run = doctor("--json", path=[tmp_path, PACKAGE.parent])
    platform, itk_core, onnxruntime = problems(run).items()
    assert run.returncode == 1
    assert "this is Linux aarch64" in platform[0]
    assert "supported Python and platform" in platform[1]
    assert "installed is itk-core 5.4.6" in itk_core[0]
    assert itk_core[1] == f'{PIP} install "itk==5.4.7"'
    assert "both installed" in onnxruntime[0]
    assert "uninstall -y onnxruntime onnxruntime-gpu &&" in onnxruntime[1]


def test_missing_onnxruntime(copy: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("onnxruntime", "cnnmetric")) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    python = str(environment / "bin" / "python")
    run = doctor("--json", path=[copy], python=python)
    found = problems(run)
    (advice,) = [found[what] for what in found if what.startswith("cnnmetric needs onnxruntime")]
    assert run.returncode == 1
    assert advice == f'Run: {python} -m pip install "onnxruntime-gpu>=1.19,<2"'
    assert "No module named 'onnxruntime'" in json.loads(run.stdout)["devices"]["ONNX Runtime"]


def test_onnxruntime_without_its_library(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    run = doctor("--json", path=[tmp_path, PACKAGE.parent])
    ((what, advice),) = problems(run).items()
    assert run.returncode == 1
    assert "is not in" in what
    assert advice.startswith(f"{PIP} install")
    assert advice.endswith("--force-reinstall")


def test_onnxruntime_that_cannot_be_imported(tmp_path: Path) -> None:
    package = tmp_path / "onnxruntime"
    library = compatibility.onnxruntime_library()
    (package / "capi").mkdir(parents=True)
    (package / "capi" / library.name).symlink_to(library)
    code = "raise ImportError('libstdc++.so.6: version GLIBCXX_9 not found')\n"
    (package / "__init__.py").write_text(code, encoding="utf-8")
    # The rest of the examination is other tests' business, and takes long.
    itk = write_itk(tmp_path / "itk-in-front", "raise SystemExit(3)\n")
    run = doctor("--json", path=[tmp_path, itk, PACKAGE.parent])
    (what,) = [what for what in problems(run) if what.startswith("The package onnxruntime is dam")]
    assert "GLIBCXX_9 not found" in what
    assert problems(run)[what].startswith(f"{PIP} uninstall -y onnxruntime onnxruntime-gpu &&")


def test_missing_compiled_part(copy: Path) -> None:
    compiled_part(copy).unlink()
    run = doctor("--json", path=[copy])
    (advice,) = [advice for what, advice in problems(run).items() if "holds no compiled" in what]
    assert run.returncode == 1
    assert advice == installation.reinstall()


def test_damaged_compiled_part(copy: Path, tmp_path: Path) -> None:
    compiled_part(copy).write_bytes(b"not a library")
    itk_in_front = write_itk(tmp_path / "front", "ParameterObject = None")
    run = doctor("--json", path=[itk_in_front, copy])
    (reason,) = [what for what in problems(run) if what.startswith("The plugin cannot be loaded")]
    assert run.returncode == 1
    assert "compiled part of cnnmetric could not be loaded" in reason
    assert problems(run)[reason] == installation.reinstall()


def test_library_that_crashes_when_it_is_loaded(tmp_path: Path) -> None:
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    run = doctor("--json", path=[write_itk(tmp_path, crash), PACKAGE.parent])
    ((what, advice),) = problems(run).items()
    assert run.returncode == 1
    assert what == "The plugin cannot be loaded: the process crashed with SIGSEGV"
    assert advice.startswith(PIP)
    # The task before and the ones after the crash are not lost.
    report = json.loads(run.stdout)
    assert "CPUExecutionProvider" in report["devices"]["ONNX Runtime"]
    assert "t1t2" in [model["name"] for model in report["models"]]


def test_another_class_layout(copy: Path, tmp_path: Path) -> None:
    compiled_part(copy).unlink()
    code = "def probe_layout(): return 'table of itk::AdvancedTransform: expected A, found B'\n"
    (copy / "cnnmetric" / "_core.py").write_text(code, encoding="utf-8")
    code = "ParameterObject = None\nElastixRegistrationMethod = {}\n"
    run = doctor("--json", path=[write_itk(tmp_path / "front", code), copy])
    (reason,) = [what for what in problems(run) if what.startswith("The plugin cannot be loaded")]
    assert run.returncode == 1
    assert "expected A, found B" in reason
    assert problems(run)[reason] == f'{PIP} install "itk-elastix==0.25.3" --force-reinstall'


@pytest.mark.slow
@pytest.mark.parametrize("with_another", [True, False])
def test_damaged_model(copy: Path, small_model: Path, tmp_path: Path, with_another: bool) -> None:
    models = copy / "cnnmetric" / "models"
    (models / "broken.onnx").write_bytes(small_model.read_bytes()[:2000])
    if with_another:
        shutil.copy(small_model, models / "small.onnx")
    # An installed extension finds elastix's library in the folder beside its package.
    (copy / "itk").symlink_to(Path(itk.__file__).parent)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    run = doctor("--json", path=[copy], PATH=str(tmp_path), CUDA_VISIBLE_DEVICES="")
    found = problems(run)
    (advice,) = [advice for what, advice in found.items() if "broken.onnx' is not a rea" in what]
    assert advice == f"Replace {models / 'broken.onnx'} by another copy, or export it again."
    assert f"There are no parameter files in {copy / 'cnnmetric' / 'elastix_params'}." in found
    assert (f"No model in {models} can be used." in found) == (not with_another)
    assert run.returncode == (0 if with_another else 1)
    states = {model["name"]: model["state"] for model in json.loads(run.stdout)["models"]}
    assert states == {"broken": "cannot be used"} | ({"small": "opens"} if with_another else {})
    gpu = [advice for what, advice in found.items() if what.startswith("There is a GPU")]
    # Tried with a model that opens; without one nothing is known of the GPU.
    assert len(gpu) == with_another
    assert all("LD_LIBRARY_PATH" in advice for advice in gpu)


def test_probe_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_itk(tmp_path, "import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (folder, PACKAGE.parent))))
    results: dict[str, Any] = run_probes(["plugin"], seconds=1.0)
    assert results == {"plugin": {"ok": False, "reason": "it did not end within 1 s"}}


def test_only_the_doctor_is_let_in(tmp_path: Path) -> None:
    install(tmp_path, "itk-elastix", "0.25.4")
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, PACKAGE.parent)))}
    for command in (["-c", "import cnnmetric", "-m", "cnnmetric.doctor"], ["-m", "cnnmetric.demo"]):
        run = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False, env=variables
        )
        assert run.returncode == 1
        assert "cnnmetric needs itk-elastix ==0.25.3" in run.stderr
