# SPDX-License-Identifier: Apache-2.0
"""The state of a training run on disk, complete enough to continue bit for bit."""

from __future__ import annotations

import zipfile
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import torch

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.training.settings import FREE_ON_RESUME
from cnnmetric.training.settings import TrainingSettings


@dataclass
class Progress:
    """What a run has done so far.

    Attributes
    ----------
    losses, accuracies
        One value per step.
    spacing
        Voxel size of the model in mm.
    hashes
        SHA-256 of every image by its name in the table; not for others to see.
    seconds
        Time spent in steps, over all sessions of the run.
    validations
        Step, loss and accuracy of every validation.
    best
        The network's weights at the validation with the lowest loss; None without validation.
    processes
        How many processes trained together.
    curves
        The metric around the true alignment of held-out pairs, or of one that was trained on if
        none is held out, see `validation.shift_curves`.
    held_out
        Subjects of the held-out pairs.
    not_held_out
        Why there is none, to follow "since".
    misaligned
        Labels of the pairs that look misaligned.
    device
        Name of the GPU trained on, or nothing.
    manifest
        What was trained and validated on, see `manifest.manifest_of`; not for others to see. None
        in a checkpoint that has none.
    sampling
        Where batches are drawn, see `steps.Steps`; nothing where that is not known.
    """

    spacing: float
    hashes: dict[str, str]
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    validations: list[tuple[int, float, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    processes: int = 1
    curves: list[dict[str, Any]] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)
    not_held_out: str = ""
    misaligned: list[str] = field(default_factory=list)
    device: str = ""
    manifest: dict[str, Any] | None = None
    sampling: str = ""

    @property
    def best_step(self) -> int:
        """The step after which the validation loss was lowest; without validation the last."""
        if not self.validations:
            return self.step
        return min(self.validations, key=lambda row: row[1])[0]

    @property
    def step(self) -> int:
        """The number of steps done."""
        return len(self.losses)


def save(
    settings: TrainingSettings,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write the checkpoint so that an interruption leaves the old or the new one, never half.

    Raises
    ------
    CNNMetricError
        If it cannot be written.
    """
    state = {
        "settings": settings.as_record(),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
    }
    try:
        with atomic_path(settings.checkpoint) as path:
            torch.save(state, path)
    except (OSError, RuntimeError) as error:  # PyTorch has no words for a full disk
        msg = (
            f"the checkpoint {settings.checkpoint} cannot be written, as when the disk is full "
            f"({error}); make room, or train with another --out"
        )
        raise CNNMetricError(msg) from error


def load(
    settings: TrainingSettings, network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> Progress:
    """Read the checkpoint into network and optimizer, and return how far the run had come.

    Raises
    ------
    DataError
        If there is no checkpoint, or the file is not one of ours.
    SettingsError
        If a setting that shapes the result differs from the interrupted run's.
    """
    path = settings.checkpoint
    if not path.is_file():
        msg = f"there is no checkpoint {path} to continue from; train without --resume first"
        raise DataError(msg)
    try:
        # PyTorch does not look at the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            msg = f"{path} is damaged ({damaged} is not what was written); delete it and train anew"
            raise DataError(msg)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check_settings(settings, state["settings"])
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        for group in optimizer.param_groups:
            if "capturable" in group:  # where its steps are taken is chosen anew
                group["capturable"] = False
        return Progress(**state["progress"])
    except (DataError, SettingsError):
        raise
    except Exception as error:  # a damaged archive raises whatever its reader trips over
        msg = f"{path} is not a readable checkpoint ({error}); delete it and train anew"
        raise DataError(msg) from error


def to_device(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Move a resumed optimizer's momentum to where the network is."""
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                state[name] = value.to(device)


def _check_settings(settings: TrainingSettings, saved: dict[str, Any]) -> None:
    now = settings.as_record()
    free = FREE_ON_RESUME.union(settings.unused)
    # A constant rate does not look ahead, so the same run may be made longer. Not shorter: what is
    # exported has taken the steps already.
    if settings.schedule == "constant" and settings.steps >= saved["steps"]:
        free |= {"steps"}
    changed = [name for name in now if name not in free and now[name] != saved.get(name)]
    if changed:
        listed = ", ".join(
            f"--{name.replace('_', '-')} (was {saved.get(name)}, is {now[name]})"
            for name in changed
        )
        longer = " (--steps may grow)" if settings.schedule == "constant" else ""
        msg = (
            f"the run in {settings.checkpoint} had other settings: {listed}; give the same ones"
            f"{longer if 'steps' in changed else ''}"
        )
        raise SettingsError(msg)
