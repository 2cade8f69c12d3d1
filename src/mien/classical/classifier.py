"""A fitted run of the kind "features" as a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mien.classical.extraction import Extractor, filled
from mien.classical.landmarks import Finder, HaarEyes, YuNet
from mien.classical.options import Features, options_of
from mien.classical.parts import HEADS, TRANSFORMS, Array, Head, Transform, transformed
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.images.preprocessing import Preprocessing
from mien.training.run import Run
from mien.training.run import load_classifier as load_network

POINTS = "landmarks.usual"
"""The array of the points that stand in where no face is seen."""


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
        points = arrays[POINTS] if options.uses_points else None
    except (KeyError, OSError, ValueError, SafetensorError) as error:
        raise MienError(f"{run.weights_file} does not fit its recipe: {error}") from error
    extractor = extractor_of(run, options, finder)
    return FeatureClassifier(recipe.input.preprocessing(), extractor, transforms, head, points)


def _is_used(prefix: str, options: Features) -> bool:
    return {
        "standardization": options.scaling == "standard",
        "length": options.scaling == "length",
        "kernel": options.classifier == "svm" and options.kernel == "rbf",
    }[prefix]


def extractor_of(run: Run, options: Features, finder: Finder | None) -> Extractor:
    """Return what takes a run's features, by the copies in its folder or the caller's finder."""
    if options.uses_points and finder is None:
        if options.landmarks:
            finder = YuNet(landmarks_copy(run))
        elif "landmarks" not in options.features:
            finder = HaarEyes()
    network = None
    if options.uses_network:
        network = load_network(network_copy(run).folder)
    return Extractor(options, finder, network)


def network_copy(run: Run) -> Run:
    """Return the copy of the run whose network gives features."""
    return Run(run.folder / "network")


def landmarks_copy(run: Run) -> Path:
    """Return where the copy of the file that finds landmarks lies."""
    return run.folder / "landmarks.onnx"
