"""From a classifier and a split of a data set to predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.ensemble import Combiner
from mien.evaluation.predictions import Predictions
from mien.evaluation.tta import mean_probabilities
from mien.progress import Progress, silent
from mien.version import __version__

if TYPE_CHECKING:
    from mien.data.cache import Dataset


class Preprocess(Protocol):
    """What a classifier's images go through first, as `mien.images.preprocessing.Preprocessing`."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a batch of any size, gray or color, in the form that the classifier takes."""


class Classifier(Protocol):
    """Anything that gives probabilities for the seven emotions, trained or exported."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions in the order of the columns of `probabilities`."""

    @property
    def preprocessing(self) -> Preprocess:
        """What images go through before `probabilities`."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return N×7 probabilities for a uint8 batch that went through `preprocessing`."""


class EnsembleClassifier:
    """Several classifiers as one.

    Its members may differ in size, color and filter: each has its own preprocessing, so that of the
    ensemble leaves images as they are.

    Attributes:
        combiner: combines the members' probabilities.
        members: in the combiner's order.
        labels: `EMOTIONS`, whatever the order of the members' is.
    """

    labels: tuple[str, ...] = EMOTIONS

    def __init__(self, combiner: Combiner, members: Sequence[Classifier]) -> None:
        self.combiner, self.members = combiner, tuple(members)

    def preprocessing(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a batch as it is."""
        return images

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return N×7 probabilities for a uint8 batch of any size, gray or color."""
        return answer(self, images)


def answer(
    classifier: Classifier, images: NDArray[np.uint8], tta: str = "none"
) -> NDArray[np.float32]:
    """Return what a classifier says to images that nothing was done to yet.

    The members of an ensemble are each asked with the test-time augmentation, and their means
    combined, as `mien ensemble` combines the predictions that were made with it.

    Args:
        classifier: a run's, an exported model's or an ensemble.
        images: uint8, N×H×W or N×H×W×3.
        tta: one of `mien.evaluation.tta.TTA`; applied after the preprocessing.

    Returns:
        float32, N×7, in the order of `EMOTIONS`.

    Raises:
        MienError: there is no such `tta`, or the classifier knows other emotions.
    """
    if isinstance(classifier, EnsembleClassifier):
        answers = [answer(member, images, tta) for member in classifier.members]
        combined = classifier.combiner.combine(np.stack(answers).astype(np.float64))
        return combined.astype(np.float32)
    columns = _columns(classifier)
    prepared = classifier.preprocessing(images)
    return mean_probabilities(classifier.probabilities, prepared, tta)[:, columns]


def predict(
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    *,
    tta: str = "none",
    batch_size: int = 256,
    progress: Progress = silent,
) -> Predictions:
    """Classify the images of a split.

    Args:
        classifier: a run's, an exported model's or an ensemble.
        dataset: uint8 images with names and labels, where they are known.
        split: one of `dataset.split_names`.
        tta: one of `mien.evaluation.tta.TTA`; applied after the preprocessing.
        batch_size: how many images are preprocessed and classified at once, at least 1.
        progress: told how many images are done.

    Raises:
        MienError: there is no such split, or it is empty; the classifier knows other emotions; or
            what it gives for an image is no probabilities.
    """
    rows = dataset.indices(split)
    if not len(rows):
        raise MienError(f"the split {split!r} of the data set has no images")
    probabilities = np.empty((len(rows), len(EMOTIONS)), np.float32)
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        probabilities[part] = answer(classifier, dataset.images[rows[part]], tta)
        progress(min(start + batch_size, len(rows)), len(rows))
    return Predictions(
        names=np.array(dataset.names[rows]),
        labels=np.array(dataset.labels[rows]),
        probabilities=probabilities,
        info={"split": split, "tta": tta, "data": dataset.checksum, "mien": __version__},
    )


def _columns(classifier: Classifier) -> list[int]:
    """Return where each of the `EMOTIONS` stands in the classifier's answer."""
    if sorted(classifier.labels) != sorted(EMOTIONS):
        raise MienError(
            f"the model tells {', '.join(classifier.labels)}, not the seven emotions of FER2013",
            hint=f"a model must know exactly: {', '.join(EMOTIONS)}",
        )
    return [classifier.labels.index(emotion) for emotion in EMOTIONS]
