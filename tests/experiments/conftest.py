"""Run folders of made-up networks, right on exactly as many images as a test needs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray

from mien.evaluation.predictions import Predictions
from mien.experiments.plan import run_name
from mien.training.recipe import load, to_table
from mien.training.stages import stages_of

IMAGES = 700
LABELS = (np.arange(IMAGES) % 7).astype(np.int8)
COLUMNS = "epoch,size,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy"


def predictions(right: NDArray[Any], *, labels: bool = True, prefix: str = "v") -> Predictions:
    """Predictions that are right where the mask says, and else the next emotion."""
    answers = np.where(right, LABELS, (LABELS + 1) % 7)
    probabilities = np.full((IMAGES, 7), 0.05, np.float32)
    probabilities[np.arange(IMAGES), answers] = 0.7
    given = LABELS if labels else np.full(IMAGES, -1, np.int8)
    return Predictions(np.array([f"{prefix}{i}" for i in range(IMAGES)]), given, probabilities)


def right(count: int, start: int = 0) -> NDArray[Any]:
    """A mask of so many images from one on, around the end."""
    mask = np.zeros(IMAGES, bool)
    mask[(np.arange(count) + start) % IMAGES] = True
    return mask


def make_run(
    folder: Path,
    recipe: str,
    mask: NDArray[Any],
    seed: int = 0,
    *,
    overrides: Iterable[str] = (),
    epochs: Sequence[tuple[str, float, float]] | None = None,
    test_labels: bool = False,
) -> Path:
    """Write a run folder.

    Args:
        folder: where all runs are.
        recipe: of the package.
        mask: which of the validation images it gets right.
        seed: of the run.
        overrides: as `--set` takes them.
        epochs: stage, training and validation accuracy of each; as many as the recipe says where
            not given.
        test_labels: the test predictions have labels.
    """
    run = folder / run_name(recipe, seed)
    (run / "predictions").mkdir(parents=True)
    made = load(recipe, [f"training.seed={seed}", *overrides])
    (run / "recipe.toml").write_text(tomli_w.dumps(to_table(made)))
    session = {"device": "cpu", "devices": 1, "environment": {"machine": "x86_64", "threads": 2}}
    info = {
        "data": {"checksum": "abc123", "images": 3 * IMAGES},
        "started": "2026-01-02T03:04:05+00:00",
        "seed": seed,
        "sessions": [{"started": "2026-01-02T03:04:05+00:00", **session}],
    }
    (run / "run.json").write_text(json.dumps(info))
    if epochs is None:
        stages = stages_of(made)
        epochs = [(str(stage.number), 0.3, 0.2) for stage in stages for _ in range(stage.epochs)]
    with (run / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS.split(","), "seconds", "stage"])
        for number, (stage, train, validation) in enumerate(epochs, start=1):
            writer.writerow([number, 48, 0.1, 1.0, train, 1.0, validation, 30.0, stage])
    predictions(mask).save(run / "predictions" / "validation.parquet")
    predictions(mask, labels=test_labels, prefix="t").save(run / "predictions" / "test.parquet")
    predictions(mask, prefix="r").save(run / "predictions" / "train.parquet")
    return run


@pytest.fixture
def maker() -> SimpleNamespace:
    """`run`, `right` and `predictions` above."""
    return SimpleNamespace(run=make_run, right=right, predictions=predictions, images=IMAGES)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything is: seeds, filters, rows, changed, apart, broken, unfinished."""
    folder = tmp_path_factory.mktemp("full")
    for seed in (0, 1):
        make_run(folder, "foldnet-micro", right(350, 3 * seed), seed)
        make_run(folder, "foldnet-micro-unsharp", right(364, 5 * seed), seed)
        make_run(folder, "foldnet-micro-equalize", right(300, 40 + seed), seed)
    make_run(folder, "cnn5", right(420), overrides=["training.epochs=2", "training.images=2000"])
    make_run(folder, "resnet50", right(500, 80))
    make_run(folder, "resnet50-scratch", right(480, 60), epochs=[("1", 0.3, 0.3)])
    make_run(folder, "foldnet-mini", right(401))
    broken = make_run(folder, "senet50", right(300))
    (broken / "predictions" / "validation.parquet").write_bytes(b"no parquet")
    return folder
