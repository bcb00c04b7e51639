# SPDX-License-Identifier: Apache-2.0
"""What a network of each architecture is shown, and what is asked of it."""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import avg_pool2d
from torch.nn.functional import avg_pool3d
from torch.utils.data import Dataset

from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.crops import CropSampler
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.sampling import PatchSampler
from cnnmetric.training.loss import accuracy
from cnnmetric.training.loss import contrastive_loss
from cnnmetric.training.loss import hinge_loss
from cnnmetric.training.loss import logistic_loss
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.self_similarity import SelfSimilarityNetwork
from cnnmetric.training.settings import TrainingSettings

# A patch has content if this share of the middle voxels shows anatomy in both images.
CONTENT = 0.3
MIDDLE = 5


class Objective(ABC):
    """Batches by step, and their loss.

    Attributes
    ----------
    network
        What is trained.
    """

    network: PatchNetwork

    @abstractmethod
    def sampler(
        self,
        materials: Sequence[Material],
        settings: TrainingSettings,
    ) -> Dataset[Any]:
        """Return the batches; item ``n`` is that of step ``n``."""

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Return what minimises the loss."""

    @abstractmethod
    def loss(self, batch: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and accuracy of a batch."""

    @abstractmethod
    def size(self) -> int:
        """Return how many patches of the first image a batch has, for the progress bar."""


class PatchObjective(Objective):
    """The paper's: tell aligned from misaligned patches (Section 2.2)."""

    network: TwoChannelNetwork

    def __init__(self, network: TwoChannelNetwork, settings: TrainingSettings) -> None:
        self.network = network
        self._settings = settings

    def sampler(
        self,
        materials: Sequence[Material],
        settings: TrainingSettings,
    ) -> Dataset[Any]:
        """Return patches and labels."""
        return PatchSampler(materials, settings, edge=self.network.receptive_field)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return gradient descent with momentum."""
        settings = self._settings
        return torch.optim.SGD(
            self.network.parameters(), lr=settings.learning_rate, momentum=settings.momentum
        )

    def loss(self, batch: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of the settings and the share of right decisions."""
        patches, labels = (item.to(device) for item in batch)
        return self.judge(self.scores(patches), labels)

    def scores(self, patches: torch.Tensor, *, as_products: bool = False) -> torch.Tensor:
        """Return N of every patch, by convolutions or by products of matrices."""
        # Every weight is used once; a cache of lower precision would not outlive a captured step.
        with _precision(self._settings, patches.device, cache=False):
            if as_products:
                return self.network.score_single_patches(patches)
            scores: torch.Tensor = self.network(_contiguous(patches))
            return scores

    def judge(
        self, scores: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and accuracy of the scores of patches with these labels."""
        scores = scores.float().flatten()
        loss = hinge_loss if self._settings.loss == "hinge" else logistic_loss
        return loss(scores, labels), accuracy(scores.detach(), labels)

    def size(self) -> int:
        """Return the batch size."""
        return self._settings.batch_size


class ContrastiveObjective(Objective):
    """Ours, for descriptors: find each patch's partner among all patches around it."""

    network: SelfSimilarityNetwork

    def __init__(self, network: SelfSimilarityNetwork, settings: TrainingSettings) -> None:
        self.network = network
        self._settings = settings

    def sampler(
        self,
        materials: Sequence[Material],
        settings: TrainingSettings,
    ) -> Dataset[Any]:
        """Return crops."""
        return CropSampler(materials, settings)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; gradient descent was many times slower here."""
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        return torch.optim.AdamW(weights, lr=self._settings.learning_rate, weight_decay=1e-4)

    def loss(self, batch: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the contrastive loss and the share of partners found."""
        crops = batch.to(device)
        # All images at once, which a GPU is the faster with; nothing in them is of a channel.
        images = crops.transpose(0, 1).flatten(0, 1)[:, None]
        # A captured step would not outlive a cache of weights in lower precision.
        with _precision(self._settings, device, cache=device.type != "cuda"):
            vectors = self.network.describe(_contiguous(images))
        first, second, shifted = vectors.float().flatten(2).chunk(3)
        return contrastive_loss(
            first,
            second,
            shifted,
            self._content(crops[:, :2]),
            temperature=self._settings.temperature,
        )

    def size(self) -> int:
        """Return the number of patches in all crops."""
        settings = self._settings
        patches = (settings.crop_edge - self.network.receptive_field) // self.network.stride + 1
        return int(settings.crops * patches**settings.dimension)

    def _content(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(B, n)``: whether the middle of a patch shows anatomy in both images."""
        border = (self.network.receptive_field - MIDDLE) // 2
        inside = (..., *[slice(border, -border or None)] * self._settings.dimension)
        pool = avg_pool3d if self._settings.dimension == 3 else avg_pool2d
        anatomy = (images > FOREGROUND).float()[inside]
        return (pool(anatomy, MIDDLE, self.network.stride) > CONTENT).all(1).flatten(1)


def objective_of(settings: TrainingSettings) -> Objective:
    """Return an untrained network, as the settings describe it, and what it is trained by."""
    if settings.architecture == "self-similarity":
        spec = tuple(map(Layer, settings.channels, settings.kernels, settings.strides))
        ours = SelfSimilarityNetwork(
            spec, dimension=settings.dimension, similarities=settings.similarities
        )
        return ContrastiveObjective(ours, settings)
    spec = layers(channels=settings.channels, kernels=settings.kernels, strides=settings.strides)
    network = TwoChannelNetwork(
        spec,
        dimension=settings.dimension,
        branches=2 if settings.architecture == "pseudo-siamese" else 1,
        pooling=settings.pooling,
    )
    return PatchObjective(network, settings)


def _precision(
    settings: TrainingSettings, device: torch.device, *, cache: bool = True
) -> torch.autocast:
    lower = settings.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=lower, cache_enabled=cache)


def _contiguous(images: torch.Tensor) -> torch.Tensor:
    layout = torch.channels_last_3d if images.ndim == 5 else torch.channels_last
    return images.contiguous(memory_format=layout)
