# SPDX-License-Identifier: Apache-2.0
"""Train on a machine that has a GPU and PyTorch, but neither ITK nor a network connection.

    python scripts/gpu_check.py pack $CNNMETRIC_DATA/train/pairs.csv --out gpu \
        --label-maps $CNNMETRIC_DATA/generative/label_maps
    python scripts/gpu_check.py train gpu --out results --minutes 8
    python scripts/gpu_check.py export results/full.checkpoint.pt --out full.onnx

``pack`` and ``export`` run where ITK is, ``train`` where the GPU is: the repository and the folder
``gpu`` are all that has to be brought there. ``train`` trains a network for each of the variants,
files of ``studies/options`` joined by "+", all side by side, in as many steps as fit into the
minutes, and goes on with the checkpoints that it finds in ``--out``. There it writes checkpoints,
curves and a table of speeds; with ``--averages`` also VARIANT-averaged.checkpoint.pt, the mean of
the weights over the second half of the steps, or since the run was taken up.

Beside PyTorch, ``train`` needs rich, rich-argparse, shtab, tqdm, onnx and SciPy.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

# Training needs no plug-in, which importing cnnmetric loads everywhere but in a command.
ROOT = Path(__file__).resolve().parents[1]
# Last, so that an installed package comes before sources that are not built.
sys.path.append(str(ROOT / "python"))
import cnnmetric_command  # noqa: E402

cnnmetric_command.without_plugin()

import packed_images  # noqa: E402
from cnnmetric.command_line import Settings  # noqa: E402
from cnnmetric.command_line import parser_for  # noqa: E402
from cnnmetric.command_line import run_command  # noqa: E402
from cnnmetric.command_line import setting  # noqa: E402
from cnnmetric.command_line import settings_from  # noqa: E402
from cnnmetric.errors import SettingsError  # noqa: E402
from cnnmetric.metric.modalities import ANY  # noqa: E402
from cnnmetric.training import checkpoint  # noqa: E402
from cnnmetric.training.checkpoint import Progress  # noqa: E402
from cnnmetric.training.objectives import PatchObjective  # noqa: E402
from cnnmetric.training.objectives import objective_of  # noqa: E402
from cnnmetric.training.schedule import learning_rate  # noqa: E402
from cnnmetric.training.settings import TrainingSettings  # noqa: E402
from cnnmetric.training.steps import resident_steps  # noqa: E402
from packed_images import Packed  # noqa: E402

OPTIONS = ROOT / "studies" / "options"
# Steps between two looks at the clock.
CHUNK = 240 if torch.cuda.is_available() else 2
SAVE_EVERY = 60.0  # seconds
# Of the time that is left, what training plans with.
PLANNED = 0.93
# Of the steps, those whose weights are averaged; and what follows a variant's name then.
AVERAGED, AVERAGES = 0.5, "-averaged"
# Steps, and processes, by which sampling on the host is measured.
HOST_STEPS, HOST_PROCESSES = ((50, 150), 12) if torch.cuda.is_available() else ((1, 2), 1)


@dataclass(frozen=True, kw_only=True)
class PackSettings(Settings):
    """What is packed."""

    table: Path = setting(positional=True, help_text="table of pairs")
    modalities: str = setting(
        "T1,T2", help_text="two columns of the table, or any for every two images of a row"
    )
    label_maps: Path | None = setting(None, help_text="folder of label maps to render pairs from")
    out: Path = setting(help_text="folder to write")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Settings):
    """What is trained."""

    folder: Path = setting(positional=True, help_text="folder of packed pairs")
    out: Path = setting(help_text="folder of results, and of checkpoints to go on with")
    variants: tuple[str, ...] = setting(
        ("full+anatomy+cross-entropy",), help_text="networks, each files of options joined by +"
    )
    minutes: float = setting(8.0, help_text="time for everything", above=0)
    without: tuple[str, ...] = setting((), help_text="subjects that are not trained on")
    measure: bool = setting(True, help_text="measure speeds before")
    averages: bool = setting(False, help_text="write averaged weights, too")
    steps: int = setting(0, help_text="most steps of each; 0: as its options say", minimum=0)
    least: int = setting(
        0, help_text="fewest steps of each; the last variants are left out for it", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """What is exported."""

    checkpoint: Path = setting(positional=True, help_text="VARIANT.checkpoint.pt of train")
    out: Path = setting(help_text="the .onnx file to write, with record and curve beside it")


def variant_settings(name: str, out: Path) -> TrainingSettings:
    """Return what a variant is trained with; its images are those of the folder packed."""
    files = [OPTIONS / f"{part}.txt" for part in name.split("+")]
    missing = [file.stem for file in files if not file.is_file()]
    if missing:
        msg = f"--variants {name}: there is no {missing[0]!r} in {OPTIONS}"
        raise SettingsError(msg)
    model = out / f"{name}.onnx"
    arguments = ["pairs.csv", "--modalities", "T1,T2", "--out", str(model)]
    arguments += [f"@{file}" for file in files]
    found = settings_from(parser_for(TrainingSettings, "").parse_args(arguments))
    assert isinstance(found, TrainingSettings)
    # What is packed stands for single images, too, where a variant names them.
    single = any(source.kind == "contrast" for source in found.sources)
    return replace(found, pairs=None) if single else found


def as_saved(settings: TrainingSettings) -> TrainingSettings:
    """Return settings with what the checkpoint has from the clock and from what was packed."""
    saved = torch.load(settings.checkpoint, map_location="cpu", weights_only=True)["settings"]
    return replace(settings, steps=saved["steps"], crop_margin=saved["crop_margin"])


def pack(settings: PackSettings) -> None:
    """Write prepared pairs and label maps."""
    # Only descriptors are trained on any modalities.
    base = "any" if settings.modalities == ANY else "full"
    training = replace(
        variant_settings(base, settings.out),
        pairs=settings.table,
        modalities=settings.modalities,
    )
    packed_images.pack(training, settings.label_maps, settings.out)


class Run:
    """One variant on its way."""

    def __init__(
        self,
        name: str,
        out: Path,
        packed: Packed,
        *,
        as_products: bool = True,
        **changes: Any,
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.name = name
        self.settings = replace(variant_settings(name, out), **changes)
        if packed.crop_margin is not None:
            # The images are those of the folder, whatever the variant's options say.
            self.settings = replace(self.settings, crop_margin=packed.crop_margin)
        torch.manual_seed(self.settings.seed)
        objective = objective_of(self.settings)
        self.objective = objective
        self.optimizer = objective.optimizer()
        self.progress = Progress(spacing=1.0, hashes={})
        if self.settings.checkpoint.is_file() and not changes:
            self.settings = as_saved(self.settings)
            self.progress = checkpoint.load(self.settings, objective.network, self.optimizer)
        self.new = self.progress.step == 0
        objective.network.to(device)
        checkpoint.to_device(self.optimizer, device)
        options: dict[str, Any] = {"rate": self._rate, "most": CHUNK}
        if isinstance(objective, PatchObjective):
            options["as_products"] = as_products
        materials = packed.materials(self.settings)
        self.steps = resident_steps(self.settings, objective, self.optimizer, materials, **options)
        self.hashes = packed.hashes(self.settings)
        self.measuring = False
        self.weights: list[torch.Tensor] = list(objective.network.parameters())
        self.sums = [torch.zeros_like(weight) for weight in self.weights]
        self.summed = 0

    @property
    def left(self) -> int:
        """The number of steps to take."""
        return self.settings.steps - self.progress.step

    def _rate(self, step: int) -> float:
        return 0.0 if self.measuring else learning_rate(self.settings, step)

    def plan(self, steps: int, spacing: float) -> None:
        """Decide how many steps a new run takes."""
        if self.new:
            self.settings = replace(self.settings, steps=min(steps, self.settings.steps))
            self.progress.spacing, self.progress.hashes = spacing, self.hashes
            self.progress.device = device_name()

    def start(self) -> None:
        """Begin the next steps."""
        self.steps.start(self.progress.step, min(CHUNK, self.left))

    def finish(self) -> None:
        """Wait for them and write them down."""
        losses, accuracies = self.steps.finish()
        self.progress.losses += losses
        self.progress.accuracies += accuracies
        if self.progress.step > (1 - AVERAGED) * self.settings.steps:
            self.summed += 1
            with torch.no_grad():
                torch._foreach_add_(self.sums, self.weights)

    def save(self, out: Path) -> None:
        """Write checkpoint and curve."""
        checkpoint.save(self.settings, self.objective.network, self.optimizer, self.progress)
        with (out / f"{self.name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["step", "loss", "accuracy"])
            for end in range(CHUNK, self.progress.step + 1, CHUNK):
                rows = self.progress.losses, self.progress.accuracies
                writer.writerow([end, *(f"{np.mean(row[end - CHUNK : end]):.5f}" for row in rows)])

    def save_averages(self) -> None:
        """Write the checkpoint of averaged weights; the network has them from here on."""
        if self.summed:
            with torch.no_grad():
                for weight, total in zip(self.weights, self.sums, strict=True):
                    weight.copy_(total / self.summed)
            out = self.settings.out
            there = replace(self.settings, out=out.with_name(f"{out.stem}{AVERAGES}.onnx"))
            checkpoint.save(there, self.objective.network, self.optimizer, self.progress)


def device_name() -> str:
    """Return the GPU's name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"


def seconds_per_step(runs: Sequence[Run]) -> float:
    """Return the seconds in which each of the runs takes a step, all side by side."""

    def take() -> None:
        for run in runs:
            run.steps.start(0, CHUNK)
        for run in runs:
            run.steps.finish()

    before = [run.steps.state() for run in runs]
    for run in runs:
        run.measuring = True
    take()
    started = time.perf_counter()
    take()
    seconds = (time.perf_counter() - started) / CHUNK
    for run, state in zip(runs, before, strict=True):
        run.measuring = False
        run.steps.restore(state)
    return seconds


def graph_difference(new: Callable[[], Run]) -> float:
    """Return the largest difference of losses with and without a CUDA graph."""
    losses = []
    for graphed in (True, False):
        run = new()
        if not graphed:
            run.steps.without_graph()
        run.steps.start(0, CHUNK)
        losses.append(np.array(run.steps.finish()[0]))
    return float(np.abs(losses[0] - losses[1]).max())


def host_rate(run: Run, packed: Packed) -> float:
    """Return the steps per second where other processes sample on the host."""
    first, last = HOST_STEPS
    sampler = run.objective.sampler(packed.materials(run.settings), run.settings)
    loader = DataLoader(sampler, batch_size=None, sampler=range(last), num_workers=HOST_PROCESSES)
    device = next(run.objective.network.parameters()).device
    started = 0.0
    for step, batch in enumerate(loader):
        if step == first:
            started = time.perf_counter()
        loss, _ = run.objective.loss(batch, device)
        run.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        loss.item()
    return (last - first) / (time.perf_counter() - started)


def speeds(name: str, out: Path, packed: Packed, tell: Callable[[str, str], None]) -> bool:
    """Tell what one network costs; return whether products of matrices are the faster."""

    def new(**changes: Any) -> Run:
        return Run(name, out, packed, **changes)

    found = {True: seconds_per_step([new()])}
    precision = new().settings.precision
    tell(f"one network, {precision}", f"{1 / found[True]:.1f}")
    if isinstance(new().objective, PatchObjective):
        found[False] = seconds_per_step([new(as_products=False)])
        tell("... convolutions, and no products of matrices", f"{1 / found[False]:.1f}")
    if precision != "float32":
        tell("... float32", f"{1 / seconds_per_step([new(precision='float32')]):.1f}")
    tell("... sampled on the host", f"{host_rate(new(precision='float32'), packed):.1f}")
    tell("difference of losses by the graph", f"{graph_difference(new):.1e}")
    return found[True] <= found.get(False, found[True])


def train(settings: TrainSettings) -> None:
    """Train all variants side by side, or the first ones if others leave too few steps."""
    begun = time.perf_counter()
    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    packed = packed_images.unpack(settings.folder, without=settings.without)
    table = [
        f"# {device_name()}, PyTorch {torch.__version__}",
        "",
        "| | steps per second |",
        "|---|---:|",
    ]

    def tell(what: str, value: str) -> None:
        table.append(f"| {what} | {value} |")
        print(table[-1], flush=True)
        (out / "speed.md").write_text("\n".join(table) + "\n")

    as_products = not settings.measure or speeds(settings.variants[0], out, packed, tell)
    runs = [Run(name, out, packed, as_products=as_products) for name in settings.variants]
    together = seconds_per_step(runs)
    tell(f"the faster, {len(runs)} networks side by side, each", f"{1 / together:.1f}")
    left = settings.minutes * 60 - (time.perf_counter() - begun)
    whole = PLANNED * left / together * len(runs)
    while len(runs) > 1 and whole / len(runs) < settings.least:
        print(f"no time for {runs.pop().name}", flush=True)
    steps = max(int(whole / len(runs)) // CHUNK, 1) * CHUNK
    spacing = float(np.median([pair.spacing for pair in packed.pairs]))
    for run in runs:
        run.plan(min(steps, settings.steps or steps), spacing)
    saved = time.perf_counter()
    while any(run.left for run in runs):
        before = time.perf_counter()
        unfinished = [run for run in runs if run.left]
        for run in unfinished:
            run.start()
        for run in unfinished:
            run.finish()
            run.progress.seconds += time.perf_counter() - before
        now = time.perf_counter()
        if now - begun > settings.minutes * 60:
            break
        if now - saved > SAVE_EVERY:
            saved = now
            for run in runs:
                run.save(out)
                last = run.progress.losses[-CHUNK:]
                print(f"{now - begun:.0f} s, {run.name}: {run.progress.step} {np.mean(last):.4f}")
    for run in runs:
        run.save(out)
        if settings.averages:
            run.save_averages()


def export(settings: ExportSettings) -> None:
    """Write a variant's model, run record and curve."""
    from cnnmetric.training.loop import export as export_run

    name = settings.checkpoint.name.removesuffix(".checkpoint.pt")
    folder = settings.checkpoint.parent
    training = variant_settings(name.removesuffix(AVERAGES), folder)
    training = as_saved(replace(training, out=folder / f"{name}.onnx"))
    objective = objective_of(training)
    progress = checkpoint.load(training, objective.network, objective.optimizer())
    names = replace(training, out=settings.out, record_names=True)
    export_run(names, objective.network, progress)


COMMANDS: dict[str, tuple[type[Settings], Callable[[Any], None]]] = {
    "pack": (PackSettings, pack),
    "train": (TrainSettings, train),
    "export": (ExportSettings, export),
}


def main() -> int:
    """Run the command line and return the exit status."""
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    if chosen not in COMMANDS:
        print(__doc__)
        return 2
    settings, command = COMMANDS[chosen]
    parser = parser_for(settings, __doc__ or "")
    return run_command("gpu_check", lambda: command(settings_from(parser.parse_args(sys.argv[2:]))))


if __name__ == "__main__":
    sys.exit(main())
