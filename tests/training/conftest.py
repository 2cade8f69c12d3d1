"""A tiny data set and a tiny recipe, so that a training takes a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import cache
from mien.training import loop
from mien.training.device import Device
from mien.training.recipe import load
from mien.training.run import Run

RECIPE = """
summary = "tiny"
[model]
name = "foldnet"
[model.options]
widths = [4, 4, 8]
depths = [1, 1, 1]
dropout = 0.3
[input]
size = 16
[input.filter]
name = "unsharp_mask"
place = "after_augmentation"
[augmentation]
rotation = 10.0
flip = true
erase = 0.5
[optimizer]
name = "muon"
learning_rate = 0.02
[training]
epochs = 4
batch_size = 16
ema = 0.9
sizes = [{ start = 0.0, size = 8 }, { start = 0.5, size = 16 }]
"""


def make_dataset(seed: int = 0, count: int = 96) -> cache.Dataset:
    """Return images whose brightness tells the class, two thirds of them for training."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 7).astype(np.int8)
    images = random.integers(0, 60, (count, 16, 16)) + labels[:, None, None] * 28
    return cache.from_arrays(
        images=images.astype(np.uint8),
        labels=labels,
        splits=(np.arange(count) >= 2 * count // 3).astype(np.uint8),
        names=np.array([f"image{i}.png" for i in range(count)]),
        split_names=("train", "validation"),
    )


@pytest.fixture
def dataset() -> cache.Dataset:
    return make_dataset()


@pytest.fixture
def dataset_folder(tmp_path: Path, dataset: cache.Dataset) -> Path:
    cache.save(dataset, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def first(tmp_path: Path, dataset: cache.Dataset, recipe_file: Path) -> Run:
    """A run that others may begin with."""
    recipe = load(str(recipe_file), ["training.epochs=1"])
    return loop.train(
        loop.start(recipe, dataset, tmp_path / "first"), dataset, Device(accelerator="cpu")
    )
