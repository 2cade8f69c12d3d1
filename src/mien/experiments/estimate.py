"""How long runs take: learned from the epochs of runs like them, on a CPU measured beforehand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import torch

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.experiments.tasks import OPEN, State, Task, epochs_of
from mien.models.registry import create
from mien.training.recipe import Recipe

_BACKWARD = 3
"""A step costs three forward passes: one forward, and two for the gradients by input and weight."""
_PROBE_SECONDS = 0.5
_PROBE_IMAGES = 32
Prior = Callable[[Recipe], float | None]


def kind(recipe: Recipe) -> str:
    """Return a text that recipes share whose epochs take about the same time."""
    network = [recipe.model.name, recipe.model.options, recipe.input.size, recipe.input.color]
    amount = [recipe.training.images, [step.model_dump() for step in recipe.training.sizes]]
    return json.dumps(network + amount)


class Estimates:
    """Seconds of epochs by kind of recipe."""

    def __init__(self, prior: Prior = lambda recipe: None) -> None:
        """Know nothing yet; `prior` gives an epoch's seconds where none was seen."""
        self._prior = prior
        self._seen: dict[str, list[float]] = {}
        self._guessed: dict[str, float | None] = {}

    def learn(self, recipe: Recipe, seconds: float) -> None:
        """Take note of what an epoch took."""
        self._seen.setdefault(kind(recipe), []).append(seconds)

    def epoch(self, recipe: Recipe) -> float | None:
        """Return an epoch's likely seconds, None where nothing is known of its kind."""
        key = kind(recipe)
        if seen := self._seen.get(key):
            return sum(seen) / len(seen)
        if key not in self._guessed:
            self._guessed[key] = self._prior(recipe)
        return self._guessed[key]

    def left(self, task: Task) -> float | None:
        """Return the likely seconds to a task's end, 0 where it is not going to be run.

        A run that ends early, and predictions, are not allowed for.
        """
        if task.recipe is None or task.state not in (*OPEN, State.RUNNING):
            return 0.0
        epochs = epochs_of(task.recipe) - len(task.history)
        if task.state is State.PREDICT or epochs <= 0:
            return 0.0
        seconds = self.epoch(task.recipe)
        return None if seconds is None else epochs * seconds


def estimates_of(tasks: Sequence[Task], dataset: Dataset, *, on_cpu: bool) -> Estimates:
    """Return what the tasks' histories so far tell; on a CPU, networks without any are timed."""
    estimates = Estimates(_timed(dataset)) if on_cpu else Estimates()
    for task in tasks:
        if task.recipe is not None:
            for row in task.history:
                estimates.learn(task.recipe, row["seconds"])
    return estimates


def together(seconds: Sequence[float | None], at_once: int) -> tuple[float, bool]:
    """Return how long tasks take on so many devices, and whether that of all of them is known."""
    known = [each for each in seconds if each is not None]
    longest = max(known, default=0.0)
    return max(longest, sum(known) / at_once), len(known) == len(seconds)


def _timed(dataset: Dataset) -> Prior:
    """Return a prior that times the network's forward pass on this CPU, a second or so a network.

    It leaves out augmentation and filters, and takes a step to be three forward passes.
    """
    images = {split: len(dataset.indices(split)) for split in dataset.split_names}

    def prior(recipe: Recipe) -> float | None:
        train = recipe.training.images or images.get(recipe.training.train_split, 0)
        validation = images.get(recipe.training.validation_split, 0)
        try:
            return _forward_seconds(recipe) * (_BACKWARD * train + validation)
        except (MienError, RuntimeError):  # it will say itself why it cannot be built
            return None

    return prior


@torch.inference_mode()
def _forward_seconds(recipe: Recipe) -> float:
    """Return the seconds that a network takes for an image on the CPU, in a batch."""
    size, channels = recipe.input.size, 3 if recipe.input.color else 1
    network = create(recipe.model.name, size=size, channels=channels, **recipe.model.options)
    network.eval()

    def run(images: int) -> float:
        batch = torch.zeros(images, channels, size, size)
        began = time.perf_counter()
        network(batch)
        return time.perf_counter() - began

    run(1)  # the first pass allocates
    one = run(1)
    images = min(_PROBE_IMAGES, max(1, int(_PROBE_SECONDS / one)))
    return run(images) / images
