# SPDX-License-Identifier: Apache-2.0
"""The paper's findings on training and on the grid stride, tried again (docs/experiments.md).

    python benchmarks/paper_experiments.py DATA --out folder

trains one network for each file of options in ``experiments/``, exports the first one at other grid
strides, registers the development set of DATA by all of them in one pipeline, and prints a table.
The same command goes on where an earlier run stopped.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError
from cnnmetric.evaluation.results import Results
from cnnmetric.evaluation.summary import Summary
from cnnmetric.training.architecture import TwoChannelNetwork
from cnnmetric.training.architecture import with_stride
from cnnmetric.training.checkpoint import load
from cnnmetric.training.export import ModelDescription
from cnnmetric.training.export import export_model
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ROOT / "experiments"
BASE = "base"
SHARED = OPTIONS / f"{BASE}.txt"
# Of which files trains a variant, in the order of the table.
TRAINED = {
    BASE: (),
    **{
        name: (OPTIONS / f"{name}.txt",)
        for name in ("k3", "k6", "cross-entropy", "pseudo-siamese", "pooling", "near-misses")
    },
}
STRIDES = (2, 8)
PARAMETERS = (OPTIONS / "similarity.txt", OPTIONS / "bspline.txt")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Where the images are, and where results go."""

    data: Path = setting(positional=True, help_text="folder with train/pairs.csv and dev/alberts")
    out: Path = setting(help_text="folder of networks and results")
    variants: tuple[str, ...] = setting(
        (*TRAINED, *(f"stride-{s}" for s in STRIDES)), help_text="which ones"
    )
    workers: int = setting(1, help_text="registrations at a time")
    train_only: bool = setting(False, help_text="register nothing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 after an error."""
    try:
        settings = settings_from(
            parser_for(ExperimentSettings, __doc__ or "").parse_args(arguments)
        )
        for name in settings.variants:
            model = network(settings, name)
            if not settings.train_only:
                register(settings, name, model)
        if not settings.train_only:
            print(table(settings))
    except CNNMetricError as error:
        print(f"paper_experiments: {error}", file=sys.stderr)
        return 1
    return 0


def network(settings: ExperimentSettings, name: str) -> Path:
    """Train or derive a variant's network unless it is there, and return its file."""
    model = settings.out / f"{name}.onnx"
    if model.is_file():
        return model
    if name.startswith("stride-"):
        network(settings, BASE)
        chosen = training_settings(settings, BASE)
        objective = objective_of(chosen)
        progress = load(chosen, objective.network, objective.optimizer())
        assert isinstance(objective.network, TwoChannelNetwork)
        changed = with_stride(objective.network, int(name.removeprefix("stride-")))
        description = ModelDescription(spacing=progress.spacing, modalities=chosen.modality_names)
        export_model(changed, model, description)
        return model
    resume = ["--resume"] if model.with_suffix(".checkpoint.pt").is_file() else []
    _run("cnnmetric.train", *_training_options(settings, name), *resume)
    return model


def training_settings(settings: ExperimentSettings, name: str) -> TrainingSettings:
    """Return what a variant is trained with."""
    parser = parser_for(TrainingSettings, "")
    found = settings_from(parser.parse_args(list(map(str, _training_options(settings, name)))))
    assert isinstance(found, TrainingSettings)
    return found


def register(settings: ExperimentSettings, name: str, model: Path) -> None:
    """Register the development set by one network."""
    subjects = settings.data / "dev" / "alberts"
    _run(
        "cnnmetric.evaluate",
        *("--subjects", subjects / "subjects.csv", "--labels", "1-50", "--model", model.resolve()),
        *("--registrations", subjects / "registrations.csv", "--out", settings.out / name),
        *("--methods", name, "--own", f"{name}={','.join(map(str, PARAMETERS))}"),
        *("--workers", settings.workers),
    )


def table(settings: ExperimentSettings) -> str:
    """Return the table of all variants, tested against the first one."""
    records: list[dict[str, Any]] = []
    for name in settings.variants:
        records += Results(settings.out / name).records
    return Summary(records, baseline=settings.variants[0]).markdown()


def _training_options(settings: ExperimentSettings, name: str) -> list[object]:
    files: Iterable[Path] = (SHARED, *TRAINED[name])
    pairs = settings.data / "train" / "pairs.csv"
    model = settings.out / f"{name}.onnx"
    return [pairs, "--modalities", "T1,T2", "--out", model, *(f"@{file}" for file in files)]


def _run(module: str, *options: object) -> None:
    status = subprocess.run([sys.executable, "-m", module, *map(str, options)], check=False)
    if status.returncode:
        msg = f"{module} ended with status {status.returncode}; its message is above"
        raise CNNMetricError(msg)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
