"""The data of a run: all images on the device as uint8, batches made there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.data.cache import Dataset
from mien.data.exclusion import excluded, read_exclusions
from mien.emotions import EMOTIONS, UNKNOWN, ferplus_column
from mien.errors import MienError, nearest
from mien.images.augment import augment
from mien.images.device import device_filter
from mien.training.distillation import teacher_shares
from mien.training.mixing import mix
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
        targets: what the loss compares with: the labels, or float32 N×7 shares of votes.
        weights: float64, N: how often an image is drawn in an epoch.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)


def load_split(dataset: Dataset, split: str, recipe: Recipe, device: torch.device) -> Split:
    """Return a split's labeled images on the device, filtered and resized once.

    Raises:
        MienError: the split does not exist, has no labels, or lacks the votes that the recipe
            names.
    """
    return _split_of(dataset, labeled_rows(dataset, split), recipe, device)


def _split_of(
    dataset: Dataset, rows: NDArray[np.intp], recipe: Recipe, device: torch.device
) -> Split:
    images = recipe.input.preprocessing().cached(np.asarray(dataset.images[rows]))
    labels = np.asarray(dataset.labels[rows]).astype(np.int64)
    targets: NDArray[Any] = labels
    if recipe.loss.targets == "votes":
        targets = vote_shares(dataset, rows)
    return Split(
        to_device_layout(images).to(device),
        torch.from_numpy(labels).to(device),
        torch.from_numpy(targets).to(device),
        np.ones(len(rows)),
    )


def load_training_split(dataset: Dataset, recipe: Recipe, device: torch.device) -> Split:
    """Return the split that is trained on, or the part of it that the recipe wants.

    Raises:
        MienError: as for `training_rows`, `load_split`, `source_weights` and `teacher_shares`.
    """
    training = recipe.training
    rows = training_rows(dataset, recipe)
    weights = source_weights(dataset, rows, training.source_weights)
    split = replace(_split_of(dataset, rows, recipe, device), weights=weights)
    if training.distill:
        names = dataset.names[rows]
        shares = teacher_shares(training.distill, names, training.distill_temperature)
        # Cross-entropy is linear in its target: one of the two mixed is the two losses mixed.
        told = torch.from_numpy(shares).to(device)
        weight = training.distill_weight
        split = replace(split, targets=torch.lerp(as_shares(split.targets), told, weight))
    return split


def as_shares(targets: Tensor) -> Tensor:
    """Return labels, int64 N, as float32 N×7 with a 1 for the class; shares stay as they are."""
    if targets.is_floating_point():
        return targets
    return F.one_hot(targets, len(EMOTIONS)).float()


def labeled_rows(dataset: Dataset, split: str) -> NDArray[np.intp]:
    """Return the rows of a split whose label is known.

    Raises:
        MienError: the split does not exist or has none.
    """
    every = dataset.indices(split)
    rows: NDArray[np.intp] = every[np.asarray(dataset.labels[every]) != UNKNOWN]
    if not len(rows):
        raise MienError(
            f"the split {split!r} has no labeled images", hint="choose another split in [training]"
        )
    return rows


def training_rows(dataset: Dataset, recipe: Recipe) -> NDArray[np.intp]:
    """Return the rows that a recipe trains on; see `training_places`.

    Raises:
        MienError: as for `labeled_rows` and `training_places`.
    """
    labeled_rows(dataset, recipe.training.train_split)
    every = dataset.indices(recipe.training.train_split)
    names, labels = np.asarray(dataset.names[every]), np.asarray(dataset.labels[every])
    rows: NDArray[np.intp] = every[training_places(names, labels, recipe)]
    return rows


def training_places(
    names: NDArray[np.str_], labels: NDArray[np.int8], recipe: Recipe
) -> NDArray[np.intp]:
    """Return which images of the training split a recipe trains on, as places in order.

    They are labeled, not excluded, and as many as the recipe wants.

    Args:
        names, labels: of all images of the split, in the data set's order.
        recipe: the files that it names are read.

    Raises:
        MienError: an exclusion list cannot be read, does not fit the training split, or leaves
            nothing of it.
    """
    training = recipe.training
    wanted = labels != UNKNOWN
    if training.exclude:
        wanted &= ~excluded(read_exclusions(training.exclude), training.train_split, names)
        if not wanted.any():
            raise MienError(
                "training.exclude leaves no image to train on", hint="shorten the lists"
            )
    places = np.flatnonzero(wanted)
    if 0 < training.images < len(places):
        chosen = stratified(labels[places].astype(np.int64), training.images, training.seed)
        places = places[chosen]
    return places


def vote_shares(dataset: Dataset, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return each row's shares of FER+'s votes for the seven emotions, float32 N×7.

    Votes for contempt, 'unknown' and 'NF' do not count; where nothing else was voted for, the
    label has the whole share.

    Raises:
        MienError: the data set has no votes.
    """
    if dataset.votes is None:
        raise MienError(
            "the data set has no votes, which loss.targets = 'votes' needs",
            hint="give FER+'s fer2013new.csv to mien data prepare, or train on labels",
        )
    columns = [ferplus_column(emotion) for emotion in EMOTIONS]
    votes = np.asarray(dataset.votes[rows])[:, columns].astype(np.float32)
    sums = votes.sum(axis=1, keepdims=True)
    one_hot = np.eye(len(EMOTIONS), dtype=np.float32)[np.asarray(dataset.labels[rows])]
    shares: NDArray[np.float32] = np.where(sums > 0, votes / np.maximum(sums, 1), one_hot)
    return shares


def source_weights(
    dataset: Dataset, rows: NDArray[np.intp], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return how often each row is drawn in an epoch, float64 N; 1 where nothing is said.

    Raises:
        MienError: a weight is for a source that the data set does not have, or nothing is left.
    """
    drawn = np.ones(len(rows))
    for name, weight in weights.items():
        if dataset.sources is None or name not in dataset.source_names:
            raise MienError(
                f"training.source_weights names {name!r}, which is no source of the data set",
                hint=nearest(name, dataset.source_names)
                if dataset.source_names
                else "several sources are mixed with: mien data mix",
            )
        drawn[np.asarray(dataset.sources[rows]) == dataset.source_names.index(name)] = weight
    if not _draws(drawn):
        raise MienError(
            "training.source_weights leaves no image to train on",
            hint="give one of the sources a weight above 0",
        )
    return drawn


def stratified(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.intp]:
    """Return `count` places, in order, drawn so that classes keep their proportions."""
    random = np.random.default_rng(seed)
    # Each image's place within its class, as a fraction, decides: the lowest are taken.
    order = random.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        own = order[labels[order] == label]
        place[own] = (np.arange(len(own)) + random.random()) / len(own)
    return np.sort(np.argsort(place, kind="stable")[:count])


class Batches:
    """Makes the batches of a recipe from a split, on the split's device.

    Attributes:
        augmentation: of the stage.
    """

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
        return max(1, _draws(split.weights) // self.recipe.training.batch_size)

    def train(self, split: Split, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield an epoch's batches.

        Each is images (float32 N×C×size×size, 0 to 255), labels (int64 N) and targets (as in
        `Split`; shares where images are mixed).
        """
        training = self.recipe.training
        device = split.images.device
        shared = torch.Generator(device).manual_seed(epoch_seed(training.seed, epoch))
        order = _order(split, shared)
        own = torch.Generator(device).manual_seed(epoch_seed(training.seed, epoch, self.rank + 1))
        mixing = np.random.default_rng(epoch_seed(training.seed, epoch, self.rank + 1))
        for step in range(self.steps(split)):
            batch = order[step * training.batch_size : (step + 1) * training.batch_size]
            batch = batch[self.rank :: self.world_size]
            images = augment(split.images[batch].float(), self.augmentation, own)
            images, targets = self._finish(images, size), split.targets[batch]
            if training.mixup or training.cutmix:
                shares = as_shares(targets)
                images, targets = mix(images, shares, training.mixup, training.cutmix, mixing)
            yield images, split.labels[batch], targets

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


def _draws(weights: NDArray[np.float64]) -> int:
    """Return how many images an epoch draws: each weight's images times the weight, rounded."""
    values, counts = np.unique(weights, return_counts=True)
    return int(sum(round(value * count) for value, count in zip(values, counts, strict=True)))


def _order(split: Split, generator: torch.Generator) -> Tensor:
    """Return an epoch's images in a random order, each as often as its weight says.

    Of a weight that is no whole number the fraction is drawn without replacement, so that all
    epochs have the same length.
    """
    device = split.images.device
    if (split.weights == 1).all():
        return torch.randperm(len(split), generator=generator, device=device)
    parts = []
    for value in np.unique(split.weights):
        places = torch.from_numpy(np.flatnonzero(split.weights == value)).to(device)
        parts += [places] * int(value)
        rest = round(value * len(places)) - int(value) * len(places)
        shuffled = torch.randperm(len(places), generator=generator, device=device)
        parts.append(places[shuffled[:rest]])
    drawn = torch.cat(parts)
    return drawn[torch.randperm(len(drawn), generator=generator, device=device)]
