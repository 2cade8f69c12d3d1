"""The data of a run: all images on the device as uint8, batches made there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.data.cache import Dataset
from mien.emotions import UNKNOWN
from mien.errors import MienError
from mien.images.augment import augment
from mien.images.device import device_filter
from mien.training.recipe import Recipe
from mien.training.run import to_device_layout

# Order, augmentation and dropout of an epoch are seeded by run, epoch and rank alone. An epoch
# can then be repeated bit for bit after a crash without any generator's state being saved.
_SEED_STRIDE = 1_000_003


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Return the seed of an epoch (0, 1, …) of a run on one of its devices."""
    # PyTorch takes no larger seeds.
    return ((seed * _SEED_STRIDE + epoch) * _SEED_STRIDE + rank) % 2**63


@dataclass(frozen=True)
class Split:
    """A split on the device.

    Attributes:
        images: uint8, N×C×H×W, after all of the preprocessing that can be computed once.
        labels: int64, N.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def load_split(dataset: Dataset, split: str, recipe: Recipe, device: torch.device) -> Split:
    """Return a split's labeled images on the device, filtered and resized once.

    Raises:
        MienError: the split does not exist or has no labels.
    """
    rows = dataset.indices(split)
    labels = np.asarray(dataset.labels[rows])
    rows, labels = rows[labels != UNKNOWN], labels[labels != UNKNOWN]
    if not len(rows):
        raise MienError(
            f"the split {split!r} has no labeled images", hint="choose another split in [training]"
        )
    images = recipe.input.preprocessing().cached(np.asarray(dataset.images[rows]))
    return Split(
        to_device_layout(images).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    )


class Batches:
    """Makes the batches of a recipe from a split, on the split's device."""

    def __init__(self, recipe: Recipe, *, rank: int = 0, world_size: int = 1) -> None:
        self.recipe = recipe
        self.rank = rank
        self.world_size = world_size
        self.augmentation = recipe.augmentation
        spec = recipe.input.preprocessing().filter
        after = spec is not None and spec.place == "after_augmentation"
        self.filter = device_filter(spec) if after and spec is not None else None

    def steps(self, split: Split) -> int:
        """Return the number of full batches in an epoch of training; the rest is left out."""
        return max(1, len(split) // self.recipe.training.batch_size)

    def train(self, split: Split, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches: float32 N×C×size×size, 0 to 255, and int64 N."""
        training = self.recipe.training
        device = split.images.device
        shared = torch.Generator(device).manual_seed(epoch_seed(training.seed, epoch))
        order = torch.randperm(len(split), generator=shared, device=device)
        own = torch.Generator(device).manual_seed(epoch_seed(training.seed, epoch, self.rank + 1))
        for step in range(self.steps(split)):
            batch = order[step * training.batch_size : (step + 1) * training.batch_size]
            batch = batch[self.rank :: self.world_size]
            images = augment(split.images[batch].float(), self.augmentation, own)
            yield self._finish(images, size), split.labels[batch]

    def evaluate(self, split: Split, size: int, batch_size: int = 256) -> Iterator[Tensor]:
        """Yield a split's images in order, unaugmented, in the form of `train`."""
        for images in torch.split(split.images, batch_size):
            yield self._finish(images.float(), size)

    def _finish(self, images: Tensor, size: int) -> Tensor:
        if images.shape[-1] != size:
            images = F.interpolate(images, (size, size), mode="area")
        if self.filter is not None:
            images = self.filter(images)
        return images.contiguous(memory_format=torch.channels_last)
