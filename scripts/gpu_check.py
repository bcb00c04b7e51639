# SPDX-License-Identifier: Apache-2.0
"""Train and measure on a machine that has a GPU and PyTorch, but neither ITK nor a network.

    python scripts/gpu_check.py pack $CNNMETRIC_DATA/train/pairs.csv --out gpu    # where ITK is
    python scripts/gpu_check.py train gpu --out results --minutes 8               # where the GPU is
    python scripts/gpu_check.py onnx gpu --out results                            # there, too
    python scripts/gpu_check.py export results/full.checkpoint.pt --out full.onnx # where ITK is

``train`` trains a network for each of the variants, files of ``studies/options`` joined by "+", all
side by side, in as many steps as fit into the minutes, and goes on with what it finds in ``--out``.
It writes checkpoints, curves and a table of speeds. ``onnx`` compares ONNX Runtime's CUDA provider
with the processor's and times both. Beside PyTorch this needs rich, rich-argparse, shtab, tqdm,
onnx and SciPy, and ``onnx`` the package onnxruntime-gpu.
"""

from __future__ import annotations

import csv
import json
import lzma
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

# Neither training nor ONNX Runtime by itself needs the plug-in, which importing cnnmetric loads
# everywhere but in a command.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import cnnmetric_command

cnnmetric_command.started = True

from cnnmetric.command_line import parser_for  # noqa: E402
from cnnmetric.command_line import settings_from  # noqa: E402
from cnnmetric.errors import SettingsError  # noqa: E402
from cnnmetric.training import checkpoint  # noqa: E402
from cnnmetric.training.checkpoint import Progress  # noqa: E402
from cnnmetric.training.data.aligned_pair import AlignedPair  # noqa: E402
from cnnmetric.training.data.resident import ResidentSampler  # noqa: E402
from cnnmetric.training.data.sampling import PatchSampler  # noqa: E402
from cnnmetric.training.objectives import PatchObjective  # noqa: E402
from cnnmetric.training.objectives import objective_of  # noqa: E402
from cnnmetric.training.resident_steps import ResidentSteps  # noqa: E402
from cnnmetric.training.schedule import learning_rate  # noqa: E402
from cnnmetric.training.settings import TrainingSettings  # noqa: E402

OPTIONS = Path(__file__).resolve().parents[1] / "studies" / "options"
MODELS = Path(__file__).resolve().parents[1] / "models"
LEVELS = 1023  # of packed intensities
CHUNK = 250 if torch.cuda.is_available() else 2  # steps between two looks at the clock
SAVE_EVERY = 60.0  # seconds
# Of the time that is left, what training may plan with.
RESERVE = 0.93
MOST_ON_CPU = 2e6  # voxels


def variant_settings(name: str, out: Path) -> TrainingSettings:
    """Return what a variant is trained with; its images are those of the folder packed."""
    files = [OPTIONS / f"{part}.txt" for part in name.split("+")]
    missing = [file.stem for file in files if not file.is_file()]
    if missing:
        msg = f"--variants {name}: there is no {missing[0]!r} in {OPTIONS}"
        raise SettingsError(msg)
    options = [f"@{file}" for file in files]
    model = out / f"{name}.onnx"
    arguments = ["pairs.csv", "--modalities", "T1,T2", "--out", str(model), *options]
    found = settings_from(parser_for(TrainingSettings, "").parse_args(arguments))
    assert isinstance(found, TrainingSettings)
    return found


def pack(table: Path, out: Path) -> None:
    """Write prepared pairs, compressed, with the SHA-256 of their files."""
    from cnnmetric.training.data.pairs import load_pair
    from cnnmetric.training.data.pairs import read_pairs
    from cnnmetric.training.data.pairs import sha256

    settings = replace(variant_settings("full", out), pairs=table)
    out.mkdir(parents=True, exist_ok=True)
    index = []
    for number, files in enumerate(read_pairs(table, settings.modality_names)):
        pair = load_pair(files, settings)
        levels = np.rint(np.nan_to_num(pair.images.numpy()) * LEVELS).astype("<u2")
        planes = (levels & 255).astype(np.uint8), (levels >> 8).astype(np.uint8)
        content = b"".join(plane.tobytes() for plane in planes)
        (out / f"{number}.xz").write_bytes(lzma.compress(content, preset=3))
        index.append(
            {
                "subject": files.subject,
                "spacing": pair.spacing,
                "shape": list(levels.shape),
                "hashes": {path.name: sha256(path) for path in files.paths},
            }
        )
        print(f"{files.subject}: {tuple(levels.shape)}", flush=True)
    (out / "index.json").write_text(json.dumps(index, indent=1))


def unpack(folder: Path) -> tuple[list[AlignedPair], list[dict[str, Any]]]:
    """Return the pairs of :func:`pack`, and what is written about them."""
    index = json.loads((folder / "index.json").read_text())
    pairs = []
    for number, item in enumerate(index):
        content = np.frombuffer(lzma.decompress((folder / f"{number}.xz").read_bytes()), np.uint8)
        low, high = content.reshape(2, *item["shape"]).astype(np.float32)
        images = torch.from_numpy((low + 256 * high) / LEVELS)
        pairs.append(AlignedPair(images=images, spacing=item["spacing"], name=item["subject"]))
    return pairs, index


class Run:
    """One variant on its way."""

    def __init__(
        self,
        name: str,
        out: Path,
        pairs: Sequence[AlignedPair],
        device: torch.device,
        mode: bool,
        **changes: Any,
    ) -> None:
        self.name = name
        self.settings = replace(variant_settings(name, out), **changes)
        torch.manual_seed(self.settings.seed)
        objective = objective_of(self.settings)
        assert isinstance(objective, PatchObjective)
        self.objective = objective
        self.optimizer = objective.optimizer()
        self.progress = Progress(spacing=1.0, hashes={})
        if self.settings.checkpoint.is_file():
            steps = torch.load(self.settings.checkpoint, weights_only=True)["settings"]["steps"]
            self.settings = replace(self.settings, steps=steps)
            self.progress = checkpoint.load(self.settings, objective.network, self.optimizer)
        self.resumed = self.progress.step > 0
        objective.network.to(device)
        for state in self.optimizer.state.values():
            for key, value in state.items():
                state[key] = value.to(device)
        sampler = ResidentSampler(
            pairs, self.settings, edge=objective.network.receptive_field, device=device
        )
        self.steps = ResidentSteps(
            self.settings,
            objective,
            self.optimizer,
            sampler,
            rate=self.rate,
            most=CHUNK,
            as_products=mode,
        )
        self.measuring = False

    def rate(self, step: int) -> float:
        """Return the learning rate, 0 while speed is measured."""
        return 0.0 if self.measuring else learning_rate(self.settings, step)

    @property
    def left(self) -> int:
        """The number of steps to take."""
        return self.settings.steps - self.progress.step

    def start(self) -> None:
        """Begin the next steps."""
        self.steps.start(self.progress.step, min(CHUNK, self.left))

    def finish(self) -> None:
        """Wait for them and write them down."""
        losses, accuracies = self.steps.finish()
        self.progress.losses += losses
        self.progress.accuracies += accuracies

    def save(self, out: Path) -> None:
        """Write the checkpoint, the weights alone, and the curve."""
        checkpoint.save(self.settings, self.objective.network, self.optimizer, self.progress)
        weights = {k: v.cpu() for k, v in self.objective.network.state_dict().items()}
        file = self.name.replace("+", "-")
        torch.save(weights, out / f"{file}.weights.pt")
        with (out / f"{file}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["step", "loss", "accuracy"])
            for end in range(CHUNK, self.progress.step + 1, CHUNK):
                rows = self.progress.losses, self.progress.accuracies
                means = [f"{np.mean(row[end - CHUNK : end]):.5f}" for row in rows]
                writer.writerow([end, *means])


def seconds_per_step(runs: Sequence[Run], count: int = CHUNK) -> float:
    """Return the seconds in which each of the runs takes a step, all side by side."""
    for run in runs:
        run.measuring = True
    started = 0.0
    for repeat in range(2):
        if repeat:
            started = time.perf_counter()
        for run in runs:
            run.steps.start(0, count)
        for run in runs:
            run.steps.finish()
    seconds = (time.perf_counter() - started) / count
    for run in runs:
        run.measuring = False
        if not run.resumed:
            for state in run.optimizer.state.values():
                state["momentum_buffer"].zero_()
    return seconds


def more_speeds(
    name: str, out: Path, pairs: Sequence[AlignedPair], device: torch.device
) -> list[str]:
    """Return rows: whether a graph computes the same, in float32, and sampled on the host."""
    losses = []
    for graphed in (True, False):
        run = Run(name, out, pairs, device, True)
        if not graphed:
            run.steps._graph = None
        run.steps.start(0, CHUNK)
        losses.append(np.array(run.steps.finish()[0]))
    rows = [f"| largest difference of a loss with and without a graph, {CHUNK} steps | "]
    rows[0] += f"{np.abs(losses[0] - losses[1]).max():.1e} |"
    run = Run(name, out, pairs, device, True, precision="float32")
    rows.append(f"| products, float32, one network | {1 / seconds_per_step([run]):.1f} |")
    sampler = PatchSampler(pairs, run.settings, edge=run.objective.network.receptive_field)
    loader = DataLoader(sampler, batch_size=None, sampler=range(150), num_workers=12)
    run.objective.network.to(memory_format=torch.channels_last_3d)
    started = 0.0
    for step, batch in enumerate(loader):
        if step == 50:
            started = time.perf_counter()
        loss, _ = run.objective.loss(batch, device)
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        loss.item()
    rate = 100 / (time.perf_counter() - started)
    rows.append(f"| convolutions, float32, sampled on the host by 12 processes | {rate:.1f} |")
    return rows


def train(
    folder: Path, out: Path, variants: Sequence[str], *, minutes: float, least: int, most: int
) -> None:
    """Train all variants side by side, or the first ones if others leave too few steps for them."""
    begun = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    pairs, index = unpack(folder)
    hashes = {f"{i['subject']}/{k}": v for i in index for k, v in i["hashes"].items()}
    table = [f"# Training speed, {name}, PyTorch {torch.__version__}", ""]
    table += ["| layers | steps per second |", "|---|---:|"]
    speeds = {}
    count = CHUNK if device.type == "cuda" else 1
    for mode in (True, False):
        run = Run(variants[0], out, pairs, device, mode)
        speeds[mode] = seconds_per_step([run], count)
        what = "products of matrices" if mode else "convolutions"
        table.append(f"| {what}, one network | {1 / speeds[mode]:.1f} |")
        print(table[-1], flush=True)
        del run
    if device.type == "cuda":
        table += more_speeds(variants[0], out, pairs, device)
        print("\n".join(table[-3:]), flush=True)
    mode = min(speeds, key=lambda key: speeds[key])
    runs = [Run(variant, out, pairs, device, mode) for variant in variants]
    together = seconds_per_step(runs, count)
    table.append(f"| the faster, {len(runs)} networks side by side, each | {1 / together:.1f} |")
    print(table[-1], flush=True)
    (out / "speed.md").write_text("\n".join(table) + "\n")
    left = minutes * 60 - (time.perf_counter() - begun)
    whole = RESERVE * left / together * len(runs)
    while len(runs) > 1 and whole / len(runs) < min(least, max(run.left for run in runs)):
        print(f"no time for {runs.pop().name}", flush=True)
    fit = max(int(whole / len(runs)) // CHUNK * CHUNK, count)
    print(f"{time.perf_counter() - begun:.0f} s so far; {fit} steps fit", flush=True)
    for run in runs:
        if not run.resumed:
            steps = min(fit, run.settings.steps, most or fit)
            run.settings = replace(run.settings, steps=steps)
            run.progress.spacing = float(np.median([pair.spacing for pair in pairs]))
            run.progress.hashes = hashes
    saved = time.perf_counter()
    while any(run.left for run in runs):
        chunk = [run for run in runs if run.left]
        before = time.perf_counter()
        for run in chunk:
            run.start()
        for run in chunk:
            run.finish()
            run.progress.seconds += time.perf_counter() - before
        now = time.perf_counter()
        over = now - begun > minutes * 60
        if now - saved > SAVE_EVERY or over:
            saved = now
            print(f"{now - begun:.0f} s", end="", flush=True)
            for run in runs:
                run.save(out)
                loss, right = run.progress.losses[-CHUNK:], run.progress.accuracies[-CHUNK:]
                print(
                    f"; {run.name} {run.progress.step} {np.mean(loss):.4f} {np.mean(right):.4f}",
                    end="",
                )
            print(flush=True)
        if over:
            break
    for run in runs:
        run.save(out)
    (out / "done").write_text(f"{time.perf_counter() - begun:.0f} s\n")


def compare_providers(out: Path) -> None:
    """Write a table of CUDA's and the processor's results and times for the shipped models."""
    import onnxruntime

    out.mkdir(parents=True, exist_ok=True)
    onnxruntime.preload_dlls()
    rows = [
        f"# ONNX Runtime {onnxruntime.__version__}, {torch.cuda.get_device_name()}",
        "",
        "| model | blocks | CPU s | CUDA s | CUDA, ns a voxel | largest relative difference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    rng = np.random.default_rng(1)
    for file in sorted(MODELS.glob("*.onnx")):
        sessions = {}
        for provider in ("CPUExecutionProvider", "CUDAExecutionProvider"):
            options: dict[str, Any] = {"use_tf32": "0"} if provider.startswith("CUDA") else {}
            session = onnxruntime.InferenceSession(str(file), providers=[(provider, options)])
            assert session.get_providers()[0] == provider
            sessions[provider] = session
        about = session.get_modelmeta().custom_metadata_map
        field, stride = (int(about[f"cnnmetric.{k}"]) for k in ("receptive_field", "stride"))
        for batch, wanted in ((1, 83), (8, 83), (64, 27), (1, 159)):
            edge = (wanted - field) // stride * stride + field
            places = (edge - field) // stride + 1
            smooth = torch.rand(batch, 2, *(edge // 4 + 2,) * 3, generator=torch.manual_seed(1))
            patches = torch.nn.functional.interpolate(smooth, size=(edge,) * 3, mode="trilinear")
            noise = rng.normal(0, 0.02, patches.shape).astype(np.float32)
            feeds = {
                "patches": np.clip(patches.numpy() + noise, 0, 1),
                "weights": np.full((batch, 1, *(places,) * 3), 1.0, np.float32),
                "gradients_wanted": np.ones(2, bool),
            }
            results, times = {}, {}
            for provider, session in sessions.items():
                cuda = provider.startswith("CUDA")
                if batch * edge**3 > MOST_ON_CPU and not cuda:
                    times[provider] = float("nan")
                    continue
                results[provider] = session.run(None, feeds)
                taken = []
                for _ in range(5 if cuda else 1):
                    started = time.perf_counter()
                    session.run(None, feeds)
                    taken.append(time.perf_counter() - started)
                times[provider] = float(np.median(taken))
            cpu, gpu = times.values()
            difference = "-"
            if len(results) == 2:
                difference = ", ".join(
                    f"{np.abs(a - b).max() / np.abs(a).max():.1e}"
                    for a, b in zip(*results.values(), strict=True)
                )
            each = 1e9 * gpu / (batch * edge**3)
            rows.append(
                f"| {file.stem} | {batch} x {edge}^3 | {cpu:.3f} | {gpu:.4f} | {each:.1f} | "
                f"{difference} |"
            )
            print(rows[-1], flush=True)
            (out / "onnx.md").write_text("\n".join(rows) + "\n")


def main() -> int:
    """Run the command line and return the exit status."""
    command, *rest = sys.argv[1:] or [""]
    folder = Path(rest[0])
    options = dict(zip(rest[1::2], rest[2::2], strict=True))
    out = Path(options["--out"])
    if command == "pack":
        pack(folder, out)
    elif command == "train":
        variants = options.get("--variants", "full").split(",")
        train(
            folder,
            out,
            variants,
            minutes=float(options.get("--minutes", 8)),
            least=int(options.get("--least", 0)),
            most=int(options.get("--steps", 0)),
        )
    elif command == "onnx":
        compare_providers(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
