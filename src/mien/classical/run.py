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

import datetime
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mien.classical.extraction import Extractor, filled, usual_points
from mien.classical.fitting import (
    Candidate,
    Labeled,
    accuracy,
    candidates,
    fit_transforms,
    log_loss,
    transformed,
)
from mien.classical.landmarks import Finder, HaarEyes, YuNet
from mien.classical.options import Features, is_classical, options_of
from mien.classical.parts import HEADS, TRANSFORMS, Array, Head, Transform
from mien.data.cache import Dataset
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.files import sha256
from mien.images.preprocessing import Preprocessing
from mien.progress import Progress, silent
from mien.training.batches import labeled_rows, stratified
from mien.training.recipe import Input, Recipe
from mien.training.run import Run, environment

Row = dict[str, float]
_POINTS = "landmarks.usual"  # The array that stands in where no face is seen.


def start(
    recipe: Recipe, dataset: Dataset, folder: Path | str, data_folder: Path | str | None = None
) -> Run:
    """Begin a run folder for a recipe and a data set, as `mien.training.loop.start` does.

    Where a network gives features, the recipe's input becomes the network's.

    Raises:
        MienError: the folder is not empty, the data set lacks a split, the recipe is wrong, or
            what it names is missing.
    """
    options = options_of(recipe)
    labeled_rows(dataset, recipe.training.train_split)
    labeled_rows(dataset, recipe.training.validation_split)
    if options.landmarks:
        YuNet(options.landmarks)
    network = _usable_network(options.network) if options.uses_network else None
    if network is not None:
        recipe = recipe.model_copy(update={"input": _input_of(network, recipe)})
    epochs = {"epochs": len(options.grid[1])}
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=epochs)})
    data: dict[str, Any] = {"checksum": dataset.checksum, "images": len(dataset)}
    if data_folder is not None:
        data["folder"] = os.path.relpath(Path(data_folder).resolve(), Path(folder).resolve())
    info: dict[str, Any] = {"data": data, "started": _now(), "seed": recipe.training.seed}
    if network is not None:
        weights = sha256(network.weights_file)
        info["network"] = {"run": network.folder.resolve().name, "weights_sha256": weights}
    if options.landmarks:
        info["landmarks"] = {"sha256": sha256(options.landmarks)}
    run = Run(folder)
    run.create(recipe, info | {"sessions": []})
    if network is not None:
        copy = _network_copy(run)
        copy.folder.mkdir()
        for source, target in (
            (network.recipe_file, copy.recipe_file),
            (network.info_file, copy.info_file),
            (network.weights_file, copy.weights_file),
        ):
            shutil.copyfile(source, target)
    if options.landmarks:
        shutil.copyfile(options.landmarks, _landmarks_copy(run))
    return run


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
    if dataset.checksum != run.info()["data"]["checksum"]:
        raise MienError(
            f"{run.folder} was started on another data set",
            hint="give the one it was started on with --data DIR",
        )
    if run.is_finished():
        return
    options = options_of(recipe)
    run.add_session(_session())
    extractor = _extractor(run, options, finder)
    began = time.perf_counter()
    train_split, validation_split, points = _features(recipe, dataset, extractor, progress)
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
            parts = [*transforms, candidate.head]
            arrays = {name: array for part in parts for name, array in part.arrays().items()}
            _save(run, arrays | ({} if points is None else {_POINTS: points}))
        history.append(row)
        run.save_history(history)
        on_epoch(row)
        began = time.perf_counter()
    run.draw_curves()


@dataclass(frozen=True)
class FeatureClassifier:
    """A fitted pipeline as a classifier (see `docs/architecture.md`).

    Attributes:
        preprocessing: what images go through first.
        extractor: takes the features.
        transforms: what they go through.
        head: classifies them.
        points: float32 P×2, what is taken where no face is seen, or None where no points are.
    """

    preprocessing: Preprocessing
    extractor: Extractor
    transforms: tuple[Transform, ...]
    head: Head
    points: NDArray[np.float32] | None = None
    labels: tuple[str, ...] = EMOTIONS

    def features(self, images: NDArray[np.uint8]) -> Array:
        """Map a preprocessed uint8 batch to what the classifier sees of it, N×D."""
        points = None
        if self.points is not None:
            points = filled(self.extractor.points(images), self.points)
        return transformed(self.extractor(images, points), self.transforms)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map a preprocessed uint8 batch to float32 N×7."""
        if not len(images):
            return np.empty((0, len(EMOTIONS)), np.float32)
        return self.head.probabilities(self.features(images))


def load_classifier(folder: Path | str, finder: Finder | None = None) -> FeatureClassifier:
    """Return the classifier of a run folder.

    Args:
        folder: of a run of this kind.
        finder: finds landmarks, where the run was trained with one of the caller's own.

    Raises:
        MienError: the folder is no such run, or it holds no classifier yet.
    """
    run = Run(folder)
    recipe = run.recipe()
    options = options_of(recipe)
    if not run.weights_file.is_file():
        raise MienError(
            f"{run.folder} has no classifier yet",
            hint=f"fit it with: mien train --resume {run.folder}",
        )
    try:
        arrays = load_file(run.weights_file)
        kinds = [kind for kind in TRANSFORMS if _is_used(kind.prefix, options)]
        transforms = tuple(kind.read(arrays) for kind in kinds)
        head = HEADS[options.classifier].read(arrays)
        points = arrays[_POINTS] if options.uses_points else None
    except (KeyError, OSError, ValueError, SafetensorError) as error:
        raise MienError(f"{run.weights_file} does not fit its recipe: {error}") from error
    extractor = _extractor(run, options, finder)
    return FeatureClassifier(recipe.input.preprocessing(), extractor, transforms, head, points)


def _is_used(prefix: str, options: Features) -> bool:
    return {
        "standardization": options.scaling == "standard",
        "length": options.scaling == "length",
        "kernel": options.classifier == "svm" and options.kernel == "rbf",
    }[prefix]


def _features(
    recipe: Recipe, dataset: Dataset, extractor: Extractor, progress: Progress
) -> tuple[Labeled, Labeled, NDArray[np.float32] | None]:
    """Return the features of the training and the validation split, and the usual points."""
    training = recipe.training
    chosen = labeled_rows(dataset, training.train_split)
    if 0 < training.images < len(chosen):
        labels = np.asarray(dataset.labels[chosen]).astype(np.int64)
        chosen = chosen[stratified(labels, training.images, training.seed)]
    splits = (chosen, labeled_rows(dataset, training.validation_split))
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


def _extractor(run: Run, options: Features, finder: Finder | None) -> Extractor:
    """Return what takes a run's features, from the copies in its folder."""
    if options.uses_points and finder is None:
        if options.landmarks:
            finder = YuNet(_landmarks_copy(run))
        elif "landmarks" not in options.features:
            finder = HaarEyes()
    network = None
    if options.uses_network:
        network = _network_copy(run).network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Extractor(options, finder, network)


def _network_copy(run: Run) -> Run:
    return Run(run.folder / "network")


def _landmarks_copy(run: Run) -> Path:
    return run.folder / "landmarks.onnx"


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
        "started": _now(),
        "device": "cpu",
        "devices": 1,
        "precision": "64-true",
        "environment": environment() | versions,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
