"""A run of the kind "features": the same folder as a network's, fitted instead of trained.

What differs from the folder of a network's run:

- a row of `history.csv` is a value of the grid that was tried, in the order of the recipe, with
  the value in a column of its own; `learning_rate` is 0. `training.epochs` is their number;
- `model.safetensors` holds the arrays of the value that was best on the validation split;
- `network/` is a copy of the run whose network gives features, and `landmarks.onnx` one of what
  finds landmarks, so that the folder depends on nothing outside it;
- there is no checkpoint: a fit takes minutes, and one that was stopped starts again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.classical.classifier import POINTS, extractor_of, landmarks_copy, network_copy
from mien.classical.extraction import Extractor, filled, no_finder, usual_points
from mien.classical.fitting import (
    Candidate,
    Labeled,
    accuracy,
    candidates,
    check_labels,
    fit_transforms,
    log_loss,
)
from mien.classical.landmarks import Finder, YuNet
from mien.classical.options import is_classical, options_of
from mien.classical.parts import Array, transformed
from mien.data.cache import Dataset
from mien.errors import MienError
from mien.files import atomic_directory, sha256
from mien.progress import Progress, silent
from mien.training.batches import labeled_rows, training_rows
from mien.training.recipe import Input, Recipe, Training
from mien.training.run import Row, Run, beginning, environment, now


def start(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path | str,
    data_folder: Path | str | None = None,
    *,
    finder: Finder | None = None,
) -> Run:
    """Begin a run folder for a recipe and a data set, as `mien.training.loop.start` does.

    Where a network gives features, the recipe's input becomes the network's.

    Args:
        recipe: of this kind.
        dataset: with the splits that the recipe names.
        folder: new or empty.
        data_folder: where the data set lies; kept relative to the folder.
        finder: the caller's own, which `train` will be given; it stays outside the folder.

    Raises:
        MienError: the folder is not empty, the data set lacks a split, the recipe is wrong, or
            what it names is missing.
    """
    options = options_of(recipe)
    labeled_rows(dataset, recipe.training.validation_split)
    if options.landmarks:
        YuNet(options.landmarks)
    elif "landmarks" in options.features and finder is None:
        raise no_finder()
    network = _usable_network(options.network) if options.uses_network else None
    if network is not None:
        recipe = recipe.model_copy(update={"input": _input_of(network, recipe)})
    if recipe.training.epochs not in (Training().epochs, len(options.grid[1])):
        raise MienError(
            "training.epochs: means nothing to a classifier on features, which tries the values "
            f"of model.options.{options.grid[0]}",
            hint="take it out",
        )
    check_labels(options, dataset.labels[training_rows(dataset, recipe)])
    epochs = {"epochs": len(options.grid[1])}
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=epochs)})
    info = beginning(recipe, dataset, folder, data_folder)
    if network is not None:
        weights = sha256(network.weights_file)
        info["network"] = {"run": network.folder.resolve().name, "weights_sha256": weights}
    if options.landmarks:
        info["landmarks"] = {"sha256": sha256(options.landmarks)}
    Run(folder).check_new()
    # A run without its copies could not be gone on with: all of it, or nothing.
    with atomic_directory(folder) as temporary:
        run = Run(temporary)
        run.create(recipe, info)
        run.copy_files(recipe)
        if network is not None:
            _copy(network, network_copy(run))
        if options.landmarks:
            shutil.copyfile(options.landmarks, landmarks_copy(run))
    return Run(folder)


def train(
    run: Run,
    dataset: Dataset,
    *,
    finder: Finder | None = None,
    progress: Progress = silent,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> None:
    """Take the features, fit a classifier for each value of the grid, and keep the best.

    A run that is finished is left as it is; one that was stopped is done again.

    Args:
        run: what `start` returned, or the folder of a run of this kind.
        dataset: the data set that it was started with.
        finder: finds landmarks, in place of the recipe's; `load_classifier` then needs it too.
        progress: told how many images' features are taken.
        on_epoch: called after each value with its row of the history.

    Raises:
        MienError: the data set is another one, or nothing can be fitted to it.
    """
    recipe = run.recipe()
    run.check_data(dataset)
    if run.is_finished():
        return
    options = options_of(recipe)
    run.add_session(_session())
    extractor = extractor_of(run, options, finder)
    began = time.perf_counter()
    train_split, validation_split, points = _features(
        run.with_copies(recipe), dataset, extractor, progress
    )
    seed = recipe.training.seed
    transforms = fit_transforms(train_split.x, options, seed)
    train_split = Labeled(transformed(train_split.x, transforms), train_split.y)
    validation_split = Labeled(transformed(validation_split.x, transforms), validation_split.y)
    balanced = recipe.loss.class_weights == "balanced"
    history: list[Row] = []
    for candidate in candidates(
        train_split, validation_split, options, seed=seed, balanced=balanced
    ):
        row = _row(candidate, train_split.y, validation_split.y)
        row |= {
            "epoch": len(history) + 1,
            "size": recipe.input.size,
            "seconds": time.perf_counter() - began,
            options.grid[0]: candidate.value,
        }
        if all(row["validation_accuracy"] > other["validation_accuracy"] for other in history):
            arrays = candidate.head.arrays()
            for transform in transforms:
                arrays |= transform.arrays()
            _save(run, arrays | ({} if points is None else {POINTS: points}))
        history.append(row)
        run.save_history(history)
        on_epoch(row)
        began = time.perf_counter()
    run.draw_curves()


def _features(
    recipe: Recipe, dataset: Dataset, extractor: Extractor, progress: Progress
) -> tuple[Labeled, Labeled, NDArray[np.float32] | None]:
    """Return the features of the training and the validation split, and the usual points."""
    chosen = training_rows(dataset, recipe)
    splits = (chosen, labeled_rows(dataset, recipe.training.validation_split))
    images = recipe.input.preprocessing()(dataset.images[np.concatenate(splits)])
    steps = 2 if extractor.options.uses_points else 1
    points = usual = None
    if extractor.options.uses_points:
        points = extractor.points(images, lambda done, _: progress(done, steps * len(images)))
        usual = usual_points(points[: len(chosen)])
        points = filled(points, usual)
    before = (steps - 1) * len(images)
    x = extractor(images, points, lambda done, _: progress(before + done, before + len(images)))
    y = [np.asarray(dataset.labels[rows]).astype(np.uint8) for rows in splits]
    return Labeled(x[: len(chosen)], y[0]), Labeled(x[len(chosen) :], y[1]), usual


def _row(candidate: Candidate, train: NDArray[np.uint8], validation: NDArray[np.uint8]) -> Row:
    return {
        "epoch": 0,
        "stage": 1,
        "size": 0,
        "learning_rate": 0,
        "train_loss": log_loss(candidate.train, train),
        "train_accuracy": accuracy(candidate.train, train),
        "validation_loss": log_loss(candidate.validation, validation),
        "validation_accuracy": accuracy(candidate.validation, validation),
        "seconds": 0,
    }


def _copy(network: Run, copy: Run) -> None:
    copy.folder.mkdir()
    for source, target in (
        (network.recipe_file, copy.recipe_file),
        (network.info_file, copy.info_file),
        (network.weights_file, copy.weights_file),
    ):
        shutil.copyfile(source, target)


def _usable_network(folder: str) -> Run:
    """Return the run whose network gives features.

    Raises:
        MienError: it is no run of a network, or has no weights yet.
    """
    run = Run(folder)
    if is_classical(run.recipe()):
        raise MienError(
            f"{folder} has no network, which model.options.network needs: it is itself a "
            "classifier on features"
        )
    run.network()
    return run


def _input_of(network: Run, recipe: Recipe) -> Input:
    """Return the input of the network; the recipe must not ask for another.

    Raises:
        MienError: it does.
    """
    own = network.recipe().input
    if recipe.input not in (Input(), own):
        raise MienError(
            f"the recipe's [input] is not that of the network of {network.folder}",
            hint="leave [input] out: features of a network are taken from what it was trained on",
        )
    return own


def _save(run: Run, arrays: dict[str, Array]) -> None:
    try:
        run.save_weights(
            {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        )
    except OSError as error:
        raise MienError(f"cannot write to {run.folder}: {error}") from error


def _session() -> dict[str, Any]:
    packages = ("scikit-learn", "scikit-image", "scipy")
    versions = {package: metadata.version(package) for package in packages}
    return {
        "started": now(),
        "device": "cpu",
        "devices": 1,
        "precision": "64-true",
        "environment": environment() | versions,
    }
