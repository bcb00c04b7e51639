# SPDX-License-Identifier: Apache-2.0
"""The doctor's checks, one after the other; a failure of one does not end the examination."""

from __future__ import annotations

import functools
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnmetric.doctor.report import Check
from cnnmetric.doctor.report import Model
from cnnmetric.doctor.report import Problem
from cnnmetric.doctor.report import Report
from cnnmetric.doctor.runner import run_probes
from cnnmetric.errors import CompatibilityError
from cnnmetric.plugin import compatibility
from cnnmetric.plugin import gpu
from cnnmetric.plugin import installation
from cnnmetric.plugin import package_data
from cnnmetric.registration import parameter_files

PACKAGES = (
    "cnnmetric",
    "itk-core",
    "itk-elastix",
    "onnxruntime-gpu",
    "onnxruntime",
    "numpy",
    "torch",
    "onnx",
)


def examine() -> Report:
    """Look at the installation that this interpreter sees."""
    report = Report(versions=_versions())
    _check_packages(report)
    fit = report.registration_can_run
    folder = package_data.folder("models")
    files = sorted(folder.glob("*.onnx"))
    tasks = ["providers"]
    if fit:
        tasks += ["plugin", "itkv4", *(f"model={file}" for file in files), f"cuda={folder}"]
    results = run_probes(tasks)
    _check_onnxruntime(report, results["providers"])
    _check_plugin(report, results.get("plugin"))
    plugin_runs = report.registration_can_run
    _check_itkv4(report, results.get("itkv4") if plugin_runs else None)

    report.model_folder = str(folder)
    _check_models(report, files, results if plugin_runs else {})
    model_opens = any(model.state == "opens" for model in report.models)
    cuda = results.get(f"cuda={folder}") if model_opens else None
    _check_devices(report, results["providers"], cuda)

    report.parameter_file_folder = str(package_data.folder("elastix_params"))
    report.parameter_files = list(parameter_files.names())
    if not report.parameter_files:
        what = f"There are no parameter files in {report.parameter_file_folder}."
        report.problems.append(Problem(what, installation.reinstall(), stops_registration=False))
    return report


def _versions() -> dict[str, str]:
    libc = " ".join(platform.libc_ver())
    versions = {
        "Python": f"{platform.python_version()} ({sys.implementation.name}, {sys.executable})",
        "platform": f"{platform.system()} {platform.machine()}, {libc}",
    }
    for package in PACKAGES:
        versions[package] = compatibility.installed_version(package) or "not installed"
    versions["cnnmetric"] += f" ({Path(__file__).resolve().parents[1]})"
    return versions


def _check_packages(report: Report) -> None:
    """Do what ``import cnnmetric`` does before anything is loaded, and the look for the files."""
    interpreter = "Install cnnmetric in an environment of a supported Python and platform."
    _try(report, "platform and Python", compatibility.check_interpreter, interpreter)
    libraries = {
        compatibility.ITK_ELASTIX: compatibility.elastix_library,
        compatibility.ONNXRUNTIME: compatibility.onnxruntime_library,
    }
    for requirement in compatibility.REQUIRED:
        name, remedy = " or ".join(requirement.packages), compatibility.remedy(requirement)
        check = functools.partial(compatibility.check_package, requirement)
        fits = _try(report, f"{name} {requirement.specifier}", check, remedy)
        if fits and requirement in libraries:
            _try(report, f"library of {name}", libraries[requirement], remedy)
    _try(report, "compiled part of cnnmetric", _compiled_part, installation.reinstall())
    if all(map(compatibility.installed_version, compatibility.ONNXRUNTIME.packages)):
        what = "onnxruntime and onnxruntime-gpu are both installed, in the same folder."
        report.problems.append(Problem(what, _clean_onnxruntime(), stops_registration=False))


def _clean_onnxruntime() -> str:
    pip = f"{sys.executable} -m pip"
    return (
        f"Run: {pip} uninstall -y onnxruntime onnxruntime-gpu && "
        f'{pip} install "{compatibility.ONNXRUNTIME.install}"'
    )


def _compiled_part() -> None:
    for name in ("_core", "_itkv4"):
        if importlib.util.find_spec(f"cnnmetric.{name}") is None:
            msg = (
                f"The folder {Path(__file__).resolve().parents[1]} holds no compiled part ({name}) "
                f"for {sys.implementation.cache_tag}; it was not built, or for another Python."
            )
            raise CompatibilityError(msg)


def _try(report: Report, name: str, check: Callable[[], object], advice: str) -> bool:
    try:
        check()
    except CompatibilityError as error:
        _fail(report, name, str(error), advice)
        return False
    report.checks.append(Check(name, "ok"))
    return True


def _fail(report: Report, name: str, reason: str, advice: str) -> None:
    problem = _problem(reason, advice, stops_registration=True)
    report.checks.append(Check(name, "failed", problem.what))
    report.problems.append(problem)


def _problem(reason: str, advice: str, *, stops_registration: bool) -> Problem:
    """Make a problem of an error, whose message may end with advice of its own."""
    what, found, command = " ".join(reason.split()).partition(" Run: ")
    return Problem(what, f"Run: {command}" if found else advice, stops_registration)


def _check_plugin(report: Report, result: dict[str, Any] | None) -> None:
    name = "plugin inside elastix"
    if result is None:
        report.checks.append(Check(name, "not tried", "what failed above comes first"))
    elif result["ok"]:
        found = (
            "class layout agrees; compiled for ITK {itk}, elastix {elastix}; runs ONNX Runtime "
            "{onnxruntime}"
        )
        report.checks.append(Check(name, "ok", found.format_map(result)))
    else:
        _fail(
            report,
            name,
            f"The plugin cannot be loaded: {result['reason']}",
            installation.reinstall(),
        )


def _check_itkv4(report: Report, result: dict[str, Any] | None) -> None:
    name = "metric for ITKv4"
    if result is None:
        report.checks.append(Check(name, "not tried", "what failed above comes first"))
    elif result["ok"]:
        report.checks.append(Check(name, "ok", "class layout agrees"))
    else:
        reason = f"The metric for ITKv4 cannot be loaded: {result['reason']}"
        problem = _problem(reason, installation.reinstall(), stops_registration=False)
        report.checks.append(Check(name, "failed", problem.what))
        report.problems.append(problem)


def _check_models(report: Report, files: list[Path], results: dict[str, dict[str, Any]]) -> None:
    for file in files:
        size = file.stat().st_size / 1e6
        result = results.get(f"model={file}")
        if result is None:
            report.models.append(Model(file.stem, size, "not tried"))
        elif result["ok"]:
            facts = {name: result[name] for name in ("dimension", "spacing_mm")}
            modalities = tuple(result["modalities"])
            report.models.append(Model(file.stem, size, "opens", modalities, **facts))
        else:
            report.models.append(Model(file.stem, size, "cannot be used"))
            advice = f"Replace {file} by another copy, or export it again."
            problem = _problem(result["reason"], advice, stops_registration=False)
            report.problems.append(problem)
    if all(model.state == "cannot be used" for model in report.models):
        what = f"No model in {report.model_folder} can be used."
        report.problems.append(Problem(what, installation.reinstall(), stops_registration=True))


def _check_devices(report: Report, providers: dict[str, Any], cuda: dict[str, Any] | None) -> None:
    names = providers.get("providers")
    report.devices["ONNX Runtime"] = ", ".join(names) if names else _line(providers["reason"])
    if names:
        report.devices["CUDA"] = _cuda_versions(providers)
    if cuda is None:
        report.devices["cuda:0"] = "not tried"
    elif cuda["ok"]:
        report.devices["cuda:0"] = f"can be used: {cuda['device']}"
    else:
        report.devices["cuda:0"] = f"cannot be used: {_line(cuda['reason'])}"
        # On a machine without a GPU that is as it should be.
        if shutil.which("nvidia-smi") or gpu.is_here():
            needed = providers.get("cuda_needed")
            libraries = f"CUDA {needed} and cuDNN" if needed else "CUDA and cuDNN"
            advice = (
                f"Install onnxruntime-gpu with the {libraries} libraries that it needs, where the "
                "loader finds them (LD_LIBRARY_PATH), and a driver for them, or set "
                '(CNNMetricDevice "cpu").'
            )
            what = f"There is a GPU, but ONNX Runtime cannot use it: {_line(cuda['reason'])}"
            report.problems.append(Problem(what, advice, stops_registration=False))


def _cuda_versions(providers: dict[str, Any]) -> str:
    needed, driver = providers["cuda_needed"], providers["cuda_of_driver"]
    if not needed:
        return "not used: this ONNX Runtime is for the CPU alone"
    return f"{needed} needed by ONNX Runtime; the driver " + (
        f"runs up to {driver}" if driver else "is not there"
    )


def _check_onnxruntime(report: Report, providers: dict[str, Any]) -> None:
    """Find a package that is damaged, though its library is there."""
    checked = any(problem.stops_registration for problem in report.problems)
    if providers["ok"] or checked:
        return
    what = f"The package onnxruntime is damaged: {_line(providers['reason'])}"
    report.problems.append(Problem(what, _clean_onnxruntime(), stops_registration=False))


def _line(text: str) -> str:
    return " ".join(text.split())
