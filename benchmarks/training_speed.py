# SPDX-License-Identifier: Apache-2.0
"""Does sampling keep up with the network? Patches per second of both, one thread each.

    python benchmarks/training_speed.py pairs.csv --modalities T1,T2 --out unused.onnx

takes the options of ``python -m cnnmetric.train`` and writes nothing. The sampler works in a
process beside the training, so on two cores training is as fast as the slower of the two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial

import torch

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import settings_from
from cnnmetric.training.data.crops import RENDER_EVERY
from cnnmetric.training.data.material_files import find_materials
from cnnmetric.training.data.material_files import load_material
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.rendered import SLOTS
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.settings import TrainingSettings

# Batches of the network.
WARM_UP, MEASURED = 2, 10
# Batches of the sampler: as long as pairs made from label maps stay, so that the first ones are
# made before, and as many are replaced as in every stretch of training.
SAMPLER_WARM_UP = SAMPLER_MEASURED = SLOTS * RENDER_EVERY


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(TrainingSettings, "Patches per second of sampling and of the network.")
    return run_command(
        "training_speed", lambda: print(report(settings_from(parser.parse_args(arguments))))
    )


def report(settings: TrainingSettings) -> str:
    """Measure and return a Markdown table."""
    sampled, learned, _ = rates(settings)
    return (
        "| | patches per second |\n|---|---:|\n"
        f"| sampling | {sampled:.0f} |\n| network, forward and backward | {learned:.0f} |\n"
        f"| ratio | {sampled / learned:.2f} |"
    )


def rates(settings: TrainingSettings) -> tuple[float, float, int]:
    """Return patches per second of the sampler and of the network, and how many a step has."""
    torch.set_num_threads(1)
    objective = objective_of(settings)
    network = objective.network
    layout = torch.channels_last_3d if settings.dimension == 3 else torch.channels_last
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = objective.optimizer()
    files = find_materials(settings)
    load = partial(load_pair, settings=settings)
    sampler = objective.sampler([load_material(item, load) for item in files], settings)
    batch = sampler[0]

    def sample(step: int) -> None:
        sampler[step]

    def learn(step: int) -> None:
        loss = objective.loss(batch, torch.device("cpu"))[0]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    size = objective.size()
    sampled = size * _per_second(sample, SAMPLER_WARM_UP, SAMPLER_MEASURED)
    return sampled, size * _per_second(learn, WARM_UP, MEASURED), size


def _per_second(work: Callable[[int], None], warm_up: int, measured: int) -> float:
    for step in range(warm_up):
        work(step)
    started = time.perf_counter()
    for step in range(warm_up, warm_up + measured):
        work(step)
    return measured / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
