"""What an export changes: the same images before and after, accuracy, probabilities and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.evaluation.calibration import Calibration
from mien.evaluation.metrics import evaluate
from mien.evaluation.predict import Classifier, Preprocess, predict
from mien.evaluation.predictions import Predictions
from mien.progress import Progress, silent

if TYPE_CHECKING:
    from mien.data.cache import Dataset

BATCH = 64
"""Images of which the time is taken."""
LEAST_SPEEDUP, LARGEST_LOSS = 1.3, 0.003
"""From which speedup on int8 pays, and from which loss of accuracy (of 1) on it does not."""

_ROUNDS, _SECONDS = 20, 10.0


class ExportedGraph:
    """A model that is about to be written, as a classifier.

    Args:
        content: the file's.
        preprocessing: what the images of a data set go through before the file.
        threads: how many one batch may use.
    """

    labels: tuple[str, ...] = EMOTIONS

    def __init__(self, content: bytes, preprocessing: Preprocess, threads: int) -> None:
        self.preprocessing = preprocessing
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return N×7 probabilities for a uint8 batch that went through `preprocessing`."""
        result: NDArray[np.float32] = self._session.run(["probabilities"], {"images": images})[0]
        return result


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        title: what it is called.
        classifier: gives the probabilities.
        bytes: of its file, or None where it is not one file.
        calibration: what its probabilities are calibrated with before they are compared.
    """

    title: str
    classifier: Classifier
    bytes: int | None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Figures:
    """What was measured of a side; accuracies and errors are 0 to 1."""

    title: str
    accuracy: float
    balanced_accuracy: float
    calibration_error: float
    bytes: int | None
    faces_per_second: float


@dataclass(frozen=True)
class Parity:
    """Both sides, and how they differ.

    Attributes:
        split: whose images were classified.
        images: how many have a label; accuracies are theirs.
        threads: with how many the time was taken, of batches of `BATCH`.
        before: the network, or the file in float32.
        after: the file.
        largest_difference: of a probability.
        changed: the share of images for which another emotion comes first.
    """

    split: str
    images: int
    threads: int
    before: Figures
    after: Figures
    largest_difference: float
    changed: float

    @property
    def speedup(self) -> float:
        """How many times as many faces a second come out as before."""
        return self.after.faces_per_second / self.before.faces_per_second

    @property
    def loss(self) -> float:
        """How much of the accuracy is lost, of 1."""
        return self.before.accuracy - self.after.accuracy

    @property
    def pays(self) -> bool:
        """Whether a less exact file is worth it: much faster and little worse."""
        return self.speedup >= LEAST_SPEEDUP and self.loss < LARGEST_LOSS

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON values."""
        return {**asdict(self), "speedup": self.speedup, "loss": self.loss}

    def record(self) -> dict[str, Any]:
        """Return what the file keeps: all but what depends on the machine."""
        return {
            "split": self.split,
            "images": self.images,
            "accuracy": self.after.accuracy,
            "balanced_accuracy": self.after.balanced_accuracy,
            "calibration_error": self.after.calibration_error,
            "float32_accuracy": self.before.accuracy,
            "largest_difference": self.largest_difference,
            "changed": self.changed,
        }


def compare(
    before: Side,
    after: Side,
    dataset: Dataset,
    split: str,
    threads: int,
    progress: Progress = silent,
) -> Parity:
    """Classify a split with both sides, and take the time of both in turns.

    Args:
        before: the network, or the file in float32.
        after: the file.
        dataset: the prepared data set.
        split: whose images are classified.
        threads: with how many the time is taken; an `ExportedGraph` has its own.
        progress: told of each side how many images are classified.

    Raises:
        MienError: there is no such split, or none of its images has a label.
    """
    sides = (before, after)
    answers = [_classified(side, dataset, split, progress) for side in sides]
    images = dataset.images[dataset.indices(split)[:BATCH]]
    rates = _rates([side.classifier for side in sides], images, threads)
    first, second = (each.probabilities for each in answers)
    figures = [_figures(*each) for each in zip(sides, answers, rates, strict=True)]
    return Parity(
        split=split,
        images=int(answers[0].labeled.sum()),
        threads=threads,
        before=figures[0],
        after=figures[1],
        largest_difference=float(np.abs(first - second).max()),
        changed=float((first.argmax(axis=1) != second.argmax(axis=1)).mean()),
    )


def _classified(side: Side, dataset: Dataset, split: str, progress: Progress) -> Predictions:
    predictions = predict(side.classifier, dataset, split, progress=progress)
    return predictions if side.calibration is None else side.calibration.calibrated(predictions)


def _figures(side: Side, answer: Predictions, rate: float) -> Figures:
    metrics = evaluate(answer)
    return Figures(
        side.title,
        metrics.accuracy,
        metrics.balanced_accuracy,
        metrics.calibration_error,
        side.bytes,
        rate,
    )


def _rates(
    classifiers: Sequence[Classifier], images: NDArray[np.uint8], threads: int
) -> list[float]:
    """Return faces a second of each, from the shortest of up to 20 rounds without preprocessing."""
    images = np.resize(images, (BATCH, *images.shape[1:]))
    prepared = [each.preprocessing(images) for each in classifiers]
    shortest = [float("inf")] * len(classifiers)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        began = time.perf_counter()
        for turn in range(_ROUNDS + 1):
            for index, classifier in enumerate(classifiers):
                start = time.perf_counter()
                classifier.probabilities(prepared[index])
                if turn:  # the first one warms up
                    shortest[index] = min(shortest[index], time.perf_counter() - start)
            if turn and time.perf_counter() - began > _SECONDS:
                break
    finally:
        torch.set_num_threads(before)
    return [BATCH / seconds for seconds in shortest]
