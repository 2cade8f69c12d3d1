"""A small data set with something to see, and a tiny trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import cache

NETWORK = """
summary = "tiny"
[model]
name = "foldnet"
[model.options]
widths = [4, 4, 8]
depths = [1, 1, 1]
[input]
size = 32
[input.filter]
name = "unsharp_mask"
[optimizer]
name = "adam"
learning_rate = 0.01
[training]
epochs = 1
batch_size = 32
"""


def stripes(count: int, seed: int = 0, size: int = 48) -> cache.Dataset:
    """Return images whose stripes' direction tells the class; half train, a quarter each other."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 7).astype(np.int8)
    y, x = np.mgrid[:size, :size]
    angles = labels * np.pi / 7 + random.normal(0, 0.08, count)
    phases = random.uniform(0, 2 * np.pi, count)
    along = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    waves = 127 + 60 * np.sin(along * 0.9 + phases[:, None, None])
    images = np.clip(waves + random.normal(0, 25, waves.shape), 0, 255).astype(np.uint8)
    return cache.from_arrays(
        images=images,
        labels=labels,
        splits=np.repeat(
            [0, 1, 2], [count // 2, count // 4, count - count // 2 - count // 4]
        ).astype(np.uint8),
        names=np.array([f"image{i}.png" for i in range(count)]),
        split_names=("train", "validation", "test"),
    )


@pytest.fixture(scope="session")
def dataset() -> cache.Dataset:
    return stripes(280)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory, dataset: cache.Dataset) -> Path:
    folder = tmp_path_factory.mktemp("classical") / "data"
    cache.save(dataset, folder)
    return folder


@pytest.fixture(scope="session")
def network_run(tmp_path_factory: pytest.TempPathFactory, dataset: cache.Dataset) -> Path:
    """The folder of a finished run of a tiny network."""
    from mien.training.loop import start, train
    from mien.training.recipe import load

    folder = tmp_path_factory.mktemp("network")
    (folder / "tiny.toml").write_text(NETWORK)
    run = start(load(str(folder / "tiny.toml")), dataset, folder / "run")
    train(run, dataset)
    return folder / "run"
