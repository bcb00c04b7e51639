# SPDX-License-Identifier: Apache-2.0
"""The run record: what a model was made from, with what, and how it went."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any

import itk
import numpy as np
import onnx
import torch

from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import json_text
from cnnmetric.plugin import loading
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.settings import TrainingSettings

# Loss and accuracy of single steps are noisy; the record gives means over this many.
WINDOW = 100


def summary(settings: TrainingSettings, progress: Progress) -> dict[str, Any]:
    """Return the summary that also travels inside the model: no curves, no machine.

    Names of files and subjects are in it only if the settings say so.
    """
    names = settings.record_names
    return {
        "settings": settings.as_record(names=names),
        "spacing": progress.spacing,
        "steps": progress.step,
        "final_loss": float(np.mean(progress.losses[-WINDOW:])),
        "final_accuracy": float(np.mean(progress.accuracies[-WINDOW:])),
        "averaged_over_steps": min(WINDOW, progress.step),
        "exported_step": progress.best_step,
        "processes": progress.processes,
        "number_of_files": len(progress.hashes),
        "data_sha256": progress.hashes if names else _digest(progress.hashes),
        "held_out_pairs": len(progress.held_out),
        "pairs_that_look_misaligned": progress.misaligned,
    }


def write_record(path: Path, settings: TrainingSettings, progress: Progress) -> None:
    """Write the summary, versions, machine, time and learning curve as JSON."""
    record = summary(settings, progress)
    record["versions"] = {
        "cnnmetric": loading.version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "itk": itk.Version.GetITKVersion(),
        "onnx": onnx.__version__,
    }
    record["machine"] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpu": progress.device or None,
    }
    record["seconds"] = round(progress.seconds, 1)
    record["curve"] = {
        "steps_per_point": WINDOW,
        "loss": _means(progress.losses),
        "accuracy": _means(progress.accuracies),
    }
    record["validation"] = {
        "step_loss_accuracy": progress.validations,
        "curves_of": "held-out pairs" if progress.held_out else "a pair that was trained on",
        "curves": progress.curves,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json_text(record, indent=1) + "\n", encoding="utf-8")


def _digest(hashes: dict[str, str]) -> str:
    """Return one SHA-256 of all files together, from which that of none can be told."""
    return hashlib.sha256("".join(sorted(hashes.values())).encode()).hexdigest()


def _means(values: list[float]) -> list[float]:
    return [
        round(float(np.mean(values[start : start + WINDOW])), 5)
        for start in range(0, len(values), WINDOW)
    ]


def _processor() -> str:
    """Return the processor's name where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
