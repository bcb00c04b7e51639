# SPDX-License-Identifier: Apache-2.0
"""How fast the metric is: against its own arithmetic, against rivals, and how that grows.

    make bench
    python benchmarks/bench.py --pair T1.nii.gz T2.nii.gz --labels of_T1.nii.gz of_T2.nii.gz

measures on one thread unless it says otherwise, all ratios side by side in one run, and writes
Markdown tables with what was asked for: PASS, or by how much it is missed. Without a pair of your
own, registrations are of the demo's made-up brains. Rivals that are not installed are left out.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import itk

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation import methods

PARTS = ("network", "iteration", "registration", "training", "growth", "threader")
METHODS = ("cnn+field", "cnn", "mi+mask", "mi", "greedy", "convexadam", "deedsbcv")
# Where a registration has stopped by itself if nothing is wrong, in seconds.
_LIMIT = 900.0
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class BenchSettings(Settings):
    """What to measure."""

    pair: tuple[str, ...] = setting((), help_text="fixed image, moving image; none: the demo's")
    labels: tuple[str, ...] = setting((), help_text="their label maps, for the Dice coefficient")
    parts: tuple[str, ...] = setting(PARTS, help_text="what to measure", choices=PARTS)
    methods: tuple[str, ...] = setting(METHODS, help_text="of the registrations")
    out: Path = setting(Path("build/bench.md"), help_text="the tables")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(BenchSettings, __doc__ or "", prog=Path(__file__).name)
    return run_command("bench", lambda: run(settings_from(parser.parse_args(arguments))))


def run(settings: BenchSettings) -> None:
    """Measure, print the tables as they come, and write them."""
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    sections = [machine()]
    with tempfile.TemporaryDirectory() as folder:
        files = _files_of(settings, Path(folder))
        for part in settings.parts:
            print(sections[-1], end="\n\n", flush=True)
            sections.append(_SECTIONS[part](files, settings))
            settings.out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(sections[-1])
    print(f"\n{settings.out}")


def machine() -> str:
    """Return one line that says what was measured on, and with what."""
    cpu = platform.processor() or platform.machine()
    lines = Path("/proc/cpuinfo")
    if lines.is_file():
        names = re.findall("^model name.*: (.*)$", lines.read_text(encoding="utf-8"), re.MULTILINE)
        cpu = names[0] if names else cpu
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("cnnmetric", "itk-elastix", "onnxruntime-gpu")
    )
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores; Python {sys.version.split()[0]}, {packages}"
    )


def _files_of(settings: BenchSettings, folder: Path) -> list[str]:
    """Return fixed and moving image, and their label maps where there are any."""
    for name, files in (("--pair", settings.pair), ("--labels", settings.labels)):
        if len(files) not in (0, 2):
            msg = f"{name} takes two files, of the fixed and the moving image, and got {len(files)}"
            raise SettingsError(msg)
    if settings.pair:
        return [*settings.pair, *settings.labels]
    phantom = make_phantom(load_anatomy(), seed=1)
    images = {
        "fixed": phantom.fixed.image,
        "moving": phantom.moving.image,
        "fixed-labels": phantom.fixed.labels,
        "moving-labels": phantom.moving.labels,
    }
    for name, image in images.items():
        itk.imwrite(image, str(folder / f"{name}.nii.gz"))
    return [str(folder / f"{name}.nii.gz") for name in images]


def child(work: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Measure in a process of its own, so that memory and threads are its own, too."""
    command = [sys.executable, str(_FOLDER / "bench_child.py"), work, *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {_LIMIT:.0f} s"}
    if done.returncode != 0:
        return {"failed": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def verdict(name: str, value: float, target: float, unit: str = "") -> str:
    """Return a line that says whether a target is met."""
    said = "PASS" if value <= target else f"missed by {value - target:.3g}{unit}"
    return f"* {name}: {value:.3g}{unit}, at most {target:g}{unit} wanted: **{said}**"


def _network(_: list[str], __: BenchSettings) -> str:
    found = child("network")
    if "failed" in found:
        return f"Network: {found['failed']}"
    floor = found["arithmetic"]
    rows = [
        "## Network: `t1t2-fine`, value and gradient by the moving image, 81 voxels an axis",
        "",
        "| | ns per voxel | times the arithmetic |",
        "|---|---:|---:|",
    ]
    for name in ("arithmetic", "metric", "kept", "torch"):
        rows.append(f"| {_NAMES[name]} | {found[name]:.0f} | {found[name] / floor:.1f} |")
    rows += ["", verdict("network", found["metric"], 150.0, " ns")]
    return "\n".join(rows)


_NAMES = {
    "arithmetic": "multiplications of the learned convolutions, at the rate of a large one",
    "metric": "as the metric computes it",
    "kept": "the same where the fixed image's descriptors are known",
    "torch": "PyTorch, forward and autograd",
}


def _iteration(files: list[str], _: BenchSettings) -> str:
    found = child("iteration", *files[:2])
    if "failed" in found:
        return f"Iteration: {found['failed']}"
    parts, seconds = list(found["bspline"]), found["field"]
    per_voxel = " | ".join(f"{value:.0f}" for value in found["bspline"].values())
    rows = [
        "## One iteration, by part",
        "",
        f"| B-spline, ns per voxel | {' | '.join(parts)} |",
        f"|---|{'---:|' * len(parts)}",
        f"| fine stage | {per_voxel} |",
        "",
        f"| displacement field, s | {' | '.join(seconds)} |",
        f"|---|{'---:|' * len(seconds)}",
        f"| all levels | {' | '.join(f'{value:.1f}' for value in seconds.values())} |",
        "",
    ]
    beside = found["bspline"]["warp"] + found["bspline"]["Jacobian"]
    share = 100 * beside / (beside + found["bspline"]["network"])
    rows.append(verdict("warp and Jacobian of a B-spline", beside, 120.0, " ns"))
    rows.append(verdict("their share of the metric", share, 40.0, " %"))
    return "\n".join(rows)


def _registration(files: list[str], settings: BenchSettings) -> str:
    rows = [
        f"## Registration: {'a pair of your own' if settings.pair else 'the made-up pair'}",
        "",
        "| method | wall, s | processor, s | peak, GB | Dice |",
        "|---|---:|---:|---:|---:|",
    ]
    missing = {method: methods.find(method).missing() for method in settings.methods}
    found = {
        method: child("registration", method, *files)
        for method, reason in missing.items()
        if not reason
    }
    for method, one in found.items():
        if "failed" in one:
            rows.append(f"| `{method}` | {one['failed'][:80]} | | | |")
            continue
        dice = "" if one["dice"] is None else f"{one['dice']:.3f}"
        rows.append(
            f"| `{method}` | {one['wall']:.0f} | {one['cpu']:.0f} | {one['peak']:.2f} | {dice} |"
        )
    rows += ["", *(f"Left out: {reason}" for reason in missing.values() if reason), ""]
    for ours, rival, factor in (("cnn+field", "convexadam", 1.5), ("cnn", "mi", 1.0)):
        if all("cpu" in found.get(name, {}) for name in (ours, rival)):
            ratio = found[ours]["cpu"] / found[rival]["cpu"]
            rows.append(verdict(f"`{ours}` against `{rival}`, processor time", ratio, factor))
    if "peak" in found.get("cnn+field", {}):
        rows.append(verdict("memory of `cnn+field`", found["cnn+field"]["peak"], 1.0, " GB"))
    return "\n".join(rows)


def _training(files: list[str], _: BenchSettings) -> str:
    found = child("training", *files)
    if "failed" in found:
        return f"Training: {found['failed']}"
    rows = [
        "## Training of `t1t2-fine`: what the sampler gives, and what the network takes",
        "",
        "| one thread each | patches per second | steps per second |",
        "|---|---:|---:|",
    ]
    for name, rate in (("sampling", found["sampled"]), ("network", found["learned"])):
        rows.append(f"| {name} | {rate:.0f} | {rate / found['size']:.2f} |")
    ratio = found["learned"] / found["sampled"]
    rows += ["", verdict("steps of the network for each sampled one", ratio, 1.0)]
    return "\n".join(rows)


def _growth(files: list[str], _: BenchSettings) -> str:
    found = child("growth", *files[:2])
    if "failed" in found:
        return f"Growth: {found['failed']}"
    rows = ["## Growth", "", "| of | value | ms per evaluation | |", "|---|---|---:|---|"]
    for row in found["rows"]:
        rows.append(f"| {row['of']} | {row['value']} | {row['ms']:.0f} | {row['note']} |")
    return "\n".join(rows)


def _threader(files: list[str], _: BenchSettings) -> str:
    rows = [
        "## Threads of ITK: TBB, the default of the wheels, against ITK's own pool",
        "",
        "| `ITK_GLOBAL_DEFAULT_THREADER` | metric | wall, s | processor, s |",
        "|---|---|---:|---:|",
    ]
    for metric in ("mi", "cnn"):
        for threader in ("TBB", "Pool"):
            one = child("threader", metric, *files[:2], ITK_GLOBAL_DEFAULT_THREADER=threader)
            if "failed" in one:
                rows.append(f"| {threader} | {metric} | {one['failed'][:80]} | |")
            else:
                rows.append(f"| {threader} | {metric} | {one['wall']:.1f} | {one['cpu']:.1f} |")
    return "\n".join(rows)


_SECTIONS = {
    "network": _network,
    "iteration": _iteration,
    "registration": _registration,
    "training": _training,
    "growth": _growth,
    "threader": _threader,
}


if __name__ == "__main__":
    sys.exit(main())
