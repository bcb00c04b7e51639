# SPDX-License-Identifier: Apache-2.0
"""Steps that need nothing of the host, run on the processor without a graph."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnmetric.training import checkpoint
from cnnmetric.training import loop
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.crop_steps import CropSteps
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.data.resident_crops import ResidentCrops
from cnnmetric.training.interruption import Interrupted
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.architecture import paper_layers
from cnnmetric.training.objectives import ContrastiveObjective
from cnnmetric.training.objectives import Objective
from cnnmetric.training.objectives import PatchObjective
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.patch_steps import PatchSteps
from cnnmetric.training.processes import Processes
from cnnmetric.training.resident_steps import ResidentSteps
from cnnmetric.training.settings import TrainingSettings
from cnnmetric.training.steps import CHUNK
from cnnmetric.training.steps import GraphSteps
from cnnmetric.training.steps import graph_steps
from support.training_images import anatomy
from support.training_images import render
from support.training_images import settings
from support.training_images import write_pairs

CPU = torch.device("cpu")


def objective(chosen: TrainingSettings) -> PatchObjective:
    torch.manual_seed(chosen.seed)
    found = objective_of(chosen)
    assert isinstance(found, PatchObjective)
    return found


def resident(
    chosen: TrainingSettings, trained: PatchObjective, optimizer: Any, **changes: Any
) -> PatchSteps:
    tissues = anatomy(1, (20, 21, 22))
    images = torch.from_numpy(np.stack(render(tissues, tissues)))
    sampler = ResidentSampler(
        [Material(kind="real", pairs=[AlignedPair(images=images, spacing=1.0, name="pair")])],
        chosen,
        edge=trained.network.receptive_field,
        device=CPU,
    )
    return PatchSteps(
        chosen, trained, optimizer, sampler, rate=lambda step: 0.01 * (step + 1), most=8, **changes
    )


@pytest.mark.parametrize("dimension", [2, 3])
def test_products_of_matrices_score_patches_as_convolutions_do(dimension: int) -> None:
    torch.manual_seed(0)
    for spec in (
        paper_layers(),
        layers(channels=(6, 8), kernels=(3, 3, 1), strides=(2, 1, 1)),
    ):
        network = TwoChannelNetwork(spec, dimension=dimension)
        patches = torch.rand(3, 2, *(network.receptive_field,) * dimension)
        expected = network(patches).flatten()
        torch.testing.assert_close(network.score_single_patches(patches), expected)


def test_branches_and_pooling_are_left_to_the_convolutions() -> None:
    spec = layers(channels=(6, 8), kernels=(3, 3, 1), strides=(2, 1, 1))
    assert TwoChannelNetwork(spec).has_products
    assert not TwoChannelNetwork(spec, branches=2).has_products
    assert not TwoChannelNetwork(spec, pooling=True).has_products


@pytest.mark.parametrize("loss", ["hinge", "cross-entropy"])
@pytest.mark.parametrize("as_products", [False, True])
def test_steps_are_those_of_gradient_descent(tmp_path: Path, loss: str, as_products: bool) -> None:
    """The same patches, one after the other, by PyTorch's optimizer."""
    chosen = settings(tmp_path, batch_size=6, loss=loss)
    ours, reference = objective(chosen), objective(chosen)
    optimizer = ours.optimizer()
    steps = resident(chosen, ours, optimizer, as_products=as_products)
    drawn: list[Any] = []
    draw = steps._sampler.draw

    def kept(*arguments: Any) -> Any:
        drawn.append(draw(*arguments))
        return drawn[-1]

    steps._sampler.draw = kept  # type: ignore[assignment, method-assign]
    steps.start(2, 4)
    losses, accuracies = steps.finish()

    expected, other = [], reference.optimizer()
    (batches,) = drawn
    patches, labels = (item.chunk(PatchSteps.at_once)[2:6] for item in batches)
    for step, batch in enumerate(zip(patches, labels, strict=True), 2):
        other.param_groups[0]["lr"] = 0.01 * (step + 1)
        value, right = reference.loss(batch, CPU)
        other.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        other.step()
        expected.append((value.item(), right.item()))
    np.testing.assert_allclose(list(zip(losses, accuracies, strict=True)), expected, rtol=1e-4)
    for one, two in zip(ours.network.parameters(), reference.network.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    state = optimizer.state_dict()["state"]
    for number, item in other.state_dict()["state"].items():
        torch.testing.assert_close(state[number]["momentum_buffer"], item["momentum_buffer"])


def test_steps_go_on_where_they_stopped(tmp_path: Path) -> None:
    chosen = settings(tmp_path, batch_size=6)
    found = []
    for stops in ((4,), (2, 2)):
        trained = objective(chosen)
        optimizer = trained.optimizer()
        losses: list[float] = []
        for count in stops:
            # As after a restart: what counts is in network and optimizer.
            steps = resident(chosen, trained, optimizer)
            for first in range(len(losses), len(losses) + count, 2):
                steps.start(first, 2)
                losses += steps.finish()[0]
        found.append(losses)
    assert found[0] == found[1]


def resident_crops(
    chosen: TrainingSettings, trained: ContrastiveObjective, optimizer: Any
) -> CropSteps:
    tissues = anatomy(1, (30, 31, 32))
    images = torch.from_numpy(np.stack(render(tissues, tissues)))
    pair = AlignedPair(images=images, spacing=1.0, name="pair")
    sampler = ResidentCrops([Material(kind="real", pairs=[pair])], chosen, device=CPU)
    return CropSteps(
        chosen, trained, optimizer, sampler, rate=lambda step: 0.001 * (step + 1), most=14
    )


def descriptors(folder: Path) -> tuple[TrainingSettings, ContrastiveObjective]:
    chosen = settings(
        folder,
        architecture="self-similarity",
        channels=(4, 4),
        kernels=(3, 1),
        strides=(2, 1),
        crops=2,
        crop_edge=25,
    )
    torch.manual_seed(chosen.seed)
    found = objective_of(chosen)
    assert isinstance(found, ContrastiveObjective)
    return chosen, found


def test_steps_of_crops_are_those_of_adam(tmp_path: Path) -> None:
    """The same crops, one after the other, by PyTorch's optimizer as it is."""
    chosen, ours = descriptors(tmp_path)
    reference = descriptors(tmp_path)[1]
    optimizer, other = ours.optimizer(), reference.optimizer()
    steps = resident_crops(chosen, ours, optimizer)
    drawn: list[torch.Tensor] = []
    draw = steps._sampler.draw

    def kept(*arguments: Any) -> torch.Tensor:
        drawn.append(draw(*arguments))
        return drawn[-1]

    steps._sampler.draw = kept  # type: ignore[assignment, method-assign]
    steps.start(10, 4)  # over the end of those that are drawn at once
    losses, accuracies = steps.finish()
    assert [len(item) for item in drawn] == [2 * CropSteps.at_once] * 2

    expected = []
    for step, crops in enumerate(torch.cat(drawn).chunk(2 * CropSteps.at_once)[10:14], 10):
        other.param_groups[0]["lr"] = 0.001 * (step + 1)
        value, found = reference.loss(crops, CPU)
        other.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        other.step()
        expected.append((value.item(), found.item()))
    np.testing.assert_allclose(list(zip(losses, accuracies, strict=True)), expected, rtol=1e-5)
    for one, two in zip(ours.network.parameters(), reference.network.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_what_was_only_measured_is_undone(tmp_path: Path) -> None:
    chosen, ours = descriptors(tmp_path)
    steps = resident_crops(chosen, ours, ours.optimizer())
    weights = [weight.detach().clone() for weight in ours.network.parameters()]
    before = steps.state()
    steps.start(0, 3)
    after = steps.finish()[0]
    assert not all(map(torch.equal, weights, ours.network.parameters()))
    steps.restore(before)
    assert all(map(torch.equal, weights, ours.network.parameters()))
    steps.start(0, 3)
    assert steps.finish()[0] == after


def test_a_checkpoint_of_a_graph_goes_on_elsewhere(tmp_path: Path) -> None:
    chosen, ours = descriptors(tmp_path)
    optimizer = ours.optimizer()
    steps = resident_crops(chosen, ours, optimizer)
    steps.start(0, 2)
    for group in optimizer.param_groups:  # as where a graph was captured
        group["capturable"], group["lr"] = True, torch.tensor(0.5)
    progress = Progress(spacing=1.0, hashes={}, losses=[0.0, 0.0], accuracies=[0.0, 0.0])
    checkpoint.save(chosen, ours.network, optimizer, progress)
    again = ours.optimizer()
    assert checkpoint.load(chosen, ours.network, again).step == 2
    resident_crops(chosen, ours, again).start(2, 2)  # PyTorch refuses graphs on a processor


@pytest.fixture
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run take its steps as on a GPU, without a graph."""

    def steps(
        chosen: TrainingSettings,
        trained: Objective,
        optimizer: torch.optim.Optimizer,
        materials: Sequence[Material],
        processes: Processes,
    ) -> GraphSteps:
        del processes
        return graph_steps(chosen, trained, optimizer, materials)

    monkeypatch.setattr(loop, "steps_of", steps)


@pytest.mark.usefixtures("on_the_device")
def test_a_run_validates_at_the_end_of_the_steps_taken_together(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3, shape=(20, 20, 20))
    chosen = settings(tmp_path, batch_size=4, steps=CHUNK + 10, validate_every=20)
    progress = loop.train(replace(chosen, hold_out=None))
    assert progress.step == CHUNK + 10
    assert [row[0] for row in progress.validations] == [CHUNK, CHUNK + 10]
    assert chosen.out.is_file()


@pytest.mark.usefixtures("on_the_device")
def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for stopped in (False, True):
        folder = tmp_path / str(stopped)
        folder.mkdir()
        write_pairs(folder, count=2, shape=(20, 20, 20))
        chosen = settings(folder, batch_size=4, steps=2 * CHUNK)
        if stopped:
            with monkeypatch.context() as patch:
                signal_when_finished(patch)
                with pytest.raises(Interrupted, match=f"after step {CHUNK} of {2 * CHUNK}"):
                    loop.train(chosen)
            chosen = replace(chosen, resume=True, overwrite=False)
        found.append(loop.train(chosen).losses)
    assert found[0] == found[1]


DESCRIPTORS: dict[str, Any] = {
    "architecture": "self-similarity",
    "channels": (4, 4),
    "kernels": (3, 1),
    "strides": (2, 1),
    "crops": 1,
    "crop_edge": 25,
}


@pytest.mark.usefixtures("on_the_device")
@pytest.mark.parametrize("network", [{"batch_size": 4}, DESCRIPTORS], ids=["patches", "crops"])
def test_a_run_with_constant_rate_can_be_made_longer(
    tmp_path: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a step that is neither the last of its chunk nor of those that are drawn at once."""
    monkeypatch.setattr("cnnmetric.training.steps.CHUNK", 5)
    write_pairs(tmp_path, shape=(30, 30, 30))
    chosen = settings(tmp_path, schedule="constant", steps=7, **network)
    loop.train(chosen)
    resumed = loop.train(replace(chosen, steps=13, resume=True, overwrite=False))
    whole = loop.train(replace(chosen, steps=13))
    assert resumed.losses == whole.losses


def signal_when_finished(patch: pytest.MonkeyPatch) -> None:
    """Send Ctrl-C to this process as soon as steps have been taken together."""
    finish = ResidentSteps.finish

    def and_signal(self: ResidentSteps) -> Any:
        found = finish(self)
        signal.raise_signal(signal.SIGINT)
        return found

    patch.setattr(ResidentSteps, "finish", and_signal)
