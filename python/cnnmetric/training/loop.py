# SPDX-License-Identifier: Apache-2.0
"""Stochastic gradient descent over sampled patches, interruptible and reproducible."""

from __future__ import annotations

import copy
import math
import os
import signal
import statistics
import time
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import SettingsError
from cnnmetric.training import checkpoint
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.cache import cached_pair
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.material_files import find_materials
from cnnmetric.training.data.material_files import load_material
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import sha256
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.holdout import Split
from cnnmetric.training.holdout import split
from cnnmetric.training.interruption import Interrupted
from cnnmetric.training.interruption import stop_on_signals
from cnnmetric.training.log import draw_curve
from cnnmetric.training.log import write_log
from cnnmetric.training.manifest import check_same
from cnnmetric.training.manifest import manifest_of
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.objectives import Objective
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.outputs import check_outputs
from cnnmetric.training.pair_check import check_pairs
from cnnmetric.training.processes import ALONE
from cnnmetric.training.processes import Processes
from cnnmetric.training.record import summary
from cnnmetric.training.record import write_record
from cnnmetric.training.settings import TrainingSettings
from cnnmetric.training.steps import Steps
from cnnmetric.training.steps import Taken
from cnnmetric.training.steps import steps_of
from cnnmetric.training.validation import Validator
from cnnmetric.training.validation import shift_curves


def train(settings: TrainingSettings) -> Progress:
    """Train, export ``settings.out`` and write the run record beside it.

    Under ``torchrun``, every process takes batches of its own, and the first one writes the files.

    Raises
    ------
    DataError
        If table, images or checkpoint cannot be used.
    SettingsError
        If a file cannot be written or is there already, a resumed run had other settings, the
        device is not there, or no pair is left to validate on.
    Interrupted
        After Ctrl-C or SIGTERM, with a checkpoint.
    CNNMetricError
        If the loss is no longer finite.
    ModelError
        If the exported file does not compute what the network computes.
    """
    check_outputs(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    objective = objective_of(settings)
    network = objective.network
    optimizer = objective.optimizer()
    processes = Processes.of_environment(_device(settings))
    if settings.export_only:
        progress = checkpoint.load(settings, network, optimizer)
    else:
        progress = _train_on_images(settings, objective, optimizer, processes)
    if processes.first:
        export(settings, network, progress)
    processes.wait()
    return progress


def export(settings: TrainingSettings, network: PatchNetwork, progress: Progress) -> None:
    """Write the model, the run record, the table and the picture of the losses.

    Raises
    ------
    ModelError
        If the exported file does not compute what the network computes.
    """
    _keep_best(network, progress)
    description = ModelDescription(
        spacing=progress.spacing,
        modalities=settings.modality_names,
        lower_quantile=settings.lower_quantile,
        upper_quantile=settings.upper_quantile,
        training=summary(settings, progress),
    )
    export_model(network, settings.out, description)
    write_record(settings.record, settings, progress)
    write_log(settings.log, progress)
    title = f"{settings.out.name}: {settings.architecture}"
    draw_curve(progress, title=title).savefig(settings.curve, dpi=150)


def _train_on_images(
    settings: TrainingSettings,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    processes: Processes,
) -> Progress:
    chosen = split(settings, find_materials(settings))
    digests = {path: sha256(path) for path in chosen.files}
    named = _named(digests, chosen.files)
    progress = checkpoint.load(settings, objective.network, optimizer) if settings.resume else None
    manifest = manifest_of(chosen, digests)
    if progress:
        check_same(settings, progress, manifest, named)
        progress.manifest = manifest
    if progress and progress.processes != processes.size:
        msg = (
            f"the run in {settings.checkpoint} had {progress.processes} processes and now has "
            f"{processes.size}; start as many"
        )
        raise SettingsError(msg)

    def load(item: PairFiles) -> AlignedPair:
        if settings.cache is None:
            return load_pair(item, settings)
        return cached_pair(item, settings, digests)

    materials = [load_material(item, load) for item in chosen.materials]
    held_out = [load(item) for item in chosen.held_out]
    real = [pair for item in materials if item.kind == "real" for pair in item.pairs]
    misaligned: list[str] = []
    if progress is None or settings.strict_pairs:
        misaligned = check_pairs(
            [*real, *held_out], strict=settings.strict_pairs, tell=processes.first
        )
    if progress is None:
        spacing = settings.spacing or statistics.median(
            pair.spacing for item in materials for pair in item.pairs
        )
        progress = Progress(
            spacing=float(f"{spacing:.6g}"),
            hashes=named,
            manifest=manifest,
            processes=processes.size,
            held_out=[pair.subject for pair in chosen.held_out],
            not_held_out=_why_none(chosen),
            misaligned=misaligned,
        )
    validator = Validator(held_out, objective, settings) if held_out else None
    descend(settings, objective, optimizer, materials, progress, validator, processes)
    before = progress.curves
    # Of a pair that was trained on where there is no other one, which the record tells.
    progress.curves = _curves(objective.network, progress, held_out or real[-1:])
    if processes.first and progress.curves != before:
        checkpoint.save(settings, objective.network, optimizer, progress)
    return progress


def _curves(
    network: PatchNetwork, progress: Progress, pairs: Sequence[AlignedPair]
) -> list[dict[str, Any]]:
    """Return the records of the curves of the best weights; the network keeps its own."""
    last = copy.deepcopy(network.state_dict())
    _keep_best(network, progress)
    found = [curve.record() for pair in pairs for curve in shift_curves(network, pair)]
    network.load_state_dict(last)
    return found


def _named(digests: Mapping[Path, str], files: Mapping[Path, str]) -> dict[str, str]:
    """Return digests by name; a name that two files share gets a number."""
    found: dict[str, str] = {}
    for path, name in files.items():
        key, number = name, 1
        while found.get(key, digests[path]) != digests[path]:
            number += 1
            key = f"{name} ({number})"
        found[key] = digests[path]
    return found


def _why_none(chosen: Split) -> str:
    """Return why no pair is held out, to follow "since"."""
    if chosen.held_out:
        return ""
    subjects = {pair.subject for pair in chosen.real}
    if len(subjects) > 1:
        return "--hold-out none was asked for"
    return "there is only one pair" if subjects else "there is no real pair"


def descend(
    settings: TrainingSettings,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    materials: Sequence[Material],
    progress: Progress,
    validator: Validator | None = None,
    processes: Processes = ALONE,
) -> None:
    """Take the steps that are left, in place; a checkpoint is written at intervals and at the end.

    Raises
    ------
    CNNMetricError
        If the loss is no longer finite; the last checkpoint is from before.
    Interrupted
        After Ctrl-C or SIGTERM and the end of the step; the checkpoint is of that step.
    SettingsError
        If a run that goes on would draw its batches elsewhere.
    """
    device = _device(settings)
    network = objective.network
    memory_format = torch.channels_last_3d if settings.dimension == 3 else torch.channels_last
    network.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    checkpoint.to_device(optimizer, device)
    before = progress.step
    started = time.monotonic()
    steps = steps_of(settings, objective, optimizer, materials, processes)
    if before < settings.steps:
        _check_sampling(settings, progress, steps)
        progress.sampling = steps.sampling
        progress.device = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    bar = tqdm(
        desc="training",
        unit="step",
        initial=progress.step,
        total=settings.steps,
        disable=not processes.first,
    )
    with stop_on_signals() as request, closing(steps.take(progress.step, request)) as all_taken:
        for taken in all_taken:
            _check_finite(settings, taken, progress.step)
            last = progress.step
            progress.losses += taken.losses
            progress.accuracies += taken.accuracies
            now = time.monotonic()
            progress.seconds += now - started
            started = now
            bar.update(progress.step - last)
            _show(bar, progress, patches=objective.size() * processes.size)
            complete = progress.step == settings.steps
            if validator and (complete or _passed(settings.validate_every, last, progress.step)):
                validator.validate(progress, device)
            if complete or taken.stop:
                break
            if processes.first and _passed(settings.checkpoint_every, last, progress.step):
                _save(settings, network, optimizer, progress)
        bar.close()
        if progress.step == 0:
            msg = "interrupted before the first step; nothing was written"
            raise Interrupted(msg, request.signal)
        if processes.first and progress.step > before:
            _save(settings, network, optimizer, progress)
        if progress.step < settings.steps:
            msg = (
                f"interrupted after step {progress.step} of {settings.steps}, which is in the "
                f"checkpoint {settings.checkpoint}; the same command with --resume goes on"
            )
            raise Interrupted(msg, request.signal or signal.SIGTERM)


def _check_sampling(settings: TrainingSettings, progress: Progress, steps: Steps) -> None:
    """See whether batches are drawn where they were: host and GPU have other random numbers."""
    if progress.sampling in ("", steps.sampling):  # nothing of a new run
        return
    msg = (
        f"the run in {settings.checkpoint} drew its batches on the {progress.sampling} and would "
        f"now draw others on the {steps.sampling}; go on where it was begun, with a GPU that has "
        "room for all images or without one (CUDA_VISIBLE_DEVICES= hides it), or train without "
        "--resume"
    )
    raise SettingsError(msg)


def _check_finite(settings: TrainingSettings, taken: Taken, step: int) -> None:
    for number, value in enumerate(taken.losses):
        if not math.isfinite(value):
            msg = (
                f"the loss is {value} at step {step + number}: training has diverged; lower "
                f"--learning-rate (now {settings.learning_rate:g}) or use --precision float32"
            )
            raise CNNMetricError(msg)


def _passed(interval: int, before: int, now: int) -> bool:
    """Tell whether a multiple of the interval lies after one step and not after the other."""
    return now // interval > before // interval


def _show(bar: tqdm[Any], progress: Progress, *, patches: int) -> None:
    rate = (bar.format_dict["rate"] or 0) * patches
    bar.set_postfix_str(
        f"loss {statistics.fmean(progress.losses[-100:]):.3f}, "
        f"accuracy {statistics.fmean(progress.accuracies[-100:]):.3f}, {rate:.0f} patches/s",
        refresh=False,
    )


def _save(
    settings: TrainingSettings,
    network: PatchNetwork,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    checkpoint.save(settings, network, optimizer, progress)
    write_log(settings.log, progress)


def _keep_best(network: PatchNetwork, progress: Progress) -> None:
    if progress.best is not None:
        network.load_state_dict(progress.best)


def _device(settings: TrainingSettings) -> torch.device:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        msg = "--device cuda was asked for, but PyTorch finds no CUDA device; use --device cpu"
        raise SettingsError(msg)
    if not available or settings.device == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # of torchrun
