# SPDX-License-Identifier: Apache-2.0
"""One measurement of `bench.py`, in a process of its own; prints a line of JSON.

python benchmarks/bench_child.py registration cnn+field fixed.nii.gz moving.nii.gz
"""

from __future__ import annotations

import cProfile
import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from registration_cost import field_parts
from training_speed import rates

import cnnmetric
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.evaluation import methods
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from cnnmetric.metric.network import KeptDescriptors
from cnnmetric.registration import parameter_files
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.settings import TrainingSettings

MODEL = "t1t2-fine"
EDGE = 81
# A row of CNNMetricProfile: part, seconds, ns per voxel.
_ROW = re.compile(r"^  (\S.*?) +([\d.]+) +(\d+)$", re.MULTILINE)
_HEAD = re.compile(r"CNNMetric profile, resolution \d: (\d+) evaluations of (\d+) voxels")


@dataclass(frozen=True, kw_only=True)
class ChildSettings(Settings):
    """What to measure."""

    work: tuple[str, ...] = setting(
        (), help_text="the measurement, then its inputs", positional=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(ChildSettings, __doc__ or "", prog=Path(__file__).name)

    def command() -> None:
        work, *given = settings_from(parser.parse_args(arguments)).work
        print(json.dumps(_WORK[work](*given)))

    return run_command("bench_child", command)


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of something, after one run that does not count."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def network() -> dict[str, float]:
    """Return ns per voxel of the metric, of PyTorch, and of the bare multiplications.

    Of the metric also without the fixed image's half, as it is computed once that is known.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    images = rng.random((2, EDGE, EDGE, EDGE), dtype=np.float32)
    ours = cnnmetric.DissimilarityNetwork(MODEL, device="cpu", number_of_threads=1)
    settings = TrainingSettings(pairs=Path("none"), modalities="T1,T2", out=Path("none.onnx"))
    # Untrained: its weights cost what all weights cost.
    theirs = objective_of(settings).network.eval()

    def with_torch() -> None:
        moving = torch.from_numpy(images[1:])[None].requires_grad_()
        patches = torch.cat([torch.from_numpy(images[:1])[None], moving], dim=1)
        theirs(patches).sum().backward()

    kept: KeptDescriptors = {}
    wanted = (False, True)
    per_voxel = 1e9 / EDGE**3
    return {
        "arithmetic": per_voxel * multiplications(theirs, images) / rate(),
        "metric": per_voxel
        * median_seconds(lambda: ours.map_and_gradient(*images, gradients_wanted=wanted), 5),
        "kept": per_voxel
        * median_seconds(
            lambda: ours.map_and_gradient(*images, gradients_wanted=wanted, kept=kept), 5
        ),
        "torch": per_voxel * median_seconds(with_torch, 3),
    }


def multiplications(module: torch.nn.Module, images: np.ndarray[Any, Any]) -> float:
    """Return the multiplications of the learned convolutions: of both images, and back to one."""
    counted = 0.0

    def count(layer: Any, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * layer.weight[0].numel()

    convolutions = [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv3d)]
    hooks = [layer.register_forward_hook(count) for layer in convolutions]
    with torch.no_grad():
        module(torch.from_numpy(images)[None])
    for hook in hooks:
        hook.remove()
    return 1.5 * counted


def rate() -> float:
    """Return how many multiplications a second one large convolution makes on one thread."""
    image, kernel = torch.rand(1, 64, 34, 34, 34), torch.rand(64, 64, 3, 3, 3)
    with torch.no_grad():
        seconds = median_seconds(lambda: torch.nn.functional.conv3d(image, kernel), 5)
    return kernel.numel() * 32**3 / seconds


def profile_of(
    fixed: str, moving: str, stage: str, **changes: str
) -> tuple[int, dict[str, tuple[float, float]]]:
    """Return evaluations and parts, seconds and ns per voxel, of the last level of a stage."""
    settings = {"CNNMetricProfile": "true", "WriteResultImage": "false", **changes}
    parameters = itk.ParameterObject.New()
    for name in ("similarity", stage):
        own = settings if name == stage else {"WriteResultImage": "false"}
        found = parameter_files.read("cnn", name, {"CNNMetricDevice": "cpu", **own})
        parameters.AddParameterMap(found.GetParameterMap(0))
    with tempfile.TemporaryDirectory() as folder:
        itk.elastix_registration_method(
            itk.imread(fixed, itk.F),
            itk.imread(moving, itk.F),
            parameter_object=parameters,
            number_of_threads=1,
            log_to_console=False,
            log_to_file=True,
            output_directory=folder,
            log_file_name="elastix.log",
        )
        table = (Path(folder) / "elastix.log").read_text().split("CNNMetric profile, ")[-1]
    evaluations = int(_HEAD.match("CNNMetric profile, " + table)[1])  # type: ignore[index]
    return evaluations, {part: (float(s), float(ns)) for part, s, ns in _ROW.findall(table)[:5]}


def iteration(fixed: str, moving: str) -> dict[str, Any]:
    """Return the parts of a B-spline's evaluation, and of a displacement field."""
    _, parts = profile_of(fixed, moving, "bspline_fine", MaximumNumberOfIterations="100")
    profile = cProfile.Profile()
    profile.enable()
    result = cnnmetric.register(fixed, moving, fixed_modality="T1", threads=1)
    profile.disable()
    return {
        "bspline": {part: ns for part, (_, ns) in parts.items() if "outside" not in part},
        "field": field_parts(profile, result),
    }


def registration(method: str, fixed: str, moving: str, *labels: str) -> dict[str, float | None]:
    """Return what one registration by one method takes, and its Dice coefficient."""
    images = [read_image(file) for file in (fixed, moving)]
    with tempfile.TemporaryDirectory() as folder:
        task = methods.Task(
            fixed=images[0],
            moving=images[1],
            fixed_modality="T1",
            moving_modality="T2",
            preset="practical",
            model=MODEL,
            threads=1,
            seed=1,
            folder=Path(folder),
        )
        wall, cpu = time.perf_counter(), _processor_seconds()
        *_, alignment = methods.find(method).register(task)
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    peak = max(resource.getrusage(who).ru_maxrss for who in _WHO) / 1e6  # of KB
    dice = None
    if labels:
        maps = [read_labels(file) for file in labels]
        pair = LabelledPair(
            fixed=images[0], moving=images[1], fixed_labels=maps[0], moving_labels=maps[1]
        )
        dice = score(pair, alignment, None)["dice"]
    return {"wall": wall, "cpu": cpu, "peak": peak, "dice": dice}


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in _WHO]
    return sum(one.ru_utime + one.ru_stime for one in used)


def growth(fixed: str, moving: str) -> dict[str, Any]:
    """Return times of evaluations against size, blocks, control points and threads."""
    rows = []
    for threads in (1, 2):
        ours = cnnmetric.DissimilarityNetwork(MODEL, device="cpu", number_of_threads=threads)
        for edge in (64, 128, 192, 256):
            images = np.random.default_rng(0).random((2, edge, edge, edge), dtype=np.float32)
            seconds = median_seconds(
                lambda: ours.map_and_gradient(*images, gradients_wanted=(False, True)),  # noqa: B023
                1,
            )
            note = f"{1e9 * seconds / edge**3:.0f} ns per voxel"
            rows.append(("voxels, " + str(threads) + " threads", f"{edge}^3", seconds, note))
    for blocks in ("2", "8", "32"):
        seconds = _evaluation(fixed, moving, CNNMetricNumberOfBlocks=blocks)
        rows.append(("blocks of 27 voxels", blocks, seconds, ""))
    for spacing in ("20", "10", "5"):
        seconds = _evaluation(fixed, moving, FinalGridSpacingInPhysicalUnits=spacing)
        rows.append(("control points every, mm", spacing, seconds, ""))
    keys = ("of", "value", "ms", "note")
    return {"rows": [dict(zip(keys, (a, b, 1e3 * c, d), strict=True)) for a, b, c, d in rows]}


def _evaluation(fixed: str, moving: str, **changes: str) -> float:
    changes = {"MaximumNumberOfIterations": "15", "CNNMetricGridSpacing": "1.0", **changes}
    evaluations, parts = profile_of(
        fixed, moving, "bspline_fine", NumberOfJacobianMeasurements="1000", **changes
    )
    spent = [seconds for part, (seconds, _) in parts.items() if "outside" not in part]
    return sum(spent) / evaluations


def threader(metric: str, fixed: str, moving: str) -> dict[str, float]:
    """Return what a B-spline takes on all threads."""
    parameters = parameter_files.read(
        metric, "bspline", {"WriteResultImage": "false", "MaximumNumberOfIterations": "100"}
    )
    images = [itk.imread(file, itk.F) for file in (fixed, moving)]
    wall, cpu = time.perf_counter(), _processor_seconds()
    itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    return {"wall": time.perf_counter() - wall, "cpu": _processor_seconds() - cpu}


def training(fixed: str, moving: str, *labels: str) -> dict[str, float]:
    """Return patches per second of the sampler and of the network, and how many a step has.

    The two images are taken for aligned, as it makes no difference to the speed. With label maps,
    half of the pairs are made from the first one, as those that `t1t2-fine` is trained on.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "pairs.csv"
        table.write_text(f"T1,T2\n{Path(fixed).resolve()},{Path(moving).resolve()}\n")
        source: tuple[str, ...] = ()
        if labels:
            maps = Path(folder) / "maps"
            maps.mkdir()
            itk.imwrite(read_labels(labels[0]), str(maps / "labels.nii.gz"))
            source = (f"synthetic={maps}:0.5",)
        sampled, learned, size = rates(
            TrainingSettings(
                pairs=table, source=source, modalities="T1,T2", out=Path("unused.onnx"), seed=1
            )
        )
    return {"sampled": sampled, "learned": learned, "size": size}


_WORK: dict[str, Callable[..., Any]] = {
    "network": network,
    "iteration": iteration,
    "registration": registration,
    "growth": growth,
    "threader": threader,
    "training": training,
}


if __name__ == "__main__":
    sys.exit(main())
