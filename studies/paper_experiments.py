# SPDX-License-Identifier: Apache-2.0
"""The paper's findings on training and grid stride (docs/research/experiments.md).

    python studies/paper_experiments.py DATA --out folder

trains one network for each variant, by the options that its files in ``studies/options/`` add to
those of the base, or by those alone that stand alone; exports the base at other grid strides,
registers the development set of DATA by all of them, and prints a table. All start
from the same similarity transforms, those of the shipped model, and deform by a displacement field
with voxels of 2 mm. The same command goes on where an earlier run stopped.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pandas as pd
import torch
from scipy import stats
from tqdm import tqdm

from cnnmetric import FieldLevel
from cnnmetric import register_displacement_field
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.job import Job
from cnnmetric.evaluation.job import read_pair
from cnnmetric.evaluation.results import Results
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.score import score_before
from cnnmetric.evaluation.summary import frame
from cnnmetric.evaluation.tables import Registration
from cnnmetric.evaluation.tables import read_registrations
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration import parameter_files
from cnnmetric.registration.stages import run_stage
from cnnmetric.training.checkpoint import load
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import with_stride
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.settings import TrainingSettings
from shared import table_head
from shared import table_row

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ROOT / "studies" / "options"
BASE = "base"
SHARED = OPTIONS / f"{BASE}.txt"
# Files of options that are added to those of the base, in the order of the table.
ADDED = ("k3", "k6", "cross-entropy", "pseudo-siamese", "pooling", "near-misses", "anatomy")
# Files that are not added to the base: what their name begins with has other options throughout.
ALONE = ("any", "any-single", "base", "fine", "full", "self-similarity-k3")
STRIDES = (2, 8)
# Not trained here, for comparison.
SHIPPED = ("t1t2", "t1t2-fast", "t1t2-fine")
LABELS = tuple(range(1, 51))
LEVEL = FieldLevel(grid_spacing=2.0, iterations=40, image_smoothing=0.8, field_smoothing=1.5)


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(Settings):
    """Where the images are, and where results go."""

    data: Path = setting(positional=True, help_text="folder with train/pairs.csv and dev/alberts")
    out: Path = setting(help_text="folder of networks and results")
    variants: tuple[str, ...] = setting(
        (BASE, *ADDED, "self-similarity-k3", *(f"stride-{s}" for s in STRIDES), *SHIPPED),
        help_text="which ones; cross-entropy+anatomy, say, adds the options of both to the base, "
        "and fine+wider those of the second to the first, which stands alone",
    )
    registrations: Path | None = setting(
        None, help_text="table of registrations, by default all of the development set"
    )
    train_only: bool = setting(False, help_text="register nothing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(ExperimentSettings, __doc__ or "")

    def command() -> None:
        settings = settings_from(parser.parse_args(arguments))
        torch.set_num_threads(1)
        models = {name: network(settings, name) for name in settings.variants}
        if not settings.train_only:
            print(table(register(settings, models)))

    return run_command(
        "paper_experiments", command, interrupted="interrupted; the same command goes on"
    )


def network(settings: ExperimentSettings, name: str) -> Path:
    """Train or derive a variant's network unless it is there; return its file or its name."""
    if name in SHIPPED:
        return Path(name)
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


def register(settings: ExperimentSettings, models: Mapping[str, Path]) -> pd.DataFrame:
    """Register the development set by all networks; return Dice by registration and network."""
    results = Results(settings.out / "registrations")
    subjects = settings.data / "dev" / "alberts"
    listed = read_registrations(
        subjects / "subjects.csv", settings.registrations or subjects / "registrations.csv"
    )
    for registration in tqdm(listed, unit="registration"):
        done = results.keys
        jobs = [_job(registration, name, model) for name, model in models.items()]
        todo = [job for job in jobs if job.key not in done]
        if todo:
            for record in _records(registration, todo, settings.out / "start"):
                results.append(record)
    dice = frame(results.records).pivot_table(index="registration", columns="method", values="dice")
    return dice.loc[[registration.name for registration in listed], list(models)]


def table(dice: pd.DataFrame) -> str:
    """Return mean and SD, and the paired difference from the first network, as Markdown."""
    rows = [table_head(["network", "Dice", "difference", "better in", "p"])]
    first = dice.iloc[:, 0]
    for name, values in dice.items():
        cells = [f"{values.mean():.3f} ({values.std():.3f})", "", "", ""]
        if name != first.name:
            change = values - first
            p = stats.ttest_rel(values, first).pvalue
            share = f"{(change > 0).sum()} of {len(change)}"
            cells[1:] = [f"{change.mean():+.3f} ({change.std():.3f})", share, f"{p:.1g}"]
        rows.append(table_row([str(name), *cells]))
    return "\n".join(rows)


def _job(registration: Registration, name: str, model: Path) -> Job:
    return Job(
        registration=registration,
        method=name,
        own=(),
        preset="experiments",
        model=str(model),
        labels=LABELS,
        threads=1,
        seed=1,
    )


def _records(
    registration: Registration, jobs: Sequence[Job], folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield the record of every job."""
    pair = read_pair(registration)
    start = _start(registration, pair, folder)
    displacement = elastix_transforms.sampled(start, pair.fixed)
    linear = Alignment(step="linear", displacement=displacement, seconds=0.0)
    shared = {
        "before": score_before(pair, LABELS),
        "linear": score(pair, linear, LABELS),
    }
    for job in jobs:
        started = time.perf_counter()
        field = register_displacement_field(
            pair.fixed,
            pair.moving,
            initial=start,
            model=job.model,
            fixed_modality=registration.fixed_modality,
            levels=[LEVEL],
            number_of_threads=1,
        )
        seconds = time.perf_counter() - started
        displacement = np.array(itk.array_view_from_image(field))
        end = Alignment(step="deformable", displacement=displacement, seconds=seconds)
        yield {**job.empty_record(), **shared, "deformable": score(pair, end, LABELS)}


def _start(registration: Registration, pair: LabelledPair, folder: Path) -> Any:
    """Return the similarity transform that all start from, computed once."""
    file = folder / f"{registration.name}.txt"
    if not file.is_file():
        modality = {"CNNMetricFixedModality": registration.fixed_modality, "RandomSeed": "1"}
        parameters = parameter_files.read("cnn", "similarity", modality)
        transform = run_stage(
            pair.fixed, pair.moving, parameters, name="similarity", threads=1
        ).parameters
        folder.mkdir(parents=True, exist_ok=True)
        transform.WriteParameterFile(str(file))
    found = itk.ParameterObject.New()
    found.ReadParameterFile(str(file))
    return found


def _training_options(settings: ExperimentSettings, name: str) -> list[object]:
    pairs = settings.data / "train" / "pairs.csv"
    model = settings.out / f"{name}.onnx"
    files = [OPTIONS / f"{part}.txt" for part in name.split("+")]
    unknown = [file.stem for file in files if not file.is_file()]
    if unknown:
        known = ", ".join(sorted(file.stem for file in OPTIONS.glob("*.txt")))
        msg = f"--variants {name}: there is no {unknown[0]!r} in {OPTIONS}; there are {known}"
        raise SettingsError(msg)
    if name.split("+")[0] not in ALONE:
        files.insert(0, SHARED)
    return [pairs, "--modalities", "T1,T2", "--out", model, *(f"@{file}" for file in files)]


def _run(module: str, *options: object) -> None:
    status = subprocess.run([sys.executable, "-m", module, *map(str, options)], check=False)
    if status.returncode:
        msg = f"{module} ended with status {status.returncode}; its message is above"
        raise CNNMetricError(msg)


if __name__ == "__main__":
    sys.exit(main())
